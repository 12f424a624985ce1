"""The synchronous transport's response: reads the body below requests, from the socket's buffered reader.

requests' own ways to read a body lose the bytes of a chunk that was cut, or give one HTTP chunk a call.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llmclients.errors import APIError, APIResponseError
from llmclients.transports.base import DRAIN_BYTES, DRAIN_SECONDS
from llmclients.transports.content_encoding import BodyDecoder, quoted
from llmclients.transports.errors import ErrorContext, closed_locally
from llmclients.transports.framing import BodyFraming, ChunkedBody, ContentLengthBody, UntilCloseBody
from llmclients.transports.framing import can_serve_again as serves_again
from llmclients.transports.requests.sockets import Guard, holds_bytes, refuse_cuts, shut_down
from llmclients.transports.requests.strict_head import RaisedInHandlerError, raw_socket, reading_limit

if TYPE_CHECKING:
    import requests

__all__ = ["RequestsResponse"]

_READ_SIZE = 64 * 1024


class RequestsResponse:
    """An open exchange over requests.

    Three ways to the body's bytes, chosen once:

    - from the socket: `_receive` is the reader's `read1`, `_framing` says where the body ends, and where there is a
      deadline, `_limit_wait` is told before each read. The connection goes back to urllib3's pool at the body's end.
    - from the response of a test's mock, which has no socket: by `raw.read`. No timeouts there.
    - from memory, where a hook of the caller's session has read (and decoded) the body already.

    Args:
        response: requests' response, its body not read.
        context: makes the errors; has the timeouts and the deadline.
        limit: the most bytes of the body, decoded.
        can_serve_again: False where a part of the request was left unsent.
        guard: ends the connection when the deadline has passed, where that is needed.
    """

    def __init__(
        self,
        response: requests.Response,
        context: ErrorContext,
        limit: int,
        *,
        can_serve_again: bool = True,
        guard: Guard | None = None,
    ) -> None:
        self._process = os.getpid()
        self._guard = guard
        self._raw: Any = response.raw
        self._context = context
        # close() may come from another thread, and from a signal's handler in this one: one frees the connection.
        self._lock = threading.RLock()
        self._ended = self._closed = self._is_half_closed = False
        self._can_serve_again = can_serve_again
        self._failure: APIError | None = None
        self._socket: socket.socket | None = None
        self._limit_wait: Callable[[float], None] | None = None
        self._reader: io.BufferedReader | None = None
        self._framing: BodyFraming = UntilCloseBody()
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value.strip() for name, value in response.headers.items()}
        encoded = self.headers
        self._receive: Callable[[int], bytes]
        reader = getattr(getattr(self._raw, "_fp", None), "fp", None)
        if getattr(response, "_content_consumed", False):  # a hook of the caller's session has read and decoded it
            self._receive = io.BytesIO(response.content).read
            encoded = {}
        elif isinstance(reader, io.BufferedReader):
            self._receive, self._reader = reader.read1, reader
            self._socket, self._limit_wait = raw_socket(reader), reading_limit(reader)
            self._framing = _framing(self._raw)
            if isinstance(self._framing, UntilCloseBody):
                refuse_cuts(self._socket)
            elif not self._framing.done:
                self._can_serve_again &= serves_again(self.headers)
        else:  # a test's mock
            self._receive = partial(self._raw.read, decode_content=False)
        try:
            if (coding := self.headers.get("transfer-encoding", "chunked")).lower() != "chunked":
                raise APIResponseError(f"the response has an unknown transfer coding: {quoted(coding)}")
            self._decoder = BodyDecoder(encoded, limit)
            if self._framing.done:  # no body
                self._can_serve_again &= not _has_more(reader, self._socket)
                self._end()
        except APIError:
            self.close()
            raise

    def read(self) -> bytes:
        """The next bytes of the body, all that are there; `b""` at its end."""
        try:
            while not self._ended and not self._decoder.pending:
                if self._closed:
                    raise closed_locally()
                if (remaining := self._context.remaining()) is not None and self._limit_wait is not None:
                    self._limit_wait(min(self._context.timeout.read_seconds, remaining))
                if self._failure is not None:
                    raise self._failure
                data = self._unframed(self._receive(_READ_SIZE))
                if self._framing.done:
                    self._end()
                if data and (data := self._decoder.feed(data)):
                    return data
            self._decoder.finish()
        except BaseException as error:
            closed = self._closed
            self.close()
            if isinstance(error, RaisedInHandlerError):
                raise error.error from None
            if closed:
                raise closed_locally() from None
            if isinstance(error, Exception):
                is_over = self._guard is not None and self._guard.has_ended
                raise self._context.error(TimeoutError() if is_over else error, "read") from error
            raise
        return b""

    def _unframed(self, data: bytes) -> bytes:
        framing = self._framing
        try:
            return framing.feed(data)
        except APIResponseError as error:
            if not isinstance(framing, ChunkedBody) or not framing.decoded_before_error:
                raise
            self._failure = error  # raised by the next read: what came before the error is handed out first
            return framing.decoded_before_error

    def drain(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection."""
        try:
            with suppress(Exception):  # the answer is complete: at worst its connection is not used again
                if self._limit_wait is not None and self._can_serve_again and serves_again(self.headers):
                    self._take_end(self._limit_wait)
        finally:
            self.close()

    def _take_end(self, limit_wait: Callable[[float], None]) -> None:
        context, taken = self._context, 0
        until = context.clock.monotonic() + DRAIN_SECONDS
        if context.deadline is not None:
            until = min(until, context.deadline)
        while not self._ended and not self._closed and taken < DRAIN_BYTES:
            remaining = until - context.clock.monotonic()
            if remaining <= 0:
                return
            limit_wait(remaining)
            data = self._receive(_READ_SIZE)
            taken += len(data)
            self._framing.feed(data)
            if self._framing.done:
                limit_wait(context.timeout.read_seconds)
                self._end()

    def _end(self) -> None:
        """The body is complete: the connection may serve another exchange."""
        with self._lock:
            if self._closed:
                raise closed_locally()
            self._ended = True
            if self._guard is not None:
                self._guard.cancel()
            if self._socket is None or self._framing.excess or not self._can_serve_again or holds_bytes(self._socket):
                self._raw.close()
            else:
                self._raw._fp.close()
                self._raw.release_conn()

    def close(self) -> None:
        """Free the connection. Idempotent; ends a wait in `read`, and may be called for that from another thread, or
        from the handler of a signal that came in the middle of it.
        """
        with self._lock:
            done = (self._ended or self._closed) and not self._is_half_closed
            self._closed, self._is_half_closed = True, False
        if done:
            return
        if self._guard is not None:
            self._guard.cancel()
        if self._socket is not None and self._process == os.getpid():  # else the connection is the parent's
            shut_down(self._socket)
        try:
            self._raw.close()
            if self._reader is not None:
                self._reader.close()
        except RuntimeError:  # a handler cannot close the buffer whose reading it interrupts: `read` does the rest
            self._is_half_closed = True

    def __del__(self) -> None:
        if hasattr(self, "_decoder"):
            self.close()


def _framing(raw: Any) -> BodyFraming:
    """How the body of urllib3's response ends."""
    if (framing := getattr(raw._fp, "framing", None)) is not None:
        return framing  # type: ignore[no-any-return]  # a StrictHTTPResponse's
    if raw.chunked:  # a session of the caller's
        return ChunkedBody()
    return UntilCloseBody() if raw.length_remaining is None else ContentLengthBody(raw.length_remaining)


def _has_more(reader: Any, sock: socket.socket | None) -> bool:
    """Whether bytes that nobody asked for have come behind a head without a body: of another answer, it may be."""
    if sock is None:
        return False
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        return bool(reader.peek(1))
    except (OSError, ValueError):  # nothing there, or no connection any more
        return False
    finally:
        sock.settimeout(timeout)
