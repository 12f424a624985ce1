"""`KeyPool`: the keys of one upstream, each with a client of its own, and which of them may be used now.

A key is used in turn with the others. What the server says of it decides what becomes of it:

- 429: it rests for the model that was asked, as long as `Retry-After` says; where nothing is said, a moment, twice as
  long each time; where the quota is used up, ten minutes. A server's limits are often those of a model; and those of
  counting tokens are others than those of chats. So a rest is one for a `Purpose`.
- 401: it is taken out until the configuration is read again; unless no other is left, for then the server's own words
  help more than ours.
- Anything else is not the key's fault.

All of it belongs to the relay's loop.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from llmclients.errors import APIError, APIStatusError, AuthenticationError, RateLimitError
from llmclients.relay.upstream import Upstream
from llmclients.transports.base import Clock

__all__ = ["KeyPool", "PooledKey", "Purpose", "describe"]

_log = logging.getLogger("llmclients.relay")

_FIRST_REST = 1.0
_LONGEST_REST = 60.0  # where the server does not say
_QUOTA_REST = 600.0
_LONGEST_RETRY_AFTER = 86400.0
_MAX_RESTS = 1000  # models of one key: a client may name any


class Purpose(NamedTuple):
    """What a provider has limits of its own for.

    Attributes:
        model: the model that is asked.
        is_count: whether only its tokens are counted.
    """

    model: str
    is_count: bool = False


class PooledKey:
    """One key.

    Attributes:
        number: its place in the configuration, from 1: what the log calls it.
        upstream: the client with this key.
    """

    def __init__(self, number: int, upstream: Upstream) -> None:
        self.number = number
        self.upstream = upstream
        self._rests: dict[Purpose, tuple[float, float]] = {}  # until when, and how long

    def wait(self, purpose: Purpose, now: float) -> float:
        """Seconds until it may be used for this; 0: now."""
        until, _ = self._rests.get(purpose, (0.0, 0.0))
        return max(until - now, 0.0)

    def rest(self, purpose: Purpose, error: RateLimitError, now: float) -> float:
        """Let it rest for this, by what the server says. How long, in seconds."""
        if error.retry_after is not None and error.retry_after > 0:
            seconds = min(error.retry_after, _LONGEST_RETRY_AFTER)
        elif not error.retryable:
            seconds = _QUOTA_REST
        else:
            _, before = self._rests.get(purpose, (0.0, 0.0))
            seconds = min(max(before * 2, _FIRST_REST), _LONGEST_REST)
        if len(self._rests) >= _MAX_RESTS:
            self._rests = {known: rest for known, rest in self._rests.items() if rest[0] > now}
        if len(self._rests) < _MAX_RESTS:
            self._rests[purpose] = (now + seconds, seconds)
        return seconds

    def worked(self, purpose: Purpose) -> None:
        """The server has answered with it."""
        if self._rests:
            self._rests.pop(purpose, None)


class KeyPool:
    """The keys of one upstream.

    Args:
        name: the upstream's.
        upstreams: a client for each key.
        clock: tells the time.

    Attributes:
        made_of: the configuration of it, to tell whether another one says the same.
        holders: who needs it; without any, it is to be closed.
    """

    def __init__(self, name: str, upstreams: list[Upstream], clock: Clock) -> None:
        self.name = name
        self.made_of: tuple[Any, ...] = ()
        self.holders: set[object] = set()
        self._clock = clock
        self.keys = [PooledKey(number, upstream) for number, upstream in enumerate(upstreams, 1)]
        self._usable = deque(self.keys)

    @property
    def first(self) -> Upstream:
        """A client of the upstream, whichever key it has."""
        return self._usable[0].upstream

    def put_back(self) -> None:
        """Use the keys again that were taken out: somebody may have paid."""
        self._usable += [key for key in self.keys if key not in self._usable]

    async def close(self) -> None:
        """Close all its clients."""
        for key in self.keys:
            await key.upstream.close()

    def in_turn(self, purpose: Purpose) -> Iterator[PooledKey]:
        """The keys that may be used for this now, the one that has waited longest first."""
        for key in list(self._usable):
            if key in self._usable and not key.wait(purpose, self._clock.monotonic()):
                self._usable.remove(key)
                self._usable.append(key)
                yield key

    def wait(self, purpose: Purpose) -> float:
        """Seconds until the first key may be used for this."""
        now = self._clock.monotonic()
        return min(key.wait(purpose, now) for key in self._usable)

    def failed(self, key: PooledKey, purpose: Purpose, error: APIError) -> bool:
        """A call with this key has failed. Whether that is the key's fault alone, so that another one may do better."""
        label = f"{self.name}: key {key.number} of {len(self.keys)}"
        if isinstance(error, RateLimitError):
            seconds = key.rest(purpose, error, self._clock.monotonic())
            _log.warning("%s: HTTP %d: it rests for %.3g s", label, error.status_code, seconds)
            return True
        if isinstance(error, AuthenticationError):
            if len(self._usable) > 1 and key in self._usable:
                self._usable.remove(key)
                _log.error("%s: HTTP 401: taken out until the configuration is read again", label)
                return True
            _log.error("%s: HTTP 401, and no other key is left", label)
        return False


def describe(error: APIError) -> str:
    """An error's kind, for the log: its message may repeat what was asked."""
    status = f" {error.status_code}" if isinstance(error, APIStatusError) else ""
    return f"{type(error).__name__}{status}"
