"""`Bucket` and `DayTotal`: how much may be used in a minute and in a day. Neither looks at a clock: each is told."""

from __future__ import annotations

__all__ = ["Bucket", "DayTotal"]

_DAY = 86400


class Bucket:
    """So much a minute: full at first, refilled evenly, never fuller than a minute's worth.

    What is taken may be known only afterwards, and be more than is there: then nothing is to be had until the debt is
    refilled.
    """

    __slots__ = ("_at", "_level", "_per_minute")

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_minute = per_minute
        self._level = max(per_minute, 1.0)  # less than one a minute is one now, and the next one later
        self._at = now

    def change(self, per_minute: float, now: float) -> None:
        """From now on so much; what has been taken stays so."""
        self._refill(now)
        self._level += per_minute - self._per_minute
        self._per_minute = per_minute

    def wait(self, now: float) -> float:
        """Seconds until one can be taken; 0: now."""
        self._refill(now)
        return max(0.0, (1 - self._level) * 60 / self._per_minute)

    def take(self, amount: float, now: float) -> None:
        """Take so many."""
        self._refill(now)
        self._level -= amount

    def _refill(self, now: float) -> None:
        refilled = self._level + (now - self._at) * self._per_minute / 60
        self._level, self._at = min(refilled, max(self._per_minute, 1.0)), now


class DayTotal:
    """What was used on this day, from 0:00 UTC on."""

    __slots__ = ("_day", "_used")

    def __init__(self) -> None:
        self._day, self._used = 0, 0.0

    def wait(self, limit: float, unix_time: float) -> float:
        """Seconds until something may be used again; 0: now."""
        return _DAY - unix_time % _DAY if self.used(unix_time) >= limit else 0.0

    def add(self, amount: float, unix_time: float) -> None:
        """So much was used."""
        self._used = self.used(unix_time) + amount
        self._day = int(unix_time // _DAY)

    def used(self, unix_time: float) -> float:
        """So much was used today."""
        return self._used if self._day == int(unix_time // _DAY) else 0.0
