"""`Journal`: an append-only file of finished rows, which survives whatever kills its writer."""

# Theory of operation
# -------------------
# The journal is the truth of a run; the output is made from it. A line is a record:
#
#     CHECK header {"journal": 1, …}                        what was asked, of which input; the first line
#     CHECK row NUMBER answer|error KEY REQUEST {"id": …}   a finished row: its line of the output, as it is
#
# CHECK is the CRC-32 of the rest of the line. NUMBER counts the rows of the input from 0. KEY is a hash of the row's
# id, REQUEST one of all that is sent. Of several records of a number the last one counts: a row that was asked again.
#
# What is promised, and by what:
#
# - A record is one `write` to the end of the file. Whoever is killed, even by SIGKILL, has written a row or has not:
#   what the system has been given survives the process. So after a kill nothing is lost but what was under way.
# - When the machine itself goes down, what was not synced may be lost, or be there in part. `sync` is called every half
#   second and at the end, and nobody outside hears of a row, and no output is written, before it.
# - A torn tail, the bytes after the last whole record, is cut off when the file is opened. A damaged line before whole
#   ones is left where it is and counts for nothing: its row is asked again.
# - Two runs never write to one journal: the first holds a lock on the open file, the second is refused. The lock is the
#   process's, and ends with it; the file is never replaced by another one, so that there is nothing else to lock.
# - A journal of another input, template, model or of other options is refused. A caller who says that this is meant
#   has it set aside: its records are added to those of `PATH.old`, which serve as a cache, and it begins anew. The
#   records are safe in the one file before they leave the other.
#
# One thread writes. `sync` may be called from another one.

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple
from zlib import crc32

from llmclients.bulk.file_lock import try_lock
from llmclients.errors import ConfigurationError

__all__ = ["Journal", "JournalBusyError", "JournalReader", "Record", "read_records", "sync_folder"]

