"""`SharedCoolDown`: how long a provider has asked to wait, told by a file to all workers that ask it."""

# What a run on a cluster has whose client has no `Limits`: the counterpart of `CoolDown`. The file has one number, the
# time of the wall clock until which nothing goes out, and is replaced as a whole. Each process looks at it ten times a
# second, and at what it has been told itself at once. Two that write at the same time write much the same.

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llmclients.bulk.buckets import REFUSALS

__all__ = ["SharedCoolDown"]

_LOOK = 0.1  # seconds
_LONGEST = 24 * 3600.0  # seconds; what lies further ahead is no time to wait for


class SharedCoolDown:
    """Is its own permit, as `CoolDown`.

    Args:
        path: the file's.
    """

    is_bulk = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._until = 0.0  # of the wall clock
        self._looked_at = 0.0

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = False) -> SharedCoolDown:
        return self

    def wait(self, now: float) -> float:
        if not 0.0 <= now - self._looked_at < _LOOK:
            self._looked_at = now
            self._read()
        if not self._until:
            return 0.0
        seconds = self._until - time.time()
        return seconds if 0.0 < seconds < _LONGEST else 0.0

    def _read(self) -> None:
        with suppress(OSError, ValueError):
            self._until = max(self._until, float(Path(self._path).read_text(encoding="ascii")))

    def reject(self, status: int, retry_after: float | None, now: float) -> None:
        if status not in REFUSALS or retry_after is None:
            return
        until = time.time() + retry_after
        self._read()
        if until <= self._until:
            return
        self._until = until
        with suppress(OSError):  # the others will be told themselves
            beside = f"{self._path}.{os.getpid()}-{id(self)}"
            Path(beside).write_text(str(until), encoding="ascii")
            os.replace(beside, self._path)

    def observe(self, headers: Mapping[str, str], now: float, unix_time: float) -> None:
        """Nothing: what is left is not counted here."""

    def done(self, now: float, used: int | None = None, output: int | None = None) -> None:
        """Nothing."""

    def leave(self, now: float) -> None:
        """Nothing."""
