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
#   A socket's timeout starts anew with each byte, so a head that drips takes for ever. -> `PatientReader` waits no
#   longer than until the exchange's deadline. And it waits in short waits (`transports.waiting`), which the reader that
#   `socket.makefile` makes does not survive: after a timeout it reads no more.
#
# The exchange's limits come by `limits.current()`. After the head, a `RequestsResponse` reads the body, from the
# buffered reader that this class leaves in `fp`: it has the body's first bytes. How long it waits for the next ones, it
# sets by `reading_limit`.
#
# A proxy's reply to CONNECT does not pass through `begin`: http.client reads it line by line from `fp`. Of all this,
# the time holds for it, and the number of lines.

from __future__ import annotations

import email.errors
import http.client
import io
import math
import socket
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from llmclients.transports.requests.limits import current
from llmclients.transports.waiting import LOOK_UP, short_waits

__all__ = ["PatientReader", "RaisedInHandlerError", "StrictHTTPResponse", "raw_socket", "reading_limit"]

_MAX_INTERIM_HEADS = 20
_MAX_TUNNEL_LINES = 100
_OF_SOCKETS = ("llmclients", "socket", "ssl", "urllib3", "socks")
"""The packages whose code runs in a read of a socket."""

_DEFECTS = (  # those of a head in which a header is missing
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


def raw_socket(reader: io.BufferedReader) -> socket.socket | None:
    """The socket below a reader that `socket.makefile` or a `StrictHTTPResponse` made."""
    return getattr(reader.raw, "_sock", None)


def reading_limit(reader: io.BufferedReader) -> Callable[[float], None] | None:
    """What sets how many seconds the next reads wait for bytes; None where there is no socket."""
    if isinstance(reader.raw, PatientReader):
        reader.raw.deadline = None  # the caller's from now on
        return reader.raw.limit_wait
    sock = raw_socket(reader)
    return None if sock is None else sock.settimeout


class StrictHTTPResponse(http.client.HTTPResponse):
    """http.client's response, strict about its head.

    Raises:
        HTTPException: the head is malformed, or the connection ended inside it (`RemoteDisconnected`).
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        limits = current()
        if limits is not None:
            self.fp.close()
            buffered = _TunnelReader if limits.is_connecting else io.BufferedReader
            self.fp = buffered(PatientReader(sock, limits.head_at()))

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


class RaisedInHandlerError(Exception):
    """Around a TimeoutError that a signal's handler has raised, as for `signal.alarm`: the caller's, not the socket's.

    urllib3 would take it for the socket's. Whoever hands errors out takes it off.
    """

    def __init__(self, error: TimeoutError) -> None:
        super().__init__(error)
        self.error = error


def _check_whose(error: TimeoutError) -> None:
    """Raise RaisedInHandlerError for a timeout that comes from code of the caller's."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    name = "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__"))
    if name.partition(".")[0] not in _OF_SOCKETS:
        raise RaisedInHandlerError(error) from None


class PatientReader(io.RawIOBase):
    """A socket's bytes, waited for in short waits: as long as the socket's timeout was, or `limit_wait` has said.

    `_sock` has the name that `socket.SocketIO` gives it, so that `raw_socket` finds it in both.

    Args:
        deadline: when the waiting ends, however slowly bytes drip: in seconds of `time.monotonic`, None for never.
    """

    def __init__(self, sock: socket.socket, deadline: float | None = None) -> None:
        self._sock = sock
        self._receive = sock.recv_into
        self._file = sock.makefile("rb", buffering=0)  # as long as it is open, so is the socket
        self.deadline = deadline
        self._seconds = math.inf
        self._first: float | None = None  # the socket's own timeout, which is that of the first short wait
        timeout = sock.gettimeout()
        self._limit = math.inf if timeout is None else timeout
        self.limit_wait(self._limit)

    def limit_wait(self, seconds: float) -> None:
        """From now on, wait so long for the next bytes."""
        self._seconds = seconds
        first = min(seconds, LOOK_UP)
        if first != self._first:
            self._sock.settimeout(first)
            self._first = first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None:
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the deadline has passed")
            self.limit_wait(min(self._limit, remaining))
        try:
            return self._receive(buffer)
        except BlockingIOError:  # who has set the timeout to 0 looks whether something is there
            return None
        except TimeoutError as error:
            _check_whose(error)
            return self._read_later(buffer)

    def _read_later(self, buffer: Any) -> int:
        """The short waits behind the first."""
        try:
            for seconds in short_waits(self._seconds - LOOK_UP):
                self._sock.settimeout(seconds if seconds < math.inf else None)
                try:
                    return self._receive(buffer)
                except TimeoutError as error:
                    _check_whose(error)
        finally:
            self._first = None
            self.limit_wait(self._seconds)
        raise TimeoutError("nothing more has come")

    def close(self) -> None:
        self._file.close()
        super().close()
