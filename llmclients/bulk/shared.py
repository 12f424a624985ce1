"""`SharedFile`: buckets that processes share by a file, read and written under its lock."""

# Each change is: lock the file, read the buckets, change them, write them, unlock. The file is a few KiB, and is
# written with one call, so that whoever is killed leaves the old buckets or the new ones; what is no such thing counts
# as a new file. Times in it are those of the wall clock: machines that share a folder have nothing else in common. A
# clock that is set back by more than a minute leaves times that lie ahead: those count as a new file, too. (A client on
# another clock, in a test, must not share a file with one on the real clock.)

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from llmclients.errors import ConfigurationError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["SharedFile"]

_MAX_BYTES = 64 * 1024
_AHEAD = 60.0  # seconds; a process may have waited for the lock since it read its clock


class _Dumpable(Protocol):
    def dump(self) -> list[object]: ...
    def load(self, dumped: list[object]) -> None: ...


class SharedFile:
    """Keeps buckets in step with a file.

    Args:
        path: the file's; it is made where there is none.
        buckets: what is kept in step. As they are now they are a new file's.

    Raises:
        ConfigurationError: the file cannot be opened.
    """

    def __init__(self, path: str, buckets: _Dumpable) -> None:
        self._path = path
        self._buckets = buckets
        self._new = buckets.dump()
        self._file = -1
        self._process = 0
        self._open()

    def _open(self) -> None:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"limits: {self._path!r} cannot be opened: {error}", argument="limits.path"
            ) from None
        self._process = os.getpid()

    @contextmanager
    def in_step(self, now: float) -> Iterator[None]:
        """Around a change: the buckets are what the file has before it, and the file what they are after it."""
        if self._process != os.getpid():  # a lock belongs to what was opened, and that is the parent's
            self._open()
        _lock(self._file)
        try:
            self._read(now)
            try:
                yield
            finally:
                data = json.dumps([now, self._buckets.dump()], separators=(",", ":")).encode()
                _write(self._file, data.ljust(_size(self._file)))
        finally:
            _unlock(self._file)

    def _read(self, now: float) -> None:
        os.lseek(self._file, 0, os.SEEK_SET)
        data = os.read(self._file, _MAX_BYTES)
        try:
            written_at, dumped = json.loads(data)
            if not isinstance(written_at, int | float) or written_at > now + _AHEAD:
                raise ValueError("of another life")
            self._buckets.load(dumped)
        except (ValueError, TypeError):  # empty, torn, or of another life
            self._buckets.load(self._new)

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0 and self._process == os.getpid():
            os.close(self._file)


def _size(file: int) -> int:
    return min(os.fstat(file).st_size, _MAX_BYTES)


def _write(file: int, data: bytes) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, data)


if sys.platform == "win32":

    def _lock(file: int) -> None:
        os.lseek(file, _MAX_BYTES, os.SEEK_SET)  # beyond what is read
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)

    def _unlock(file: int) -> None:
        os.lseek(file, _MAX_BYTES, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
