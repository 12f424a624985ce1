"""`Window`: how much was sent in the last minute, in a ring of slots. Pure: the time is an argument."""

from __future__ import annotations

from math import ceil

__all__ = ["SECONDS", "Window"]

SECONDS = 60.0
"""What the window covers: providers count by the minute."""

_SLOT = 0.25
_SLOTS = ceil((SECONDS + 0.25) / _SLOT) + 1
# A little more than a minute, as the way to the server is not always equally long: what goes out a minute apart may
# arrive less than a minute apart.


class Window:
    """Amounts by the quarter of a second in which they were sent. Times are seconds on a scale that never goes back.

    Attributes:
        sent: what `total` gives until `ends`, for who asks so often that a call is dear.
    """

    __slots__ = ("_begins", "_last", "_slots", "ends", "sent")

    def __init__(self) -> None:
        self._slots = [0] * _SLOTS
        self._last = 0
        self._begins, self.ends = 0.0, _SLOT
        self.sent = 0

    def total(self, now: float) -> int:
        """What was sent in the last minute, and a little before."""
        if now < self.ends:  # as nearly always: nothing has grown old
            return self.sent
        slot = int(now / _SLOT)
        if slot > self._last:
            passed = slot - self._last
            if passed >= _SLOTS:
                self._slots = [0] * _SLOTS
                self.sent = 0
            else:
                for old in range(self._last + 1, slot + 1):
                    self.sent -= self._slots[old % _SLOTS]
                    self._slots[old % _SLOTS] = 0
            self._begin(slot)
        return self.sent

    def _begin(self, slot: int) -> None:
        self._last = slot
        self._begins, self.ends = slot * _SLOT, (slot + 1) * _SLOT

    def add(self, amount: int, at: float) -> None:
        """Note an amount that was sent at that time; below zero, take it back. What is too long ago is no matter."""
        if self._begins <= at < self.ends:
            slot = self._last
        else:
            slot = int(at / _SLOT)
            ago = self._last - slot
            if ago < 0:
                self.total(at)
            elif ago >= _SLOTS:
                return
        self._slots[slot % _SLOTS] += amount
        self.sent += amount

    def between(self, begin: float, end: float) -> float:
        """What was sent in that time; of the slot in which it begins, the share that is in it."""
        first, last = int(begin / _SLOT), min(int(end / _SLOT), self._last)
        if first <= self._last - _SLOTS:
            first, share = self._last - _SLOTS + 1, 1.0
        else:
            share = 1.0 - (begin / _SLOT - first)
        if last < first:
            return 0.0
        slots = self._slots
        return slots[first % _SLOTS] * share + sum(slots[slot % _SLOTS] for slot in range(first + 1, last + 1))

    def until_free(self, amount: int, now: float) -> float:
        """Seconds until so much of what was sent is older than the window."""
        for slot in range(self._last - _SLOTS + 1, self._last + 1):
            amount -= self._slots[slot % _SLOTS]
            if amount <= 0:
                return max((slot + _SLOTS) * _SLOT - now, 0.001)
        return SECONDS

    def dump(self) -> list[int]:
        """All of it as plain numbers."""
        return [self._last, *self._slots]

    def load(self, dumped: list[int]) -> None:
        """Be what was dumped.

        Raises:
            ValueError: that was no window.
        """
        if len(dumped) != _SLOTS + 1 or not all(type(number) is int for number in dumped):
            raise ValueError("not a window")
        self._begin(dumped[0])
        self._slots = dumped[1:]
        self.sent = sum(self._slots)
