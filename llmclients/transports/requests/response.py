"""A response of requests', its body taken off the socket as it arrives.

requests' own ways to read a body lose the bytes of a chunk that was cut, or give one HTTP chunk a call.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llmclients.errors import APIError, APIResponseError
from llmclients.transports.base import FINISH_BYTES, FINISH_SECONDS
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import Exchange, closed_early
from llmclients.transports.framing import BodyFraming, ChunkedBody, EndlessBody, SizedBody, can_serve_again
from llmclients.transports.requests.strict_head import raw_socket

if TYPE_CHECKING:
    import requests

__all__ = ["RequestsResponse"]

_READ_SIZE = 64 * 1024


class RequestsResponse:
    """An open exchange over requests."""

    def __init__(self, response: requests.Response, exchange: Exchange, limit: int) -> None:
        self._raw: Any = response.raw
        self._exchange = exchange
        self._lock = threading.Lock()  # of who gives the connection back
        self._ended = self._closed = False
        self._failure: APIError | None = None
        self._socket: socket.socket | None = None
        self._framing: BodyFraming = EndlessBody()
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value.strip() for name, value in response.headers.items()}
        encoded = self.headers
        self._receive: Callable[[int], bytes]
        reader = getattr(getattr(self._raw, "_fp", None), "fp", None)
        if getattr(response, "_content_consumed", False):  # a hook of the caller's session has read and decoded it
            self._receive = io.BytesIO(response.content).read
            encoded = {}
        elif isinstance(reader, io.BufferedReader):
            self._receive = reader.read1
            self._socket = raw_socket(reader)
            if self._raw.chunked:
                self._framing = ChunkedBody()
            elif self._raw.length_remaining is not None:
                self._framing = SizedBody(self._raw.length_remaining)
        else:  # no socket: a response that a test made
            self._receive = partial(self._raw.read, decode_content=False)
        try:
            self._decoder = BodyDecoder(encoded, limit)
            if self._framing.done:
                self._end()
        except APIError:
            self.close()
            raise

    def read(self) -> bytes:
        """The next bytes of the body, all that are there; `b""` at its end."""
        try:
            while not self._ended:
                if self._closed:
                    raise closed_early()
                if (remaining := self._exchange.remaining()) is not None and self._socket is not None:
                    self._socket.settimeout(min(self._exchange.timeout.read, remaining))
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
            if closed:
                raise closed_early() from None
            if isinstance(error, Exception):
                raise self._exchange.error(error, "read") from error
            raise
        return b""

    def _unframed(self, data: bytes) -> bytes:
        framing = self._framing
        try:
            return framing.feed(data)
        except APIResponseError as error:
            if not isinstance(framing, ChunkedBody) or not framing.salvaged:
                raise
            self._failure = error  # what came before it comes first
            return framing.salvaged

    def finish(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection."""
        try:
            with suppress(Exception):  # the answer is complete: at worst its connection is not used again
                if self._socket is not None and can_serve_again(self.headers):
                    self._take_end(self._socket)
        finally:
            self.close()

    def _take_end(self, sock: socket.socket) -> None:
        exchange, taken = self._exchange, 0
        until = exchange.clock.monotonic() + FINISH_SECONDS
        if exchange.deadline is not None:
            until = min(until, exchange.deadline)
        while not self._ended and not self._closed and taken < FINISH_BYTES:
            remaining = until - exchange.clock.monotonic()
            if remaining <= 0:
                return
            sock.settimeout(remaining)
            data = self._receive(_READ_SIZE)
            taken += len(data)
            self._framing.feed(data)
            if self._framing.done:
                sock.settimeout(exchange.timeout.read)
                self._end()

    def _end(self) -> None:
        """The body is complete: the connection may serve another exchange."""
        with self._lock:
            if self._closed:
                raise closed_early()
            self._ended = True
            if self._socket is None or self._framing.excess:
                self._raw.close()
            else:
                self._raw._fp.close()
                self._raw.release_conn()

    def close(self) -> None:
        """Free the connection. Idempotent; may be called from another thread, whose wait in `read` then ends."""
        with self._lock:
            done = self._ended or self._closed
            self._closed = True
        if done:
            return
        if self._socket is not None:
            with suppress(OSError):  # not connected any more
                self._socket.shutdown(socket.SHUT_RDWR)
        self._raw.close()

    def __del__(self) -> None:
        if hasattr(self, "_decoder"):
            self.close()
