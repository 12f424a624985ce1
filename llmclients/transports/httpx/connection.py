"""aiohttp's connection as HTTP says: for the asynchronous transport.

aiohttp takes a reset for the end of a body that has no length, says nothing when a chunk is malformed, and waits for
ever after an interim response. Its parser calls back three times for each HTTP chunk, which costs more than all the
rest of reading one; so it gets the heads, and a chunked body is unframed here, as the synchronous transport does.
"""

from __future__ import annotations

import re
import select
from time import monotonic
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from llmclients.errors import APIError
from llmclients.transports.framing import ChunkedBody

__all__ = ["Connection"]

_MAX_INTERIM_HEADS = 20
_BUFFER_SIZE = 64 * 1024  # reading pauses at twice as much that nobody has taken
_HEAD_END = re.compile(rb"\n\r?\n")


class Connection(ResponseHandler):
    """One connection, which serves one exchange after the other."""

    _heads = 0
    _last_bytes = 0.0
    _awaits_head = False
    _head_tail = b""  # the last bytes of a head that is not complete
    _body: _ChunkedReader | None = None

    def set_response_params(self, **params: Any) -> None:
        self._heads = 0
        self._awaits_head = True
        self._head_tail = b""
        self._body = None
        super().set_response_params(**params)

    async def read(self) -> Any:
        """The next head."""
        if self._heads > _MAX_INTERIM_HEADS:
            raise HttpProcessingError(code=502, message="too many interim responses")
        if self._heads:
            self.start_timeout()
        self._heads += 1
        return await super().read()

    def data_received(self, data: bytes) -> None:
        if self._body is not None:
            if data:  # nothing: reading goes on after a pause
                self._last_bytes = monotonic()
                self._body.receive(data)
            return
        while self._awaits_head and data:
            window = self._head_tail + data
            found = _HEAD_END.search(window)
            if found is None:
                self._head_tail = window[-3:]
                break
            end = found.end() - len(self._head_tail)
            self._head_tail = b""
            super().data_received(data[:end])
            data = data[end:]
            if self._exception is not None:
                return
        if self._body is None:
            super().data_received(data)
        else:
            self._payload = self._body
            self._body.on_eof(self._drop_timeout)
            if data:
                self._body.receive(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A head is complete. Its body's reader is ours where the body is chunked."""
        message, reader = data
        if message.code >= 200 or message.upgrade:
            self._awaits_head = False
            if message.chunked and type(reader) is StreamReader and not reader.total_bytes:
                reader = self._body = _ChunkedReader(self)
        super().feed_data((message, reader), size)

    def end_body(self, *, excess: bool) -> None:
        """The body is complete. After this, no byte belongs to it."""
        self._parser = None  # for all that it knows, the body is yet to come
        self._should_close = self._should_close or excess

    def _reschedule_timeout(self) -> None:
        # Called for each piece of data: one timer that looks at the clock when it fires is cheaper than a new
        # one each time.
        if self._read_timeout is None:
            self._drop_timeout()
            return
        self._last_bytes = monotonic()
        if self._read_timeout_handle is None:
            self._read_timeout_handle = self._loop.call_later(self._read_timeout, self._on_read_timeout)

    def _on_read_timeout(self) -> None:
        left = self._last_bytes + (self._read_timeout or 0.0) - monotonic()
        if left > 0:
            self._read_timeout_handle = self._loop.call_later(left, self._on_read_timeout)
        else:
            super()._on_read_timeout()

    def is_connected(self) -> bool:
        """Whether it may serve another exchange: also not when its end has come and the loop has yet to notice."""
        if not super().is_connected() or self.transport is None:
            return False
        sock = self.transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        if isinstance(exc, HttpProcessingError):
            self._tell_reader(exc)
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            self._tell_reader(exc)
        super().connection_lost(exc)
        self._body = None  # they hold each other

    def _tell_reader(self, exc: BaseException) -> None:
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class _ChunkedReader(StreamReader):
    """The reader of a chunked body: unframes what comes, all chunks of a packet in one go."""

    __slots__ = ("_connection", "_framing")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, _BUFFER_SIZE, loop=connection._loop)
        self._connection = connection
        self._framing = ChunkedBody()

    def receive(self, data: bytes) -> None:
        """Bytes came from the connection."""
        framing = self._framing
        if framing.done or self._exception is not None:
            self._connection.close()  # more than was asked for
            return
        try:
            data = framing.feed(data)
        except APIError as error:
            self.feed_data(framing.salvaged)
            self.set_exception(error)
            self._connection.close()
            return
        if data:
            self._buffer.append(data)
            self._size += len(data)
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
            if self._size > self._high_water:
                self._connection.pause_reading()
        if framing.done:
            self._connection.end_body(excess=framing.excess)
            self.feed_eof()

    async def readany(self) -> bytes:
        """All that is there, as soon as there is some; `b""` at the end."""
        if self._exception is not None:
            raise self._exception
        buffer = self._buffer
        if not buffer and not self._eof:
            if self._connection.transport is None:
                raise RuntimeError("the connection was closed")
            self._waiter = waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        data = buffer.popleft() if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        if self._connection._reading_paused:
            self._connection.resume_reading()
        return data
