"""`ThreadedTransport`: a blocking transport of the caller's, awaited: each of its waits is a thread's."""

# A `Client` runs `bulk` in an event loop, because a task costs a fraction of a thread. Its own connections have their
# asynchronous twin. A transport that the caller has brought has none: each exchange takes a thread of a pool while it
# waits. A task that is cancelled leaves at once; its exchange is closed as soon as its thread is back.
#
# `calls.threaded_calls` has threads, too, and shares nothing with these but the word. Here a wait is one exchange with
# a server: it ends by itself, within its timeouts, and leaves a connection to close, so a program that ends may wait
# for it. There it is a function of the caller's, which may never end: in a thread that a program's end does not wait
# for.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from llmclients.config.values import Timeout
from llmclients.transports.base import Clock, HTTPRequest, Response

__all__ = ["ThreadedTransport"]

T = TypeVar("T")


class ThreadedTransport:
    """An `AsyncTransport` over a `Transport`.

    Args:
        transport: the caller's.
        threads: how many exchanges there are at a time.
    """

    def __init__(self, transport: Any, threads: int) -> None:
        self._transport = transport
        self._executor = ThreadPoolExecutor(threads, "llmclients bulk")

    @property
    def clock(self) -> Clock:
        clock: Clock = self._transport.clock
        return clock

    @property
    def endpoint(self) -> Any:
        """In tests, what stands for a server on this machine."""
        return getattr(self._transport, "endpoint", None)

    @property
    def closed(self) -> bool:
        """Whether the client is."""
        return bool(self._transport.closed)

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> _ThreadedResponse:
        """Send the request and read the response's head."""
        opening = self._executor.submit(self._transport.open, request, timeout, deadline)
        try:
            return _ThreadedResponse(await _outcome(opening), self._executor)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise

    async def close(self) -> None:
        """Let the threads end. The transport itself is the caller's."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class _ThreadedResponse:
    def __init__(self, response: Response, executor: ThreadPoolExecutor) -> None:
        self._response = response
        self._executor = executor
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        return await self._run(self._response.read)

    async def drain(self) -> None:
        await self._run(self._response.drain)

    async def close(self) -> None:
        await self._run(self._response.close)

    def abort(self) -> None:
        with suppress(RuntimeError):  # the pool has ended
            self._executor.submit(self._response.close)

    async def _run(self, work: Callable[[], T]) -> T:
        return await _outcome(self._executor.submit(work))


async def _outcome(work: Future[T]) -> T:
    """What the work comes to. A task that is cancelled does not wait for it, and does not cancel what has begun."""
    return await asyncio.shield(asyncio.wrap_future(work))


def _close(opening: Future[Response]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
