"""`StoppableTransport`: a `Client`'s transport for worker threads, whose waits another thread can end."""

# A thread cannot be cancelled, but each of its waits can be ended: a sleep waits for an event; a read fails when its
# response is closed; a response that has not come yet fails when its connection is, which only the transport of the
# package can do (`abort_threads`). Then nothing begins any more: the next step raises `Stopped`. With a transport of
# the caller's own, `stop` has to wait until the response is there.

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

from llmclients.config.values import Timeout
from llmclients.transports.base import Clock, HTTPRequest, Response, SystemClock, Transport

__all__ = ["StoppableTransport", "Stopped"]


class Stopped(BaseException):
    """The work was given up. No error of a call: nothing handles it but the worker."""


class _StoppableClock:
    def __init__(self, clock: Clock, stopped: threading.Event) -> None:
        self._stopped = stopped
        self._clock = clock
        self.time = clock.time
        self.monotonic = clock.monotonic

    def sleep(self, seconds: float) -> None:
        if isinstance(self._clock, SystemClock):
            self._stopped.wait(seconds)
        else:  # a test's, which passes at once
            self._clock.sleep(seconds)
        if self._stopped.is_set():
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        await self._clock.asleep(seconds)


class StoppableTransport:
    """The same connections; each thread has one exchange at a time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._stopped = threading.Event()
        self._open: dict[int, Response] = {}
        self._abort: Callable[[Collection[int]], None] | None = getattr(transport, "abort_threads", None)

    @property
    def clock(self) -> Clock:
        return _StoppableClock(self._transport.clock, self._stopped)

    @property
    def closed(self) -> bool:
        return bool(getattr(self._transport, "closed", False))

    @property
    def endpoint(self) -> Any:
        """In tests, what stands for a server on this machine."""
        return getattr(self._transport, "endpoint", None)

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        if self._stopped.is_set():
            raise Stopped
        response = self._transport.open(request, timeout, deadline)
        self._open[threading.get_ident()] = response
        if self._stopped.is_set():
            response.close()
            raise Stopped
        return response

    def stop(self, threads: Collection[int]) -> None:
        """End the waits of these threads, now and from now on. May be called again, for what was between two waits."""
        self._stopped.set()
        for thread in threads:
            response = self._open.get(thread)
            if response is not None:
                response.close()
        if self._abort is not None:
            self._abort(threads)

    def close(self) -> None:
        """Nothing: the connections are the client's."""
