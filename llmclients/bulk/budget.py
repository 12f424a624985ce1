"""`Budget`: one limit of a provider, of requests or of tokens: a token bucket, and how its size is learned. Pure."""

# Theory of operation
# -------------------
# A budget answers "may so much go out now, or when?" and learns from what the server says. It knows no clock: `now` is
# seconds on a scale that never goes back.
#
# Two bounds hold at a time. The *bucket* fills at the pace `limit / 60` and holds a quarter of a second of it, so that
# requests go out evenly. The *window* has what went out in the last minute; that, and what is to go out, stays within
# `limit`. The first is kind to servers that count by the second, the second keeps the promise to those that count by
# the minute, whether their minutes begin at fixed times (a fixed window) or end now (a sliding one).
#
# `limit` comes from, in this order: the caller; the provider's headers (`seed`); else it is searched:
#
#     searching ──refused──► holding ──45 s and 150 requests──► growing ──refused──► holding …
#     ×2 in 5 s              what was measured, × 0.995          2 % a second, then more
#
# What was measured: a server that says how long to wait has told when the window began that is now used up, since the
# window ends, or its oldest request leaves it, a minute after: so what it accepted since then *is* its limit. Where it
# does not say, the last minute is taken. Holding and growing are long and short enough that at most one request in a
# hundred is refused by a limit that stays, and a limit that was raised is found in about a minute. Refused again while
# holding, the limit is not what it seemed (others use the same key), and is lowered by a tenth as well.
#
# A limit grows only while callers wait for it: a pace that nobody uses proves nothing.

from __future__ import annotations

from math import exp

from llmclients.bulk.window import SECONDS, Window

__all__ = ["Budget"]

_SEARCH = 0.1386  # a second: doubles in 5
_GROWTH = 0.003
_GENTLE = 10.0  # seconds until growth is twice as fast
_HOLD_SECONDS = 45.0
_HOLD_REQUESTS = 150
_TESTED = 0.7  # a limit of which less is used shows nothing
_BURST = 0.25  # seconds of the pace
_AHEAD = 1.02 / SECONDS  # the pace is a little above the limit: the window has the last word,
_CATCH_UP = 0.6 / SECONDS  # and after a pause the more, the emptier the window is
_MEASURED = 0.99
_AGAIN = 0.98


