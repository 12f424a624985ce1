"""The asynchronous transport's response: reads the body off a connection of the pool, decodes it, translates errors.

States: open → ended (the body was read to its end, the connection went back to the pool), or closed (freed before).
The response holds its connection, never the other way round: so one that is dropped frees its connection when it is
collected. A connection that has been given back is not touched again: it serves somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from llmclients.transports.base import DRAIN_BYTES, DRAIN_SECONDS
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import ErrorContext, closed_locally
from llmclients.transports.framing import can_serve_again
from llmclients.transports.httpx.failures import DeadlineError
from llmclients.transports.httpx.pool import Pool
from llmclients.transports.httpx.protocol import Connection

__all__ = ["PooledResponse", "run_in_loop"]


_STEP = 256 * 1024  # of decompressed bytes, in one turn of the loop


class PooledResponse:
    """An open exchange over a connection of the pool.

    Args:
        connection: its head was read, its body was not.
        status: the head's.
        context: makes the errors; has the timeouts and the deadline.
        limit: the most bytes of the body, decoded and as they are sent.
        pool: where the connection goes back to.
        owner: kept alive as long as this response: its connections would end with it.
    """

    __slots__ = (
        "__weakref__", "_connection", "_context", "_decoder", "_ended", "_loop", "_owner", "_pool", "headers", "status"
    )  # fmt: skip

    def __init__(
        self, connection: Connection, status: int, context: ErrorContext, limit: int, pool: Pool, owner: object
    ) -> None:
        self._connection: Connection | None = connection
        self._context = context
        self._pool = pool
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self.status = status
        self.headers: Mapping[str, str] = connection.headers
        try:
            self._decoder = BodyDecoder(self.headers, limit, _STEP)
        except BaseException:
            self.abort()
            raise

    def read_nowait(self) -> bytes | None:
        """The next bytes of the body, all that are there; `b""` at its end; None where `readable` is to be awaited."""
        try:
            decoder = self._decoder
            while (connection := self._connection) is not None:
                if decoder.pending:
                    data: bytes | None = decoder.feed(b"")
                else:
                    data = connection.read_nowait()
                    if data is None:
                        return None
                    if not data:
                        self._end(connection)
                        break
                    data = decoder.feed(data)
                if data:
                    return data
                if decoder.pending:
                    return None
            if not self._ended:
                raise closed_locally()
            decoder.finish()
        except DeadlineError:
            self.abort()
            raise self._context.deadline_exceeded() from None
        except Exception as error:
            self.abort()
            raise self._context.error(error, "read") from error
        return b""

    def readable(self) -> asyncio.Future[None]:
        """Done when `read_nowait` has something to say, be it an error.

        Decompression goes on in the loop's next turn.
        """
        connection = self._connection
        if connection is not None and not self._decoder.pending:
            return connection.readable()
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(_set, waiter)
        return waiter

    async def read(self) -> bytes:
        """The next bytes of the body, all that are there; `b""` at its end."""
        while True:
            if self._decoder.pending:
                await self._wait()
            data = self.read_nowait()
            if data is not None:
                return data
            await self._wait()

    async def _wait(self) -> None:
        try:
            await self.readable()
        except BaseException:  # cancelled
            self.abort()
            raise

    async def drain(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection."""
        try:
            with suppress(Exception):  # the answer is complete: at worst its connection is not used again
                if not self._ended and can_serve_again(self.headers):
                    await self._take_end()
        finally:
            self.abort()

    async def _take_end(self) -> None:
        context, taken, seconds = self._context, 0, DRAIN_SECONDS
        if context.deadline is not None:
            seconds = min(seconds, context.deadline - context.clock.monotonic())
        until = self._loop.time() + seconds
        while (connection := self._connection) is not None and taken < DRAIN_BYTES:
            data = connection.read_nowait()
            if data is None:
                left = until - self._loop.time()
                if left <= 0:
                    return
                await asyncio.wait((connection.readable(),), timeout=left)
            elif data:
                taken += len(data)
            else:
                self._end(connection)

    def _end(self, connection: Connection) -> None:
        """The body is complete: the connection may serve another exchange."""
        self._ended = True
        self._connection = None
        self._pool.give_back(connection)

    async def close(self) -> None:
        """Free the connection. Idempotent."""
        self.abort()

    def abort(self) -> None:
        """Free the connection without waiting: it goes back to the pool only if the whole body had been read.

        Idempotent; callable from any thread, and after the loop's end.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            run_in_loop(self._loop, partial(self._pool.give_back, connection))

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self.abort()


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def run_in_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    """Now, where this is the loop's thread; else as soon as the loop gets to it; never, where it is closed."""
    if loop.is_closed():
        return
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        act()
    else:
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(act)
