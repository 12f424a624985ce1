"""A response's head as HTTP says, where the standard library is lenient: for the synchronous transport.

http.client takes a head that was cut for a whole one, and any 1xx but 100 for the answer; and no timeout of a socket
bounds headers that drip.
"""

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

__all__ = ["HeadResponse", "heads_within", "raw_socket"]

_MAX_INTERIM_HEADS = 20

# The parser goes on after these, without the header lines that they hit.
_LOST_HEADERS = (
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


class _Deadline(threading.local):
    """Connections are made deep inside the library; this is how they learn of the exchange's deadline."""

    at: float | None = None


_deadline = _Deadline()


@contextmanager
def heads_within(seconds: float | None) -> Iterator[None]:
    """Heads that this thread reads inside the block must be complete that soon."""
    _deadline.at = None if seconds is None else time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = None


def raw_socket(reader: io.BufferedReader) -> socket.socket | None:
    """The socket below a reader that `socket.makefile` or a `HeadResponse` made."""
    return getattr(reader.raw, "_sock", None)


class HeadResponse(http.client.HTTPResponse):
    """http.client's response, strict about its head."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        if _deadline.at is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, _deadline.at))

    def begin(self) -> None:
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
            if self.fp is not None:
                self.fp = reader
        if any(isinstance(defect, _LOST_HEADERS) for defect in self.headers.defects):
            raise http.client.HTTPException("malformed headers")
        lengths = ",".join(self.headers.get_all("content-length", "0")).split(",")
        if not self.chunked and not all(length.strip().isdecimal() for length in lengths):
            raise http.client.HTTPException("malformed length")


class _HeadReader:
    """Lines of a head; the connection's end inside it is an error."""

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
    """A socket's bytes until a deadline, however slowly they drip."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(remaining if self._timeout is None else min(self._timeout, remaining))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()