VERSION = 1
_BLOCK = 1 << 20
_HEADER_BEGINS = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (h|he|hea|head|heade|header|header \{?)?|\0+")
_sync = getattr(os, "fdatasync", os.fsync)


class JournalBusyError(ConfigurationError):
    """Another run has the journal open."""


class Record(NamedTuple):
    """Where a finished row is in the file.

    Attributes:
        number: the row's in the input, from 0.
        is_error: whether it has an error in place of an answer.
        key: 16 bytes, the hash of its id.
        request: 16 bytes, the hash of what was sent.
        offset: of its JSON.
        length: of its JSON, in bytes.
    """

    number: int
    is_error: bool
    key: bytes
    request: bytes
    offset: int
    length: int


class Journal:
    """A journal, open and locked.

    Args:
        path: the file; it is made where there is none.

    Raises:
        ConfigurationError: another run has it open, or it is no journal.
        OSError: it cannot be opened.

    Attributes:
        header: what the first line says; None of a new file.
        damaged: lines in its middle that are none.
        written: how many rows were written.
        synced: how many of them are safe on the disk.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.written = self.synced = 0
        self.damaged = 0
        self.header: dict[str, Any] | None = None
        binary = getattr(os, "O_BINARY", 0)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | binary, 0o666)
        try:
            if not try_lock(self._file):
                raise JournalBusyError(f"another run has {path!r} open: let it end", argument="out")
            self._size = self._heal()
        except BaseException:
            os.close(self._file)
            self._file = -1
            raise

    def _heal(self) -> int:
        """Read the header, and cut off what follows the last whole record. Returns the file's size."""
        end = damaged = 0
        with _reader(self.path) as lines:
            for offset, line in _lines(lines):
                if not _is_whole(line):
                    if self.header is None and (offset or not _is_torn_header(line)):
                        raise _no_journal(self.path)
                    damaged += 1
                    continue
                if self.header is None:
                    self.header = _header(line)
                    if self.header is None or damaged:
                        raise _no_journal(self.path)
                end, self.damaged = offset + len(line), damaged
        if end < os.fstat(self._file).st_size:
            os.ftruncate(self._file, end)
            self.sync()
        return end

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the first line of a new file, and have it on the disk."""
        self.header = {"journal": VERSION, "begun": time.time_ns(), **header}
        self._write(_line(b"header " + json.dumps(self.header).encode()))
        self.sync()
        sync_folder(self.path)

    def append(self, number: int, is_error: bool, key: bytes, request: bytes, row: bytes) -> tuple[int, int]:
        """Write a finished row. Returns the offset and the length of its JSON.

        Raises:
            OSError: it could not be written; the journal is to be closed, and what is torn heals.
        """
        kind = "error" if is_error else "answer"
        line = _line(f"row {number} {kind} {key.hex()} {request.hex()} ".encode() + row)
        offset = self._size + len(line) - len(row) - 1
        self._write(line)
        self.written += 1
        return offset, len(row)

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        self._size += written
        if written != len(line):
            raise OSError(f"{self.path!r} took only {written} of {len(line)} bytes: is the disk full?")

    def sync(self) -> None:
        """Have all that was written on the disk."""
        written = self.written
        _sync(self._file)
        self.synced = written

    def read(self, offset: int, length: int) -> bytes:
        """The JSON of a row."""
        return _read_at(self._file, length, offset)

    def records(self) -> Iterator[Record]:
        """All rows, in the order in which they were written."""
        return read_records(self.path)

    def take(self, path: str) -> Iterator[Record]:
        """Write all rows of another journal behind those that are here, line by line as they are."""
        lines: list[bytes] = []
        size = 0
        with _reader(path) as other:
            for _, line in _lines(other):
                if not _is_whole(line) or (found := _record(line, self._size + size)) is None:
                    continue
                lines.append(line)
                size += len(line)
                yield found
                if size >= _BLOCK:
                    self._take(lines)
                    size = 0
        self._take(lines)

    def _take(self, lines: list[bytes]) -> None:
        self._write(b"".join(lines))
        self.written += len(lines)
        lines.clear()

    def set_aside(self) -> str:
        """Move all records to `PATH.old`, behind those that are there. The journal is a new file then.

        The header goes first: what may have been torn at that file's end takes it with it, and no row.
        """
        old = f"{self.path}.old"
        with open(old, "ab") as kept, _reader(self.path) as lines:
            for _, line in _lines(lines):
                if _is_whole(line):
                    kept.write(line)
            kept.flush()
            os.fsync(kept.fileno())
        sync_folder(old)
        os.ftruncate(self._file, 0)
        self._size, self.header, self.damaged = 0, None, 0
        self.sync()
        return old

    def close(self) -> None:
        """Give the lock back. Idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()


class JournalReader:
    """Reads rows of a journal that may be another run's.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `__exit__`

    def read(self, offset: int, length: int) -> bytes:
        """The JSON of a row."""
        return _read_at(self._file.fileno(), length, offset)

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def read_records(path: str) -> Iterator[Record]:
    """The rows of a journal that may be another run's, in the order in which they were written.

    Raises:
        OSError: it cannot be read.
    """
    with _reader(path) as lines:
        for offset, line in _lines(lines):
            if line[9:13] == b"row " and _is_whole(line) and (found := _record(line, offset)) is not None:
                yield found


def _record(line: bytes, offset: int) -> Record | None:
    """What a whole line, there in a file, is; None: no row."""
    if line[9:13] != b"row ":
        return None
    _, _, number, kind, key, request, row = line.split(b" ", 6)
    length = len(row) - 1
    return Record(
        int(number),
        kind == b"error",
        bytes.fromhex(key.decode()),
        bytes.fromhex(request.decode()),
        offset + len(line) - length - 1,
        length,
    )


def _reader(path: str) -> IO[bytes]:
    return open(path, "rb", buffering=_BLOCK)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for line in file:
        yield offset, line
        offset += len(line)


def _line(rest: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(rest), rest)


def _is_whole(line: bytes) -> bool:
    return line[-1:] == b"\n" and line[8:9] == b" " and line[:8] == b"%08x" % crc32(line[9:-1])


def _header(line: bytes) -> dict[str, Any] | None:
    if line[9:16] != b"header ":
        return None
    header = json.loads(line[16:])
    return header if isinstance(header, dict) and header.get("journal") == VERSION else None


def _is_torn_header(line: bytes) -> bool:
    return not line.endswith(b"\n") and _HEADER_BEGINS.fullmatch(line[:17]) is not None


def _no_journal(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path!r} is no journal of this version, or its first line is damaged: move it away", argument="out"
    )


def sync_folder(path: str) -> None:
    """Have a new file's name on the disk."""
    if os.name == "nt":
        return
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if hasattr(os, "pread"):
    _read_at = os.pread
else:

    def _read_at(file: int, length: int, offset: int) -> bytes:
        os.lseek(file, offset, os.SEEK_SET)
        return os.read(file, length)
