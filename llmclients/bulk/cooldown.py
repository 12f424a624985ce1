"""`CoolDown`: limits that know one thing: how long a provider has asked to wait."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from llmclients.bulk.buckets import REFUSALS

__all__ = ["CoolDown"]


class CoolDown:
    """What a `map` has whose client has no `Limits`: one that is told to wait tells all.

    It is its own permit: nothing is kept for a single request.
    """

    is_bulk = True

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = False) -> CoolDown:
        return self

    def wait(self, now: float) -> float:
        return max(self._until - now, 0.0)

    def reject(self, status: int, retry_after: float | None, now: float) -> None:
        if status in REFUSALS and retry_after is not None:
            with self._lock:
                self._until = max(self._until, now + retry_after)

    def observe(self, headers: Mapping[str, str], now: float, unix_time: float) -> None:
        """Nothing: what is left is not counted here."""

    def done(self, now: float, used: int | None = None, output: int | None = None) -> None:
        """Nothing."""

    def leave(self, now: float) -> None:
        """Nothing."""
