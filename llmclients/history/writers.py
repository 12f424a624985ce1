"""`Writers`: which processes are writing an answer, so that one that was killed is told from one that is at work."""

# Theory of operation
# -------------------
# A process that begins an answer first makes a lock file beside the history, and locks it for as long as it has the
# history open. The turn names the file. The system gives the lock up when the process ends, however it ends. So whoever
# finds a turn that streams tries the lock of its writer: who gets it knows that the writer is dead, and removes the
# file. A file's name is never used again. A process id would not do: it is used again, and another container's means
# nothing.
#
# A history in memory has one process, and needs none of this.

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["Writers"]

if os.name == "nt":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the open file: two in one process differ


class Writers:
    """The lock of this process's writer, and those of others.

    Args:
        history: the history's file.
    """

    def __init__(self, history: Path) -> None:
        self._history = history
        self._name: str | None = None
        self._file: int | None = None
        self._process = os.getpid()

    def name(self) -> str:
        """This process's writer, whose lock is held from now on.

        Raises:
            OSError: the lock file cannot be made.
        """
        if self._process != os.getpid():  # forked: the lock is the parent's, and this copy of it nobody's
            self._release(remove=False)
            self._process = os.getpid()
        if self._name is None:
            name = secrets.token_hex(8)
            file = os.open(self._path(name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            _lock(file)
            self._name, self._file = name, file
        return self._name

    def is_alive(self, name: str) -> bool:
        """Whether the process of this writer still has the history open. The lock file of a dead one is removed."""
        if name == self._name and self._process == os.getpid():
            return True
        path = self._path(name)
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # another user's: nothing can be told
        try:
            _lock(file)
        except OSError:
            return True
        else:
            with suppress(OSError):
                path.unlink()
            return False
        finally:
            os.close(file)

    def close(self) -> None:
        """Give the lock up. Idempotent."""
        self._release(remove=self._process == os.getpid())

    def _release(self, *, remove: bool) -> None:
        name, file = self._name, self._file
        self._name = self._file = None
        if file is not None and name is not None:
            if remove:
                with suppress(OSError):
                    self._path(name).unlink()
            os.close(file)

    def _path(self, name: str) -> Path:
        return self._history.with_name(f"{self._history.name}-writer-{name}")
