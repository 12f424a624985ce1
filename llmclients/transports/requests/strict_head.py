"""`http.client.HTTPResponse` whose head is read as the asynchronous side reads it: strictly, and within its time."""

# What http.client does, and what is done about it
#
#   It is lenient: a head that is cut counts, a line that continues another may hide a length, a bare \r ends a line,
#   any interim response but 100 is taken for the response. -> `begin` reads the head by the `HeadReader` of both
#   transports: both see the same in the same bytes. It sets what http.client's own sets, and costs half as much.
#
#   A socket's timeout starts anew with each byte, so a head that drips takes for ever. -> `_TimedReader` sets the
#   socket's timeout before each read to what is left until the exchange's deadline.
#
#   What a server said while the request still went out was taken off the socket to look at it. -> It comes first.
#
# The exchange's limits come by `limits.current()`. After the head, a `RequestsResponse` reads the body, from the
# buffered reader that this class leaves in `fp`: it has the body's first bytes. `framing` says where the body ends. It
# takes the socket by `raw_socket`, and sets its timeout from then on.

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from llmclients.transports.framing import BodyFraming, ChunkedBody, UntilCloseBody
from llmclients.transports.head import HeadReader, MalformedError, ResponseHead, response_framing
from llmclients.transports.requests.limits import Limits, current

__all__ = ["StrictHTTPResponse", "raw_socket"]


def raw_socket(reader: io.BufferedReader) -> socket.socket | None:
    """The socket below a reader that `socket.makefile` or a `StrictHTTPResponse` made.

    From now on its timeout is the caller's to set.
    """
    if isinstance(reader.raw, _TimedReader):
        reader.raw.deadline = None
    return getattr(reader.raw, "_sock", None)


class StrictHTTPResponse(http.client.HTTPResponse):
    """http.client's response, strict about its head.

    Attributes:
        framing: how the body ends; None before the head was read.

    Raises:
        HTTPException: the head is malformed, or the connection ended inside it (`RemoteDisconnected`).
        APIResponseError: the body has a transfer coding that is not known.
    """

    framing: BodyFraming | None = None

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        limits = current()
        if limits is not None and (limits.total_at is not None or limits.early):
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, limits.total_at, limits.early))

    def begin(self) -> None:
        """Read the head of the final response."""
        assert isinstance(self.fp, io.BufferedReader)
        try:
            head = _read_head(self.fp, current())
            headers = head.joined()
            self.framing = response_framing(head, headers)
        except MalformedError:
            raise http.client.HTTPException("a malformed head") from None
        self.status = self.code = head.status
        self.reason, self.version = head.reason, 10 + head.version
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.pairs:
            self.headers[name] = value
        self.length, self.chunked, self.chunk_left = None, isinstance(self.framing, ChunkedBody), None
        connection = headers.get("connection", "").lower()
        closes = "close" in connection if head.version else "keep-alive" not in connection
        self.will_close = closes or isinstance(self.framing, UntilCloseBody)


def _read_head(reader: io.BufferedReader, limits: Limits | None) -> ResponseHead:
    """The final head, taken off the reader, and nothing else."""
    head_reader = HeadReader()
    while data := reader.peek(1):
        if limits is not None:
            limits.has_answer = True
        head = head_reader.feed(data)
        reader.read(len(data) - len(head_reader.rest))
        if head is not None:
            return head
    raise http.client.RemoteDisconnected("closed before the end of the head")


class _TimedReader(io.RawIOBase):
    """A socket's bytes, however slowly they drip, until `deadline`: in seconds of `time.monotonic`, None for never.

    `early` comes before them. `_sock` has the name that `socket.SocketIO` gives it, so that `raw_socket` finds it in
    both.
    """

    def __init__(self, sock: socket.socket, deadline: float | None, early: bytes) -> None:
        self._sock = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._early = early
        self.deadline: float | None = deadline
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._early:
            size = min(len(buffer), len(self._early))
            buffer[:size], self._early = self._early[:size], self._early[size:]
            return size
        if self.deadline is not None:
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the deadline has passed")
            self._sock.settimeout(remaining if self._timeout is None else min(self._timeout, remaining))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()
