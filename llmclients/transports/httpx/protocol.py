"""One HTTP/1.1 connection over asyncio: an `asyncio.Protocol` that serves one exchange after the other.

Theory of operation. A connection is in one of four states:

    IDLE ──exchange()──► HEAD ──head is whole──► BODY ──release(), all was read──► IDLE
                           any state ──failure, abort(), the peer's end──► CLOSED

- IDLE: nothing is under way. A byte that comes now belongs to nobody: it closes the connection.
- HEAD: the request goes out, the response's head is awaited (`exchange` gave a future of it). Interim ones are skipped.
- BODY: bytes are unframed as they come, and kept in `_pieces` until they are read. Over 128 KiB, reading pauses, which
  holds the server up. The body may be complete (`_complete`) long before its reader knows; only when the reader has
  come to the end does `release` say whether another exchange may follow.
- CLOSED: `_failure` says why. What came before it can still be read, then the failure is raised.

Invariants:

- Everything runs in the loop's thread. There is one reader, and it waits only while nothing is there.
- The limits on waiting, and how a request goes out, are the base class's (`sending`). A refusal, any status from 300
  on, stops a request that is still going out; such a connection serves no other exchange.
- A connection that ends with bytes unsent is aborted: to wait for a peer that does not read has no end.
- Nothing here waits for anything: whoever waits holds one of the two futures, `_head` and `_waiter`.

The pool (`pool`) owns connections; `response` reads them; `connect` makes them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import monotonic

from llmclients.errors import APIError
from llmclients.transports.framing import BodyFraming, ChunkedBody, ContentLengthBody, UntilCloseBody, can_serve_again
from llmclients.transports.head import HeadReader, MalformedError, ResponseHead, response_framing
from llmclients.transports.httpx.failures import ConnectionLostError, DeadlineError
from llmclients.transports.httpx.sending import Sender
from llmclients.transports.httpx.sockets import is_readable, left_unread
from llmclients.transports.httpx.tls import TLSLayer

__all__ = ["Connection"]

_MAX_BUFFERED = 128 * 1024


class Connection(Sender):
    """One connection. `sock` is the socket below it; `when_lost` is called once, when it has ended."""

    __slots__ = (
        "_buffered", "_complete", "_deadline", "_failure", "_framing", "_head", "_head_reader", "_paused", "_pieces",
        "_reusable", "_waiter", "exchanges", "headers", "when_lost",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, shared: memoryview) -> None:
        super().__init__(loop, sock, shared)
        self.when_lost: Callable[[Connection], None] | None = None
        self.exchanges = 0
        self.headers: dict[str, str] = {}
        self._failure: Exception | None = None
        self._head: asyncio.Future[ResponseHead] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head_reader: HeadReader | None = None  # from the reply's first byte to the end of its head
        self._framing: BodyFraming | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._complete = self._paused = False
        self._reusable = True

    # --- what its users call ----------------------------------------------------------------------------------------

    def exchange(
        self, head: bytes, body: bytes, read: float, write: float, deadline: float | None = None
    ) -> asyncio.Future[ResponseHead]:
        """Send a request; the response's head to come.

        Args:
            read: the most seconds without a byte.
            write: the most seconds in which the peer takes nothing of the request.
            deadline: when all of it must be over, on the loop's clock.
        """
        self.exchanges += 1
        self._head = future = self._loop.create_future()
        self._framing, self._head_reader, self._complete = None, None, False
        if self._wire is None:  # it has ended since it was found clean
            self._failure = self._failure or ConnectionLostError(before_reply=True)
            self._wake()
            return future
        if deadline is not None:
            self._deadline = self._loop.call_at(deadline, self.expire)
        self._send(head, body, read, write)
        return future

    def read_nowait(self) -> bytes | None:
        """The body's bytes that are there; `b""` at its end; None when nothing is there yet.

        Raises:
            Exception: the failure that ended the connection, once all that came before it was read.
        """
        if pieces := self._pieces:
            if len(pieces) == 1:
                data = pieces.pop()
            else:
                data = b"".join(pieces)
                pieces.clear()
            self._buffered = 0
            if self._paused:
                self._paused = False
                if self._wire is not None:
                    self._wire.resume_reading()
            return data
        if self._complete:
            return b""
        if self._failure is not None:
            raise self._failure
        return None

    def readable(self) -> asyncio.Future[None]:
        """Done when `read_nowait` has something to say. For one task at a time."""
        self._waiter = waiter = self._loop.create_future()
        if self._pieces or self._complete or self._failure is not None:
            waiter.set_result(None)
        else:
            self._start_waiting()
        return waiter

    def release(self) -> bool:
        """The exchange is over. Whether another one may follow; else the connection is closed."""
        clean = self._reusable and self._complete and not self._pieces and self._sent() and self._failure is None
        if not clean or self._wire is None or self._wire.is_closing():
            self.close()
            return False
        self._head = self._waiter = self._framing = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return True

    def is_clean(self) -> bool:
        """Whether an idle connection may serve another exchange: nothing has come, not even its end."""
        return (
            self._failure is None
            and self._wire is not None
            and not self._wire.is_closing()
            and not is_readable(self.sock)
        )

    def tls_session(self) -> ssl.SSLSession | None:
        """What another TLS connection to the same host can begin with."""
        return self._wire.session if isinstance(self._wire, TLSLayer) else None

    def close(self) -> None:
        """End it in good order where that takes no time; else at once. Never waits."""
        wire = self._wire
        if wire is not None and self._sent():
            self._wire = None
            wire.close()
        self.abort()

    def abort(self, failure: Exception | None = None) -> None:
        """End it at once. Whoever waits gets the failure."""
        self._fail(failure or ConnectionLostError("it was closed here"))

    def expire(self) -> None:
        """The deadline has passed: not even what is there is wanted any more."""
        self._pieces.clear()
        self._complete = False
        self._failure = None
        self._fail(DeadlineError())

    # --- what asyncio, or the TLS layer, calls ----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        framing = self._framing
        if framing is None:
            self._active_at = monotonic()
            self._receive_head(data)
            return
        if self._complete:
            self._reusable = False  # more than was asked for
            return
        try:
            data = framing.feed(data)
        except APIError as error:
            if isinstance(framing, ChunkedBody) and framing.decoded_before_error:
                self._pieces.append(framing.decoded_before_error)
            self._fail(error)
            return
        if data:
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered > _MAX_BUFFERED and not self._paused and self._wire is not None:
                self._paused = True
                self._wire.pause_reading()
        if framing.done:
            self._complete = True
            if framing.excess:
                self._reusable = False
        elif not data:
            self._active_at = monotonic()  # its reader waits on; one that is woken says itself when it waits again
            return
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def eof_received(self) -> None:
        """The peer has ended the connection in good order."""
        framing = self._framing
        if type(framing) is UntilCloseBody and self._failure is None:
            self._complete, self._reusable = True, False
            self._wake()
        elif not self._complete:
            self._fail_as_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._failure is None and type(self._wire) is not TLSLayer:
            for data in left_unread(self.sock):
                self.data_received(data)
        if not self._complete:
            self._fail_as_lost(exc)
        self._reusable = False
        self._wire = self._unsent = None
        self._cancel_timers()
        if self.when_lost is not None:
            self.when_lost(self)
            self.when_lost = None
        super().connection_lost(exc)

    # --- heads and bodies -------------------------------------------------------------------------------------------

    def _receive_head(self, data: bytes) -> None:
        if self._head is None or self._head.done():
            self.abort()  # it is idle, or given up: nobody asked for anything
            return
        reader = self._head_reader
        if reader is None:
            reader = self._head_reader = HeadReader()
        try:
            head = reader.feed(data)
            if head is not None:
                self._head_reader = None
                self._begin_body(head, reader.rest)
        except (MalformedError, APIError) as error:
            self._fail(error)

    def _begin_body(self, head: ResponseHead, data: bytes) -> None:
        assert self._head is not None
        self.headers = headers = head.joined()
        framing = response_framing(head, headers)
        if (
            head.version == 0
            or not (framing.done or can_serve_again(headers))
            or "close" in headers.get("connection", "").lower()
        ):
            self._reusable = False
        if self._unsent is not None and head.status >= 300:
            self._unsent = None  # it will not read the rest
            self._reusable = False
        self._framing = framing
        self._complete = framing.done
        self._head.set_result(head)
        self._head = None  # which would keep the whole head
        if data:
            self.data_received(data)

    # --- ends -------------------------------------------------------------------------------------------------------

    def _cancel_timers(self) -> None:
        self._cancel_timer()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _awaited(self) -> bool:
        return self._waiter is not None or (self._head is not None and not self._head.done())

    def _fail_as_lost(self, cause: Exception | None) -> None:
        if self._failure is not None:
            return
        framing = self._framing
        if isinstance(framing, ContentLengthBody | ChunkedBody) and cause is None:
            try:
                framing.feed(b"")
            except APIError as error:  # which says what is missing
                self._fail(error)
                return
        before_reply = framing is None and self._head_reader is None
        failure = ConnectionLostError(str(cause or ""), before_reply=before_reply)
        failure.__cause__ = None if cause is None else cause.with_traceback(None)
        self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure.with_traceback(None)  # its frames have this connection, and asyncio's transport
        self._reusable = False
        self._unsent = self._framing = None  # what comes yet belongs to nobody
        self._cancel_timers()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
        self._wake()

    def _wake(self) -> None:
        head, waiter = self._head, self._waiter
        self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if head is not None and not head.done() and self._failure is not None:
            head.set_exception(self._failure)
            head.exception()  # nobody may wait any more
