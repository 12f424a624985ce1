"""`try_lock`: a lock on an open file, for one process at a time, which ends with the process."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["try_lock"]

_LOCKED_BYTE = 1 << 62  # beyond all that is read: on Windows, a byte that is locked cannot be read


def try_lock(file: int) -> bool:
    """Lock the file, if no other process has. The lock is the open file's: closing it, or dying, gives it back."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
