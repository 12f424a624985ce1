"""`Backlog`: what has been written to a client and not taken by it; whether the client still reads."""

from __future__ import annotations

__all__ = ["Backlog"]


class Backlog:
    """What one connection has not taken.

    Args:
        seconds: how long a client may take nothing.
        rate: the least bytes a second that it takes of a long answer, after that.

    While the transport has asked for a pause, nothing is added, so what it holds shows how fast the client takes it.
    Otherwise an answer may come as fast as it is taken, and all that counts is that it ever gets less.
    """

    __slots__ = ("_paused_at", "_progress_at", "_rate", "_seconds", "_size")

    def __init__(self, seconds: float, rate: float) -> None:
        self._seconds, self._rate = seconds, rate
        self._size = 0
        self._progress_at = 0.0
        self._paused_at: float | None = None

    @property
    def is_paused(self) -> bool:
        """Whether the transport has asked for a pause."""
        return self._paused_at is not None

    def paused(self, size: int, now: float) -> None:
        """The transport asks for a pause, with so many bytes unsent."""
        self._size, self._paused_at = size, now

    def resumed(self, now: float) -> None:
        """The pause has ended: nearly all has been taken."""
        self._size, self._paused_at, self._progress_at = 0, None, now

    def is_stuck(self, size: int, now: float) -> bool:
        """Whether the client no longer reads, to judge by what is unsent now. Called once in a while."""
        if self._paused_at is not None:
            return now - self._paused_at > self._seconds + (self._size - size) / self._rate
        if size == 0 or self._size == 0 or size < self._size:
            self._progress_at = now
        self._size = size
        return now - self._progress_at > self._seconds
