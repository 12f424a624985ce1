"""A stricter `http.client.HTTPResponse`: rejects cut and malformed heads, skips 1xx, bounds the time of the head."""

# What http.client does, and what is done about it
#
#   A connection that ends inside the head ends the head: the headers that had come count, and a chunked body may become
#   one that ends with its connection. -> `_HeadReader` gives http.client its lines, and a cut one is an error.
#
#   Of the interim responses only 100 is skipped; a 102, a 103 is taken for the response. -> `begin` reads on. It does
#   nothing while `headers` is set, so that is reset before. A server may send _MAX_INTERIM_HEADS of them.
#
#   email.parser parses the headers, and goes on after a malformed line without the headers that it hit, which may be
#   the body's length. -> Such defects are an error. So is a Content-Length that is no number: http.client ignores it.
#
#   A socket's timeout starts anew with each byte, so a head that drips takes for ever. -> `_TimedReader` sets the
#   socket's timeout before each read to what is left until the exchange's deadline.
#
# The exchange's limits come by `limits.current()`. After the head, a `RequestsResponse` reads the body, from the
# buffered reader that this class leaves in `fp`: it has the body's first bytes. It takes the socket by `raw_socket`,
# and sets its timeout from then on.
#
# A proxy's reply to CONNECT does not pass through `begin`: http.client reads it line by line from `fp`. Of all this,
# the time holds for it, and the number of lines.

from __future__ import annotations

import email.errors
import http.client
import io
import socket
import time
from typing import Any, BinaryIO

from llmclients.transports.requests.limits import current

__all__ = ["StrictHTTPResponse", "raw_socket"]

_MAX_INTERIM_HEADS = 20
_MAX_TUNNEL_LINES = 100

_DEFECTS = (  # those of a head in which a header is missing
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


def raw_socket(reader: io.BufferedReader) -> socket.socket | None:
    """The socket below a reader that `socket.makefile` or a `StrictHTTPResponse` made.

    From now on its timeout is the caller's to set.
    """
    if isinstance(reader.raw, _TimedReader):
        reader.raw.deadline = None
    return getattr(reader.raw, "_sock", None)


class StrictHTTPResponse(http.client.HTTPResponse):
    """http.client's response, strict about its head.

    Raises:
        HTTPException: the head is malformed, or the connection ended inside it (`RemoteDisconnected`).
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        limits = current()
        deadline = limits.head_at() if limits is not None else None
        if deadline is not None:
            self.fp.close()
            buffered = _TunnelReader if limits is not None and limits.is_connecting else io.BufferedReader
            self.fp = buffered(_TimedReader(sock, deadline))

    def begin(self) -> None:
        """Read the head of the final response."""
        reader = self.fp
        limits, lines = current(), _HeadReader(reader)
        self.fp = lines  # type: ignore[assignment]  # http.client only calls readline and close
        try:
            for _ in range(_MAX_INTERIM_HEADS):
                super().begin()
                if self.status >= 200 or self.status == http.client.SWITCHING_PROTOCOLS:
                    break
                self.headers = self.msg = None  # type: ignore[assignment]  # else begin() does nothing
            else:
                raise http.client.HTTPException("too many interim responses")
        except (http.client.RemoteDisconnected, ConnectionError):
            if limits is not None:
                limits.has_answer = lines.has_bytes or _has_bytes(reader)
            raise
        finally:
            if self.fp is not None:  # http.client has closed it already, after a status line that is none
                self.fp = reader
        if any(isinstance(defect, _DEFECTS) for defect in self.headers.defects):
            raise http.client.HTTPException("malformed headers")
        lengths = ",".join(self.headers.get_all("content-length", "0")).split(",")
        if not self.chunked and not all(length.strip().isdecimal() for length in lengths):
            raise http.client.HTTPException("malformed length")


def _has_bytes(reader: Any) -> bool:
    """Whether a byte of the head had come before the connection was lost: it waits in the buffer."""
    try:
        return bool(reader.peek(1))
    except (OSError, ValueError):
        return False


class _TunnelReader(io.BufferedReader):
    """The lines of a proxy's reply to CONNECT. Their number is bounded, each one's length by http.client."""

    lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self.lines += 1
        if self.lines > _MAX_TUNNEL_LINES:
            raise http.client.HTTPException("the proxy's reply has too many lines")
        return super().readline(size)


class _HeadReader:
    """The lines of a head. That the connection ends inside it is an error."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader
        self.has_bytes = False

    def readline(self, limit: int) -> bytes:
        line = self._reader.readline(limit)
        if len(line) < limit and not line.endswith(b"\n"):
            self.has_bytes = self.has_bytes or bool(line)
            raise http.client.RemoteDisconnected("closed inside the head")
        self.has_bytes = True
        return line

    def close(self) -> None:
        self._reader.close()


class _TimedReader(io.RawIOBase):
    """A socket's bytes, however slowly they drip, until `deadline`: in seconds of `time.monotonic`, None for never.

    `_sock` has the name that `socket.SocketIO` gives it, so that `raw_socket` finds it in both.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self.deadline: float | None = deadline
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None:
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the deadline has passed")
            self._sock.settimeout(remaining if self._timeout is None else min(self._timeout, remaining))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()