class Budget:
    """A limit in amounts a minute.

    Args:
        limit: where the caller knows it.
        start: where to begin searching; None for no limit until the server refuses.

    Attributes:
        limit: the amount a minute that is kept to now; None for none.
        accepted: how many requests were, since the limit was lowered.
    """

    __slots__ = (
        *(
            "accepted",
            "_bound_at",
            "_ceiling",
            "_given",
            "_grown",
            "_grown_at",
            "_held",
            "_held_until",
            "_level",
            "_level_at",
        ),
        *("_searching", "_window", "limit"),
    )

    def __init__(self, limit: float | None = None, *, start: float | None = None) -> None:
        self._given = limit
        self._ceiling = limit
        self.limit = start if limit is None else limit
        self._searching = limit is None
        self._held = self.limit or 0.0
        self._window = Window()
        self._level = 1.0
        self._level_at = self._grown_at = self._held_until = 0.0
        self._bound_at = -SECONDS
        self.accepted, self._grown = 0, 0.0

    def wait(self, amount: int, ahead: int, now: float) -> float:
        """Seconds until so much may go out behind what is ahead in the queue; 0.0 for now. Takes nothing."""
        if self.limit is None:
            return 0.0
        if now - self._grown_at > 0.1:
            self._grow(now)
        limit = self.limit
        window = self._window
        used = window.sent if now < window.ends else window.total(now)
        pace = limit * _AHEAD
        if used < limit:
            pace += (limit - used) * _CATCH_UP
        burst = pace * _BURST
        if burst < 1.0:
            burst = 1.0
        level = self._level
        if now > self._level_at:  # a caller may have read its clock before another one
            level += (now - self._level_at) * pace
            if level > burst:
                level = burst
            self._level, self._level_at = level, now
        seconds = ((amount if amount < burst else burst) + ahead - level) / pace
        if used + amount > limit and used:
            seconds = max(seconds, self._window.until_free(int(used + amount - limit) + 1, now))
        if seconds <= 1e-6:
            return 0.0
        self._bound_at = now
        return seconds

    def take(self, amount: int, now: float) -> None:
        """So much goes out now."""
        self._window.add(amount, now)
        self._level -= amount if self.limit is None or amount < self.limit else self.limit  # one minute's at most

    def correct(self, amount: int, sent_at: float) -> None:
        """What went out then was so much more; below zero, less. The window is put right, the pace goes on."""
        self._window.add(amount, sent_at)

    def seed(self, limit: float, remaining: float | None, now: float) -> None:
        """The server has told its limit, and what is left of it.

        What others with the same key have used counts as sent now.
        """
        ceiling = limit if self._given is None else min(limit, self._given)
        if ceiling != self._ceiling:
            self._ceiling = ceiling
            self.limit = self._held = ceiling
            self._searching = False
        if remaining is not None:
            others = int(limit - remaining - self._window.total(now))
            if others > 0:
                self._window.add(others, now)

    def measured(self, sent_at: float, retry_after: float | None, now: float) -> float:
        """What the server had accepted in the minute in which it refused what was sent then."""
        begin = min(now + retry_after, sent_at + SECONDS) - SECONDS if retry_after is not None else sent_at - SECONDS
        self._window.total(now)
        accepted = self._window.between(begin, sent_at)
        if self._searching and retry_after is not None and retry_after <= 2.0 and self.limit is not None:
            return max(accepted, self._window.between(sent_at - 5.0, sent_at) * 12)  # it counts by seconds
        return accepted

    def lower(self, measured: float, retry_after: float | None, now: float, factor: float = _MEASURED) -> None:
        """So much was accepted, and no more."""
        is_holding = not self._searching and now < self._held_until
        lowered = measured * (min(factor, _AGAIN) if is_holding else factor)
        if self.limit is not None:
            if not self._searching:
                lowered = max(lowered, self._held / 2)  # a lull before says little
            lowered = min(lowered, self.limit)
        self.limit = self._held = max(lowered, 1.0)
        self._searching = False
        self._grown_at = now
        self._held_until = now + (retry_after or 0.0) + _HOLD_SECONDS
        self.accepted, self._grown = 0, 0.0
        self._level = min(self._level, 1.0)

    def loosen(self) -> None:
        """It was lowered for what turned out to be another one's refusals."""
        if self.limit is not None and not self._searching:
            self.limit = self.limit * 1.5 if self._ceiling is None else min(self.limit * 1.5, self._ceiling)

    def _grow(self, now: float) -> None:
        seconds, self._grown_at = min(now - self._grown_at, 1.0), now
        assert self.limit is not None
        if now - self._bound_at > 1.0 or (self._ceiling is not None and self.limit >= self._ceiling):
            return
        if self._searching:
            self.limit *= exp(_SEARCH * seconds)
        else:
            if now < self._held_until or self.accepted < _HOLD_REQUESTS:
                return
            if self._window.total(now) < _TESTED * self.limit:
                return
            self._grown += seconds
            self.limit *= exp(_GROWTH * (1.0 + (self._grown / _GENTLE) ** 2) * seconds)
        if self._ceiling is not None:
            self.limit = min(self.limit, self._ceiling)

    def dump(self) -> list[object]:
        """All of it as plain values."""
        plain = [getattr(self, name) for name in _PLAIN]
        return [*plain, self._window.dump()]

    def load(self, dumped: list[object]) -> None:
        """Be what was dumped; what the caller of this one knows holds.

        Raises:
            ValueError: that was no budget.
        """
        if len(dumped) != len(_PLAIN) + 1 or not isinstance(dumped[-1], list):
            raise ValueError("not a budget")
        for name, value in zip(_PLAIN, dumped, strict=False):
            setattr(self, name, value)
        self._window.load(dumped[-1])


_PLAIN = (
    "limit",
    "_ceiling",
    "_searching",
    "_level",
    "_level_at",
    "_grown_at",
    "_held_until",
    "_bound_at",
    "accepted",
    "_grown",
    "_held",
)
