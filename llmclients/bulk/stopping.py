"""`Stopping`: ends what worker threads wait for, over the connections of a `Client` and of those it falls back on."""

# A thread cannot be cancelled, but each of its waits can be ended: a sleep waits for an event; a read fails when its
# response is closed; a response that has not come yet fails when its request is given up, which only a transport of the
# package can do (`AbortableTransport`). Then nothing begins any more: the next step raises `Stopped`. With a transport
# of the caller's own, `stop` has to wait until the response is there.

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from llmclients.config.values import Timeout
from llmclients.transports.base import Clock, HTTPRequest, Response, SystemClock, Transport

__all__ = ["StoppableTransport", "Stopped", "Stopping"]


class Stopped(BaseException):
    """The work was given up. No error of a call: nothing handles it but the worker."""


class Stopping:
    """Makes transports stoppable, and stops them."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._transports: dict[int, StoppableTransport] = {}

    def over(self, transport: Transport) -> StoppableTransport:
        """The same connections; of the same transport, the same one each time."""
        return self._transports.setdefault(id(transport), StoppableTransport(transport, self.stopped))

    def stop(self, threads: Collection[int]) -> None:
        """End the waits of these threads, now and from now on. May be called again, for what was between two waits."""
        self.stopped.set()
        for transport in self._transports.values():
            transport.stop(threads)


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
    """A transport for worker threads: each has one exchange at a time."""

    def __init__(self, transport: Transport, stopped: threading.Event) -> None:
        self._transport = transport
        self._stopped = stopped
        self._opening: dict[int, HTTPRequest] = {}
        self._open: dict[int, Response] = {}

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
        thread = threading.get_ident()
        if self._stopped.is_set():
            raise Stopped
        self._opening[thread] = request
        try:
            response = self._transport.open(request, timeout, deadline)
        finally:
            del self._opening[thread]
        self._open[thread] = response
        if self._stopped.is_set():
            response.close()
            raise Stopped
        return response

    def stop(self, threads: Collection[int]) -> None:
        """End the waits of these threads."""
        abort = getattr(self._transport, "abort", None)
        for thread in threads:
            if (response := self._open.get(thread)) is not None:
                response.close()
            if abort is not None and (request := self._opening.get(thread)) is not None:
                abort(request)

    def close(self) -> None:
        """Nothing: the connections are the client's."""
