"""`Limits`: what a provider allows, learned from its answers, kept to by all calls that share it."""

# Theory of operation
# -------------------
# A call takes a permit (`enter`), and asks it how long to wait (`Permit.wait`) until that is 0.0: then its request goes
# out. In the end it says what came of it: `done`, `reject` or `leave`. That is all plain arithmetic under one lock: who
# sleeps between two questions, a thread or a task, is the call's driver's business (`calls/pacing.py` yields the
# `Sleep` steps). So threads, tasks and event loops share one object, and a test passes any time it likes.
#
# Nobody is woken. A permit that has to wait joins one of two queues, of interactive calls and of bulk, and is told how
# long the pace needs for those ahead and itself; when it asks again it is its turn, or nearly. A queue is two sums,
# what has joined and what has left it, so that a question costs the same at any length. An interactive call has only
# other interactive calls ahead, bulk has both.
#
# Tokens are not known before the answer: an estimate is reserved, from the size of the request and from what the calls
# before have used, and the usage settles it.
#
# Processes share the buckets, not the queues, through a file (`shared.SharedFile`): each question reads and writes it
# under a lock, with times of the wall clock, which machines that share a folder have in common. A process that dies
# leaves nothing behind but what it has sent.

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from llmclients.bulk.buckets import REFUSALS, Buckets
from llmclients.bulk.headers import allowances
from llmclients.errors import ConfigurationError

__all__ = ["Limits", "Permit"]

_SHORTEST_SLEEP = 0.001  # seconds; less may not move a clock at all
_FADE = 0.1
_OFTEN = 0.05
"""Seconds. What is left of a minute changes little in that time, and reading it costs as much as the rest of a call."""


class _Queue:
    """Who waits: what has joined, and what has left."""

    __slots__ = ("joined", "joined_tokens", "left", "left_tokens")

    def __init__(self) -> None:
        self.joined = self.left = self.joined_tokens = self.left_tokens = 0


class Limits:
    """What a provider allows a minute. Give the same object to every client that uses the same key.

    What is not given is taken from the provider's headers, else learned: calls begin with two requests a second, twice
    as many every five seconds, until one is refused, and then stay just below what was accepted. `Retry-After` holds
    for all calls at once. Calls of `chat` and `stream` go before those of `map`.

    Args:
        requests: a minute, where you know it.
        tokens: a minute, of requests and answers together, where you know it.
        path: a file by which processes share the limits; it is made where there is none. In a folder that machines
            share (whose locks hold between them, and whose clocks agree), theirs do.

    Raises:
        ConfigurationError: a number that is no positive one, or a path that cannot be written.
    """

    def __init__(
        self,
        requests: float | None = None,
        tokens: float | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._given = (_amount(requests, "requests"), _amount(tokens, "tokens"))
        self._path = None if path is None else os.fspath(path)
        self._buckets = Buckets(*self._given)
        self._lock = threading.RLock()  # a stream that the collector drops while it is held leaves the queue
        self._in_step: Callable[[float], AbstractContextManager[object]] | None = None
        if self._path is not None:
            from llmclients.bulk.shared import SharedFile

            self._in_step = SharedFile(self._path, self._buckets).in_step
        self._queues = (_Queue(), _Queue())
        self._waiting = 0  # in both
        self._observed_at = -_OFTEN
        self._per_byte, self._answer = 0.25, 0.0

    def __repr__(self) -> str:
        names = ("requests", "tokens", "path")
        given = zip(names, (*self._given, self._path), strict=True)
        return f"Limits({', '.join(f'{name}={value!r}' for name, value in given if value is not None)})"

    def __reduce__(self) -> tuple[Callable[..., Limits], tuple[Any, ...]]:
        """For pickle: only limits in a file are the same ones in another process.

        Raises:
            TypeError: these are in this process's memory.
        """
        if self._path is None:
            raise TypeError("Limits without path= are of this process: with path= other processes can share them")
        return _from_path, (*self._given, self._path)

    def __copy__(self) -> Limits:
        return self  # a copy would allow the same once more

    def __deepcopy__(self, memo: dict[int, Any]) -> Limits:
        return self

    @property
    def requests(self) -> float | None:
        """The requests a minute that are kept to now; None for no limit."""
        return self._buckets.requests.limit

    @property
    def tokens(self) -> float | None:
        """The tokens a minute that are kept to now; None for no limit: none was told, and none was reached."""
        return self._buckets.tokens.limit

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = False) -> Permit:
        """A permit for one request, which asks when it may go out.

        Args:
            size: the request's, in bytes.
            max_tokens: the most tokens of its answer, where it says.
            bulk: whether interactive calls go before it.
        """
        answer = self._answer
        if max_tokens is not None and (max_tokens < answer or not answer):
            answer = max_tokens
        return Permit(self, int(size * self._per_byte + answer) + 1, size, bulk)

    def shared(self, path: str) -> Limits:
        """These limits for other processes: the same where they have a path; else new ones there, as given."""
        return self if self._path is not None else Limits(*self._given, path=path)

    @property
    def path(self) -> str | None:
        """The file by which processes share them; None: they are of this process."""
        return self._path

    def _time(self, now: float) -> float:
        return now if self._in_step is None else now + time.time() - time.monotonic()

    def _changing(self, now: float) -> AbstractContextManager[object]:
        return nullcontext() if self._in_step is None else self._in_step(now)

    def _learn(self, size: int, used: int, output: int) -> None:
        if size:
            self._per_byte += _FADE * ((used - output) / size - self._per_byte)
        self._answer = output if not self._answer else self._answer + _FADE * (output - self._answer)


