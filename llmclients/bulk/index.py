"""`Index`: where each row's record is, which ids have come, which requests are answered; on the disk."""

# A million ids in a Python set take a hundred megabytes. So all of this is in SQLite's temporary database: a file
# without a name, which ends with the connection, behind a cache of a few megabytes. It holds nothing that the journals
# do not: it is made anew from them when a run begins. One thread at a time uses it.

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from llmclients.bulk.journal import Record

__all__ = ["Cached", "Index"]

_CACHE = 8 * 1024  # KiB
_BATCH = 500

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, is_error INTEGER, key BLOB, request BLOB, start INTEGER, length INTEGER
);
CREATE TABLE ids (key BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    request BLOB, key BLOB, file INTEGER, start INTEGER, length INTEGER, PRIMARY KEY (request, key)
) WITHOUT ROWID;
BEGIN;
"""


class Cached(NamedTuple):
    """Where an answer is: in which of the journals that serve as a cache, and where there."""

    file: int
    offset: int
    length: int


class Index:
    """What one run knows of its rows."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA cache_size = -{_CACHE};{_TABLES}")
        self._execute = self._database.execute
        self._unwritten: list[tuple[object, ...]] = []
        self.kept = 0  # rows that a run before this one has left

    def load(self, records: Iterator[Record]) -> None:
        """Take what the journal has."""
        for record in records:
            self.put(record)
        self._write()
        self.kept = self.count()

    def put(self, record: Record) -> None:
        """Where a row is: in place of where it was."""
        self._unwritten.append(tuple(record))
        if len(self._unwritten) >= _BATCH:
            self._write()

    def _write(self) -> None:
        self._database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", self._unwritten)
        self._unwritten.clear()

    def get(self, number: int) -> Record | None:
        """The row's record of a run before this one."""
        found = self._execute("SELECT * FROM rows WHERE number = ?", (number,)).fetchone() if self.kept else None
        return None if found is None else Record(number, bool(found[1]), *found[2:])

    def records(self) -> Iterator[Record]:
        """The records that count, in the order of the input."""
        self._write()
        for number, is_error, *rest in self._database.execute("SELECT * FROM rows ORDER BY number"):
            yield Record(number, bool(is_error), *rest)

    def count(self, *, errors: bool | None = None, begin: int = 0) -> int:
        """How many rows there are, from a number on; answers or errors only, if asked."""
        self._write()
        which = "" if errors is None else f" AND is_error = {int(errors)}"
        found = self._execute(f"SELECT count(*) FROM rows WHERE number >= ?{which}", (begin,)).fetchone()
        return int(found[0])

    def occurrence(self, key: bytes) -> int:
        """How often this id has come, this time included."""
        if self._execute("INSERT OR IGNORE INTO ids VALUES (?, 1)", (key,)).rowcount:
            return 1
        self._execute("UPDATE ids SET count = count + 1 WHERE key = ?", (key,))
        return int(self._execute("SELECT count FROM ids WHERE key = ?", (key,)).fetchone()[0])

    def add_answers(self, file: int, records: Iterator[Record]) -> None:
        """Take the answers of a journal that serves as a cache."""
        answers = ((record.request, record.key, file, *record[4:]) for record in records if not record.is_error)
        self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", answers)

    def answer(self, request: bytes, key: bytes) -> Cached | None:
        """An answer to the same request; that of the same row, if there are several, and only that from file 0."""
        found = self._execute(
            "SELECT file, start, length FROM answers WHERE request = ? AND (key = ? OR file > 0) "
            "ORDER BY key = ? DESC LIMIT 1",
            (request, key, key),
        ).fetchone()
        return None if found is None else Cached(*found)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
