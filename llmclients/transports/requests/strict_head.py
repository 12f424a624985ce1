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
# How the deadline gets here: urllib3 makes the response, deep inside, by the connection's `response_class`, and has no
# argument to pass it through. The transport sends within `heads_within`, in one thread from the request to the head, so
# a thread-local carries it. Then a `RequestsResponse` reads the body, from the buffered reader that this class leaves
# in `fp`: it has the body's first bytes. It takes the socket by `raw_socket`, and sets its timeout from then on.
#
# A proxy's reply to CONNECT does not pass through `begin`: of all this, only the deadline holds for it.

from __future__ import annotations

import email.errors
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

__all__ = ["StrictHTTPResponse", "heads_within", "raw_socket"]

_MAX_INTERIM_HEADS = 20

_DEFECTS = (  # those of a head in which a header is missing
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


class _Deadline(threading.local):
    """When the head that this thread waits for must be complete, in seconds of `time.monotonic`; None: never."""

    at: float | None = None


_deadline = _Deadline()


@contextmanager
def heads_within(seconds: float | None) -> Iterator[None]:
    """A head that this thread reads inside the block must be complete `seconds` from now.

    Raises:
        TimeoutError: where it is read, because it is not.
    """
    _deadline.at = None if seconds is None else time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = None


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
        if _deadline.at is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, _deadline.at))

    def begin(self) -> None:
        """Read the head of the final response."""
        reader = self.fp
        self.fp = _HeadReader(reader)  # type: ignore[assignment]  # http.client only calls readline and close
        try:
            for _ in range(_MAX_INTERIM_HEADS):
                super().begin()
                if self.status >= 200 or self.status == http.client.SWITCHING_PROTOCOLS:
                    break
                self.headers = self.msg = None  # type: ignore[assignment]  # else begin() does nothing
            else:
                raise http.client.HTTPException("too many interim responses")
        finally:
            if self.fp is not None:  # http.client has closed it already, after a status line that is none
                self.fp = reader
        if any(isinstance(defect, _DEFECTS) for defect in self.headers.defects):
            raise http.client.HTTPException("malformed headers")
        lengths = ",".join(self.headers.get_all("content-length", "0")).split(",")
        if not self.chunked and not all(length.strip().isdecimal() for length in lengths):
            raise http.client.HTTPException("malformed length")


class _HeadReader:
    """The lines of a head. That the connection ends inside it is an error."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader

    def readline(self, limit: int) -> bytes:
        line = self._reader.readline(limit)
        if len(line) < limit and not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("closed inside the head")
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
