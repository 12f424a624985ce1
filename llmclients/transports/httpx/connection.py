"""An aiohttp `ResponseHandler` that unframes chunked bodies itself, and reports every way in which a body can fail.

It depends on private names of aiohttp, which are listed below.
"""

# Why not aiohttp's own
#
#   It takes a reset for the end of a body that has no length.           -> `connection_lost` fails the reader
#   It says nothing to the reader of a body when a chunk is malformed.   -> `set_exception` fails the reader
#   It waits for ever after an interim response.                         -> `read` starts the timeout again
#   It lends a connection whose end has come, before the loop sees that. -> `is_connected` asks the socket
#   Its parser calls back three times for each HTTP chunk, which costs more than all the rest of reading one.
#                                       -> the parser gets the heads only; `_ChunkedReader` unframes a chunked body
#   It makes a new timer for each piece of data.                         -> one timer, which looks at the clock
#
# States, from `set_response_params` (aiohttp lends the connection to an exchange) to the next
#
#   awaiting the head   _awaits_head. `data_received` cuts what comes after each empty line, so that the parser sees
#                       heads and no byte of a body. `_head_tail` has the last three bytes of a head that is not
#                       complete: an empty line may be cut anywhere. Each complete head comes back by `feed_data`; that
#                       of an interim response leaves the state as it is.
#   chunked body        _body is set. All bytes go to it. aiohttp's parser does not know that the body goes on, so it is
#                       dropped when the body is complete (`end_body`): aiohttp asks it when the connection ends.
#   other body          neither. All bytes go to the parser, and from there to aiohttp's own reader.
#
# All of it runs in the connection's event loop, as callbacks of asyncio's transport; the task that reads runs between
# them. Reading pauses when twice _BUFFER_SIZE waits in the reader, and goes on when it is taken.
#
# Names of aiohttp that are not public, and why each is needed. tests/test_internals.py asserts them; setup.cfg caps
# aiohttp below the first minor version that is not tested.
#
#   TCPConnector._factory           makes the connections; the only way to have this class used (transport.py)
#   ClientSession._retry_connection set to False: aiohttp would send a GET twice (transport.py)
#   StreamReader._read_nowait       the bytes that came before a failure (response.py)
#   ResponseHandler
#     _loop                         the loop of the timer and of the reader's futures
#     _parser                       dropped at the end of a chunked body
#     _payload                      the reader of the current body: replaced by ours, and told of failures
#     _exception                    whether the parser has failed on a head: then no byte after it counts
#     _should_close                 set where bytes came after a body: no other exchange may use the connection
#     _reading_paused               whether reading waits for the buffer to be taken
#     _drop_timeout                 ends the timeout at the body's end
#     _read_timeout, _read_timeout_handle, _reschedule_timeout, _on_read_timeout
#                                   the timer of `timeout.read`, overridden
#   StreamReader
#     _buffer, _size, _waiter, _eof, _exception, _loop, _high_water
#                                   `_ChunkedReader` fills the buffer and wakes the reader without aiohttp's calls for
#                                   each piece, and takes all that is there at once
#
# Not private but undocumented: the modules client_proto, streams and http_exceptions, and the methods overridden here.

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
    """One connection, which serves one exchange after the other. Made by aiohttp's connector."""

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
        """The next head, of an interim response or the final one, with its body's reader."""
        if self._heads > _MAX_INTERIM_HEADS:
            raise HttpProcessingError(code=502, message="too many interim responses")
        if self._heads:
            self.start_timeout()
        self._heads += 1
        return await super().read()

    def data_received(self, data: bytes) -> None:
        """Bytes came from the socket: cut them into heads and body."""
        if self._body is not None:
            if data:  # aiohttp calls with none when reading goes on after a pause
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
        """The chunked body is complete. `excess`: bytes came after it, so the connection is not used again."""
        self._parser = None
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
        """Whether it may serve another exchange: not when its end, or bytes that nobody asked for, have arrived."""
        if not super().is_connected() or self.transport is None:
            return False
        sock = self.transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """The connection has failed: so has the body, where what came is not HTTP."""
        if isinstance(exc, HttpProcessingError):
            self._fail_body(exc)
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended. With an error: so has the body, whatever its framing."""
        if exc is not None:
            self._fail_body(exc)
        super().connection_lost(exc)
        self._body = None  # it refers to this connection

    def _fail_body(self, exc: BaseException) -> None:
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class _ChunkedReader(StreamReader):
    """The reader of a chunked body: unframes what comes, all chunks of a packet at once."""

    __slots__ = ("_connection", "_framing")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, _BUFFER_SIZE, loop=connection._loop)
        self._connection = connection
        self._framing = ChunkedBody()

    def receive(self, data: bytes) -> None:
        """Bytes came from the connection."""
        framing = self._framing
        if framing.done or self._exception is not None:
            self._connection.close()  # nobody asked for these bytes
            return
        try:
            data = framing.feed(data)
        except APIError as error:
            self.feed_data(framing.decoded_before_error)
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
