"""`Database`: the connection to the history's file, shared by threads; its errors in words."""

# Theory of operation
# -------------------
# One connection, and a lock around each use of it: threads may share a `Database`, and wait for each other shortly.
# Processes share the file: in WAL mode readers never wait, and one writes at a time, for well under a millisecond; the
# others wait up to `_PATIENCE`. A transaction begins with `BEGIN IMMEDIATE`, so that nobody has to give up half-way.
#
# `synchronous = NORMAL`: what is committed is handed to the system, which outlives a killed process; it is on the disk
# after the next checkpoint. A power cut may cost the last moments, and never damages the file.
#
# The connection is closed while the process forks (`forks.py`), and made again by who needs it next, parent or child.

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.history.forks import ForkAware
from llmclients.history.paths import create_private
from llmclients.history.schema import APPLICATION_ID, MIGRATIONS

__all__ = ["ConversationNotFoundError", "DamagedHistoryError", "Database", "HistoryError"]

_PATIENCE = 10.0  # seconds


class HistoryError(LLMClientError):
    """The history cannot be read or written: no permission, a full disk, a file that is none or of a newer version."""


class DamagedHistoryError(HistoryError):
    """The file is no history, or is damaged. It was left as it is."""


class ConversationNotFoundError(HistoryError, ConfigurationError):
    """There is no conversation with that id, no turn, or several begin like that."""


class Database(ForkAware):
    """The history's tables, and transactions on them. May be shared by threads.

    Args:
        path: the file; None: in memory, for as long as the object lives.

    Raises:
        HistoryError: the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._is_closed = False
        self._connection: sqlite3.Connection | None = self._open()
        super().__init__()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a query finds."""
        with self._use() as connection:
            return connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first row that a query finds, or None."""
        with self._use() as connection:
            return connection.execute(statement, values).fetchone()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Around several queries that are to see the same state of the file."""
        with self._use() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Around statements that are written all or not at all. Within another one it is a part of that."""
        with self._use() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one to know
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def before_fork(self) -> None:
        self._lock.acquire()
        if self.path is not None and self._connection is not None and not self._connection.in_transaction:
            self._disconnect()

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:
            self._lock = threading.RLock()
        else:
            self._lock.release()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            with suppress(sqlite3.Error):
                self.close()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._is_closed:
                raise HistoryError("the history is closed")
            if self._connection is None:
                self._connection = self._open()
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self._as_history_error(error) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        path = self.path
        try:
            if path is not None:
                create_private(path)
            connection = sqlite3.connect(
                ":memory:" if path is None else path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._as_history_error(error) from error
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._as_history_error(error) from error
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")  # for one look at the file, which another process may just be making
        try:
            self._check(connection)
        finally:
            with suppress(sqlite3.Error):  # the first error is the one to know
                connection.execute("ROLLBACK")
        _begin_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) == len(MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")
        self._check(connection)  # another process may have been first
        for migration in MIGRATIONS[_version(connection) :]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raise HistoryError for a file that is another program's, or of a newer version."""
        version = _version(connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        is_new = version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        if application != APPLICATION_ID and not is_new:
            raise DamagedHistoryError(f"{self.path} is the database of another program: give another path")
        if version > len(MIGRATIONS):
            raise HistoryError(
                f"{self.path} was written by a newer version of llmclients (its tables have version {version}, those "
                f"known here {len(MIGRATIONS)}): upgrade llmclients, or give another path"
            )

    def _as_history_error(self, error: Exception) -> HistoryError:
        text, name = str(error), self.path or "the history in memory"
        if isinstance(error, OSError):
            return HistoryError(f"{name} cannot be made: {error.strerror or error}")
        if "not a database" in text or "malformed" in text:
            return DamagedHistoryError(
                f"{name} is damaged ({text}). It was left as it is: move it away, and a new history is begun"
            )
        if "locked" in text or "busy" in text:
            return HistoryError(f"{name} is in use: another process has been writing to it for {_PATIENCE:.0f} s")
        if "no such module: fts5" in text:
            return HistoryError("this Python's SQLite has no full-text search (FTS5), which the history needs")
        return HistoryError(f"{name}: {text}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL mode, which it keeps. SQLite does not wait for others in this one step, so we do."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