class Permit:
    """One request's, from one thread or task at a time. Times are seconds on the clock of the client."""

    __slots__ = ("_joined", "_limits", "_sent_at", "_size", "_tokens", "is_bulk")

    def __init__(self, limits: Limits, tokens: int, size: int, is_bulk: bool) -> None:
        self._limits = limits
        self._tokens = tokens
        self._size = size
        self.is_bulk = is_bulk
        self._joined: tuple[int, int] | None = None  # its place: the queue's sums when it joined
        self._sent_at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the request may go out, as it looks now: ask again then, or before; 0.0: it goes out now."""
        limits = self._limits
        with limits._lock:
            ahead, tokens_ahead = self._ahead() if limits._waiting else (0, 0)
            if limits._in_step is None:
                seconds = limits._buckets.wait(self._tokens, ahead, tokens_ahead, now)
            else:
                shared_now = limits._time(now)
                with limits._in_step(shared_now):
                    seconds = limits._buckets.wait(self._tokens, ahead, tokens_ahead, shared_now)
            if not seconds:
                self._sent_at = now
                self._leave_queue()
                return 0.0
            if self._joined is None:
                queue = limits._queues[self.is_bulk]
                self._joined = (queue.joined, queue.joined_tokens)
                queue.joined += 1
                queue.joined_tokens += self._tokens
                limits._waiting += 1
        return max(seconds, _SHORTEST_SLEEP)

    def _ahead(self) -> tuple[int, int]:
        """The requests that go before it, and their tokens."""
        queue = self._limits._queues[self.is_bulk]
        joined, joined_tokens = self._joined or (queue.joined, queue.joined_tokens)
        ahead = joined - queue.left
        if ahead > 0:
            tokens_ahead = max(joined_tokens - queue.left_tokens, 0)
        else:
            ahead = tokens_ahead = 0
        if self.is_bulk:
            first = self._limits._queues[0]
            ahead += first.joined - first.left
            tokens_ahead += first.joined_tokens - first.left_tokens
        return ahead, tokens_ahead

    def _leave_queue(self) -> None:
        if self._joined is not None:
            queue = self._limits._queues[self.is_bulk]
            self._limits._waiting -= 1
            queue.left += 1
            queue.left_tokens += self._tokens
            self._joined = None

    def observe(self, headers: Mapping[str, str], now: float, unix_time: float) -> None:
        """The answer's headers, by names in lower case. Of many answers at a time one is looked at."""
        limits = self._limits
        if now - limits._observed_at < _OFTEN:
            return
        limits._observed_at = now
        found = allowances(headers, unix_time)
        if not found:
            return
        now = limits._time(now)
        with limits._lock, limits._changing(now):
            for kind, allowance in found.items():
                budget = limits._buckets.requests if kind == "requests" else limits._buckets.tokens
                budget.seed(allowance.limit, allowance.remaining, now)

    def done(self, now: float, used: int | None = None, output: int | None = None) -> None:
        """The request was accepted, and answered.

        Args:
            used: the tokens of request and answer, if they were told.
            output: those of the answer alone.
        """
        sent_at = self._sent_at
        if sent_at is None:
            return
        limits = self._limits
        with limits._lock:
            if limits._in_step is None:
                limits._buckets.accept(self._tokens, used, sent_at)
            else:
                with limits._in_step(limits._time(now)):
                    limits._buckets.accept(self._tokens, used, limits._time(sent_at))
            if used is not None and output is not None:
                limits._learn(self._size, used, output)

    def reject(self, status: int, retry_after: float | None, now: float) -> None:
        """The request was answered with an error's status."""
        if status not in REFUSALS or self._sent_at is None:
            self.done(now)
            return
        limits = self._limits
        now, sent_at = limits._time(now), limits._time(self._sent_at)
        with limits._lock, limits._changing(now):
            limits._buckets.refuse(status, retry_after, self._tokens, sent_at, now)

    def leave(self, now: float) -> None:
        """The call has failed otherwise, or was given up: its place is free, or what it sent counts as sent."""
        with self._limits._lock:
            self._leave_queue()


def _amount(value: float | None, argument: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1e12:
        raise ConfigurationError(
            f"{argument} must be a number a minute, 1 or more, not {value!r}", argument=f"limits.{argument}"
        )
    return float(value)


def _from_path(requests: float | None, tokens: float | None, path: str) -> Limits:
    return Limits(requests, tokens, path=path)
