"""`Buckets`: the budgets of requests and of tokens together, and the cool-down. Pure: the time is an argument."""

# States of the cool-down: open; closed until a time that the server named (`Retry-After`); or, where it named none,
# closed for three seconds, then six … to 30, after each of which *one* request goes out to see: accepted, all is open
# again. One that has no answer after some seconds is not waited for.
#
# A refusal does not say which of the two limits it was. While requests are much alike that does not matter: the limit
# of requests is lowered. Where what was measured shows, from one refusal to the next, the same number of tokens but not
# of requests, it is the limit of tokens, and that of requests is loosened again. A limit of tokens that is told, or
# given, is kept to from the beginning.

from __future__ import annotations

from math import log

from llmclients.bulk.budget import Budget

__all__ = ["OVERLOADED", "REFUSALS", "Buckets"]

REFUSALS = frozenset({429, 503, 529})
"""The statuses that mean: too much at a time."""
OVERLOADED = frozenset({503, 529})
"""Of these, the ones that tell of the server's state rather than of a limit."""

_EASE = 0.7
_DIFFERENT = 0.1
_START = 120.0  # requests a minute, where nothing is known
_SHORTEST = 3.0  # seconds
_LONGEST = 30.0
_PROBE = 2.0


class Buckets:
    """What may go out when, to one provider.

    Args:
        requests: a minute, where the caller knows.
        tokens: a minute, of requests and answers together, where the caller knows.
    """

    def __init__(self, requests: float | None = None, tokens: float | None = None) -> None:
        self.requests = Budget(requests, start=_START)
        self.tokens = Budget(tokens)
        self._closed_until = 0.0
        self._closed_at = 0.0  # what was sent before says nothing about the time after
        self._backoff = 0.0  # seconds; 0: not probing
        self._lowered_at = 0.0
        self._measured = [0.0, 0.0]  # requests and tokens, at the last refusal

    def wait(self, tokens: int, ahead: int, tokens_ahead: int, now: float) -> float:
        """Seconds until a request of so many tokens may go out, behind those ahead; 0.0: it has gone out now."""
        if now < self._closed_until:
            return self._closed_until - now
        seconds = self.requests.wait(1, ahead, now)
        if self.tokens.limit is not None:
            seconds = max(seconds, self.tokens.wait(tokens, tokens_ahead, now))
        if seconds:
            return seconds
        if self._backoff:
            self._closed_until = now + _PROBE  # this one goes out; the others see what becomes of it
        self.requests.take(1, now)
        self.tokens.take(tokens, now)
        return 0.0

    def accept(self, reserved: int, used: int | None, sent_at: float) -> None:
        """A request was accepted; it had so many tokens."""
        if self._backoff and sent_at > self._closed_at:
            self._backoff = self._closed_until = 0.0
        self.requests.accepted += 1
        self.tokens.accepted += 1
        if used is not None and used != reserved:
            self.tokens.correct(used - reserved, sent_at)

    def refuse(self, status: int, retry_after: float | None, reserved: int, sent_at: float, now: float) -> None:
        """A request was refused with one of `REFUSALS`: it counts for nothing, and all wait."""
        self.requests.correct(-1, sent_at)
        self.tokens.correct(-reserved, sent_at)
        is_new = sent_at > self._closed_at
        is_probe = self._backoff > 0.0 and is_new
        if retry_after is not None:
            self._closed_until = max(self._closed_until if not self._backoff else 0.0, now + retry_after)
            self._closed_at, self._backoff = now, 0.0
        elif is_new:
            self._backoff = min(max(self._backoff * 2, _SHORTEST), _LONGEST)
            self._closed_at, self._closed_until = now, now + self._backoff
        if is_probe or sent_at <= self._lowered_at:  # or was under way when the limit was lowered
            return
        self._lowered_at = now
        requests = self.requests.measured(sent_at, retry_after, now)
        tokens = self.tokens.measured(sent_at, retry_after, now)
        if status in OVERLOADED:
            self.requests.lower(requests, retry_after, now, _EASE)
            return
        if self._is_of_tokens(requests, tokens):
            self.tokens.lower(tokens, retry_after, now)
            self.requests.loosen()
        else:
            self.requests.lower(requests, retry_after, now)
        self._measured = [requests, tokens]

    def _is_of_tokens(self, requests: float, tokens: float) -> bool:
        before, before_tokens = self._measured
        if not (before and before_tokens and requests and tokens):
            return False
        change, change_of_tokens = abs(log(requests / before)), abs(log(tokens / before_tokens))
        return change > _DIFFERENT and change_of_tokens < change / 3

    def close_until(self, when: float) -> None:
        """Nothing goes out before that time."""
        self._closed_until = max(self._closed_until, when)

    def dump(self) -> list[object]:
        """All of it as plain values."""
        times = [self._closed_until, self._closed_at, self._backoff, self._lowered_at, *self._measured]
        return [self.requests.dump(), self.tokens.dump(), *times]

    def load(self, dumped: list[object]) -> None:
        """Be what was dumped.

        Raises:
            ValueError: those were no buckets.
        """
        if len(dumped) != 8:
            raise ValueError("not buckets")
        requests, tokens, *times = dumped
        if not isinstance(requests, list) or not isinstance(tokens, list):
            raise ValueError("not buckets")
        self.requests.load(requests)
        self.tokens.load(tokens)
        numbers = [_number(time) for time in times]
        self._closed_until, self._closed_at, self._backoff, self._lowered_at, *self._measured = numbers


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise ValueError("not buckets")
    return value
