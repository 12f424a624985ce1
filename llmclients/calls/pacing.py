"""Waiting for what a provider allows: a call's attempts, each with a permit before it."""

# `ClientSettings.limits` has a `Pacer`: what a client was given as `limits=`, or what a `map` has of its own. An
# attempt asks it for a permit, sleeps as long as that says, in `Sleep` steps as all waiting in a flow, and tells it in
# the end what came of it. So both drivers wait for permits without knowing of them.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from llmclients.calls.flow import CallState, Flow, Sleep
from llmclients.errors import APIStatusError, APITimeoutError
from llmclients.transports.base import Clock

__all__ = ["Background", "Paced", "Pacer", "Permit"]

T = TypeVar("T")

_SLEEP, _BULK_SLEEP = 0.25, 5.0
"""Seconds after which a call asks again, however long it is to wait: the limits may have been raised meanwhile."""


class Permit(Protocol):
    """One attempt's. `llmclients.bulk.limits.Permit` says what its methods do; times are the clock's, in seconds."""

    @property
    def is_bulk(self) -> bool: ...
    def wait(self, now: float) -> float: ...
    def observe(self, headers: Mapping[str, str], now: float, unix_time: float) -> None: ...
    def done(self, now: float, used: int | None = None, output: int | None = None) -> None: ...
    def reject(self, status: int, retry_after: float | None, now: float) -> None: ...
    def leave(self, now: float) -> None: ...


class Pacer(Protocol):
    """Gives permits: `llmclients.bulk.Limits`."""

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = False) -> Permit: ...


class Background(NamedTuple):
    """The same limits, for calls that let interactive ones go first."""

    pacer: Pacer

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = True) -> Permit:
        return self.pacer.enter(size, max_tokens, bulk=True)


class Paced:
    """A call's attempts, paced.

    Args:
        attempt: makes the flow of one attempt.
        size: of the request, in bytes.
        max_tokens: of the answer, where the request says.

    Attributes:
        permit: of the attempt under way.
    """

    def __init__(self, pacer: Pacer, clock: Clock, state: CallState, size: int, max_tokens: int | None) -> None:
        self._pacer = pacer
        self._clock = clock
        self._state = state
        self._size = size
        self._max_tokens = max_tokens
        self.permit: Permit | None = None

    def attempt(self, attempt: Callable[[], Flow[T]]) -> Flow[T]:
        """The flow of one attempt behind its permit.

        Raises:
            APITimeoutError: the deadline of an interactive call would pass before. Bulk's begins with its permit.
        """
        clock = self._clock
        permit = self.permit = self._pacer.enter(self._size, self._max_tokens)
        try:
            if wait := permit.wait(clock.monotonic()):
                yield from self._turn(permit, wait)
            result = yield from attempt()
        except APIStatusError as error:
            permit.reject(error.status_code, error.retry_after, clock.monotonic())
            raise
        except BaseException:  # given up, too: a flow that is dropped ends here
            permit.leave(clock.monotonic())
            raise
        usage = getattr(result, "usage", None)
        if usage is None:
            permit.done(clock.monotonic())
        else:
            permit.done(clock.monotonic(), *_counts(usage))
        return result

    def observe(self, headers: Mapping[str, str]) -> None:
        """The head of the attempt's answer has come."""
        if self.permit is not None:
            self.permit.observe(headers, self._clock.monotonic(), self._clock.time())

    def _turn(self, permit: Permit, wait: float) -> Flow[None]:
        clock, state = self._clock, self._state
        began = clock.monotonic()
        longest = _BULK_SLEEP if permit.is_bulk else _SLEEP
        while wait:
            if state.deadline is not None and not permit.is_bulk and clock.monotonic() + wait >= state.deadline:
                raise APITimeoutError(
                    "the deadline would have passed before the limits allow the request", phase="total"
                )
            yield Sleep(min(wait, longest))
            wait = permit.wait(clock.monotonic())
        if state.deadline is not None and permit.is_bulk:
            state.deadline += clock.monotonic() - began


def _counts(usage: Any) -> tuple[int | None, int | None]:
    """All tokens of an answer and its request, and the answer's alone."""
    output = usage.output_tokens
    if usage.total_tokens is not None:
        return usage.total_tokens, output
    return None if usage.input_tokens is None or output is None else usage.input_tokens + output, output
