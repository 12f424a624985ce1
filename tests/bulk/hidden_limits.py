"""A provider with limits that it does not tell, and callers that share one `Limits`: in virtual time."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from llmclients.bulk import Limits

WINDOW = 60.0


@dataclass
class HiddenLimits:
    """A server that admits so many requests and tokens in a window, and refuses the rest with 429.

    Args:
        requests: a minute; None for any number. A function of the time, for one that changes.
        tokens: the same of tokens.
        sliding: whether the window is the last minute; else one begins at each full minute.
        says: whether it says how long to wait.
        tells: whether it tells its limits in headers.
    """

    requests: Callable[[float], float] | float | None = None
    tokens: Callable[[float], float] | float | None = None
    sliding: bool = False
    says: bool = True
    tells: bool = False
    admitted: list[tuple[float, int]] = field(default_factory=list)
    refusals: list[tuple[float, float]] = field(default_factory=list)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    _recent_tokens: int = 0

    def limits(self, now: float) -> tuple[float, float]:
        return tuple(
            float("inf") if limit is None else limit(now) if callable(limit) else limit
            for limit in (self.requests, self.tokens)
        )  # type: ignore[return-value]

    def _forget(self, now: float) -> None:
        begin = now - WINDOW if self.sliding else now // WINDOW * WINDOW
        while self._recent and self._recent[0][0] < begin:
            self._recent_tokens -= self._recent.popleft()[1]

    def ask(self, now: float, tokens: int) -> tuple[int, float | None]:
        """The status, and the seconds to wait, if it says."""
        self._forget(now)
        requests, most_tokens = self.limits(now)
        if len(self._recent) + 1 <= requests and self._recent_tokens + tokens <= most_tokens:
            self._recent.append((now, tokens))
            self._recent_tokens += tokens
            self.admitted.append((now, tokens))
            return 200, None
        wait = self._wait(now, tokens, requests, most_tokens)
        self.refusals.append((now, now + wait))
        return 429, wait if self.says else None

    def _wait(self, now: float, tokens: int, requests: float, most_tokens: float) -> float:
        if not self.sliding:
            return (now // WINDOW + 1) * WINDOW - now
        left, left_tokens = len(self._recent), self._recent_tokens
        for at, spent in self._recent:
            left, left_tokens = left - 1, left_tokens - spent
            if left + 1 <= requests and left_tokens + tokens <= most_tokens:
                return at + WINDOW - now
        return WINDOW

    def headers(self, now: float) -> dict[str, str]:
        if not self.tells:
            return {}
        self._forget(now)
        limits = zip(("requests", "tokens"), self.limits(now), (len(self._recent), self._recent_tokens), strict=True)
        return {
            f"x-ratelimit-{what}-{kind}": str(int(value))
            for kind, limit, used in limits
            if limit != float("inf")
            for what, value in (("limit", limit), ("remaining", limit - used))
        }

    def used(self, begin: float, end: float) -> float:
        """The share of its scarcest limit that was used in that time."""
        inside = [(at, tokens) for at, tokens in self.admitted if begin <= at < end]
        seconds = [(begin + end) / 2]
        requests, tokens = self.limits(seconds[0])
        spans = (end - begin) / WINDOW
        return max(len(inside) / (requests * spans), sum(spent for _, spent in inside) / (tokens * spans))


@dataclass
class Run:
    """What came of it: `early` is how often a request came while the server had asked to wait."""

    early: int = 0


def simulate(
    limits: list[Limits] | Limits,
    server: HiddenLimits,
    seconds: float,
    *,
    callers: int = 200,
    tokens: Callable[[random.Random], int] = lambda rng: rng.randint(300, 1700),
    seed: int = 1,
    on_the_way: float = 0.02,
    refusing: float = 0.1,
) -> Run:
    """Callers that ask again and again. With several limits, they are shared out among them."""
    rng, order, run = random.Random(seed), count(), Run()
    shared = limits if isinstance(limits, list) else [limits]
    events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(when: float, what: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(events, (when, next(order), what, arguments))

    def begin(now: float, caller: int) -> None:
        used = tokens(rng)
        ask(now, caller, shared[caller % len(shared)].enter(400, bulk=True), used)

    def ask(now: float, caller: int, permit: Any, used: int) -> None:
        if wait := permit.wait(now):
            at(now + min(wait, 5.0), ask, caller, permit, used)
        else:
            at(now + on_the_way * rng.random(), arrive, caller, permit, used)

    def arrive(now: float, caller: int, permit: Any, used: int) -> None:
        run.early += server.says and _was_told_to_wait(server, permit._sent_at, refusing)
        status, retry_after = server.ask(now, used)
        headers = server.headers(now)
        if status == 200:
            at(now + rng.uniform(0.5, 2.0), answered, caller, permit, used, headers)
        else:
            at(now + refusing, rejected, caller, permit, retry_after)

    def answered(now: float, caller: int, permit: Any, used: int, headers: dict[str, str]) -> None:
        permit.observe(headers, now, now)
        permit.done(now, used, used - 100)
        begin(now, caller)

    def rejected(now: float, caller: int, permit: Any, retry_after: float | None) -> None:
        permit.reject(429, retry_after, now)
        at(now + (retry_after or 1.0), begin, caller)

    for caller in range(callers):
        at(0.001, begin, caller)
    while events and events[0][0] < seconds:
        now, _, what, arguments = heapq.heappop(events)
        what(now, *arguments)
    return run


def _was_told_to_wait(server: HiddenLimits, sent_at: float, delay: float) -> bool:
    """Whether a refusal had come back that asked to wait beyond the time when the request went out."""
    recent = reversed(server.refusals[-300:])
    return any(at + delay <= sent_at < until - 1e-6 for at, until in recent)
