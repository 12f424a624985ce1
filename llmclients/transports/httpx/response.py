"""The asynchronous transport's response: reads the body from aiohttp's reader where there is one, else from httpx'.

aiohttp's own reader gives all that it has at once, without the generators that lie between it and httpx' interface.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llmclients.transports.base import DRAIN_BYTES, DRAIN_SECONDS
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import ErrorContext, closed_locally
from llmclients.transports.framing import can_serve_again
from llmclients.transports.httpx.per_loop import timeout_at

if TYPE_CHECKING:
    import aiohttp
    import httpx

__all__ = ["HttpxResponse"]


class HttpxResponse:
    """An open exchange over httpx.

    Args:
        response: httpx' response, its body not read.
        context: makes the errors; has the timeouts and the deadline.
        limit: the most bytes of the body, decoded.
        owner: kept alive as long as this response: its connections would end with it.
    """

    def __init__(self, response: httpx.Response, context: ErrorContext, limit: int, owner: object) -> None:
        self._context = context
        self._owner = owner
        self._loop = loop = asyncio.get_running_loop()
        self._stream = response.stream
        self._ended = self._closed = self._expired = False
        self._failure: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.status = response.status_code
        self.headers: Mapping[str, str] = _joined(response.headers.raw)
        encoded = self.headers
        self._receive: Callable[[], Awaitable[bytes]]
        self._direct = _aiohttp_response(response)
        if response.is_stream_consumed:  # a hook of the caller's client has read and decoded it
            self._receive = _Parts(_once(response.content), context).next
            encoded = {}
        elif self._direct is not None:
            self._receive = self._direct.content.readany
            if context.deadline is not None:
                when = loop.time() + context.deadline - context.clock.monotonic()
                self._timer = loop.call_at(when, _expire, weakref.ref(self))
        else:
            assert isinstance(self._stream, AsyncIterable)
            self._receive = _Parts(aiter(self._stream), context).next
        try:
            self._decoder = BodyDecoder(encoded, limit)
        except Exception:
            self.abort()
            raise

    async def read(self) -> bytes:
        """The next bytes of the body, all that are there; `b""` at its end."""
        try:
            while not self._ended:
                if self._closed:
                    raise closed_locally()
                if self._failure is not None:
                    raise self._failure
                try:
                    data = await self._receive()
                except Exception as error:
                    data = self._buffered()
                    if not data:
                        raise
                    self._failure = error
                if not data:
                    await self._end()
                elif data := self._decoder.feed(data):
                    return data
            self._decoder.finish()
        except BaseException as error:
            closed = self._closed
            self.abort()
            if self._expired:
                raise self._context.deadline_exceeded() from None
            if closed:
                raise closed_locally() from None
            if isinstance(error, Exception):
                raise self._context.error(error, "read") from error
            raise
        return b""

    async def drain(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection."""
        try:
            with suppress(Exception):  # the answer is complete: at worst its connection is not used again
                if not self._ended and not self._closed and can_serve_again(self.headers):
                    await self._take_end()
        except BaseException:  # cancelled
            self.abort()
            raise
        await self.close()

    async def _take_end(self) -> None:
        if self._direct is not None and self._direct.content.is_eof():  # it is here already, as it mostly is
            await self._end()
            return
        context, taken = self._context, 0
        seconds = DRAIN_SECONDS
        if context.deadline is not None:
            seconds = min(seconds, context.deadline - context.clock.monotonic())
        async with timeout_at(self._loop.time() + seconds):
            while not self._ended and taken < DRAIN_BYTES:
                data = await self._receive()
                taken += len(data)
                if not data:
                    await self._end()

    def _buffered(self) -> bytes:
        """The bytes that came before a failure: aiohttp's reader raises the failure first."""
        if self._direct is None or self._closed:
            return b""
        data: bytes = self._direct.content._read_nowait(-1)
        return data

    async def _end(self) -> None:
        """The body is complete: the connection may serve another exchange."""
        if self._closed:
            raise closed_locally()
        if self._direct is not None and (failure := self._direct.content.exception()) is not None:
            raise failure
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._direct is None:
            await self._stream.aclose()  # type: ignore[union-attr]

    async def close(self) -> None:
        """Free the connection. Idempotent."""
        if self._direct is not None or self._ended or self._closed:
            self.abort()
            return
        self._closed = True
        await _close_stream(self._stream)

    def abort(self) -> None:
        """Free the connection without waiting. Idempotent; callable from any thread, and after the loop's end."""
        if self._ended or self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._loop.is_closed():
            return
        try:
            running = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            running = False
        act: Callable[[], object] = partial(_drop, self._direct, self._stream, self._loop)
        if running:
            act()
        else:
            with suppress(RuntimeError):  # closed meanwhile
                self._loop.call_soon_threadsafe(act)

    def __del__(self) -> None:
        if hasattr(self, "_decoder"):
            self.abort()


class _Parts:
    """A stream's parts, each before the deadline. Not part of the response: that would hold itself alive."""

    def __init__(self, parts: AsyncIterator[bytes], context: ErrorContext) -> None:
        self._parts = parts
        self._context = context

    async def next(self) -> bytes:
        remaining = self._context.remaining()
        if remaining is None:
            return await anext(self._parts, b"")
        async with timeout_at(asyncio.get_running_loop().time() + remaining):
            return await anext(self._parts, b"")


def _expire(reference: weakref.ref[HttpxResponse]) -> None:
    """The deadline has passed: a `read` that waits fails now, a later one at once."""
    if (response := reference()) is not None and not response._ended:
        response._expired = True
        response.abort()


_dropping: set[asyncio.Task[None]] = set()  # a loop alone does not keep its tasks


def _drop(direct: aiohttp.ClientResponse | None, stream: Any, loop: asyncio.AbstractEventLoop) -> None:
    if direct is not None:
        direct.close()
        return
    task = loop.create_task(_close_stream(stream))
    _dropping.add(task)
    task.add_done_callback(_dropping.discard)


async def _close_stream(stream: Any) -> None:
    # It may be in any state, and nobody waits for what it has to say.
    with suppress(Exception):
        await stream.aclose()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _aiohttp_response(response: httpx.Response) -> aiohttp.ClientResponse | None:
    """aiohttp's response below, whose reader gives all it has at once; None over another transport."""
    stream = getattr(response.stream, "_stream", response.stream)  # a client wraps it
    return getattr(stream, "_aiohttp_response", None)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
