"""`http.client.HTTPResponse` whose head is read as the asynchronous side reads it: strictly, and within its time."""

# What http.client does, and what is done about it
#
#   It is lenient: a head that is cut counts, a line that continues another may hide a length, a bare \r ends a line,
#   any interim response but 100 is taken for the response. -> `begin` reads the head by the `HeadReader` of both
#   transports: both see the same in the same bytes. It sets what http.client's own sets, and costs half as much.
#
#   A socket's timeout starts anew with each byte, so a head that drips takes for ever. -> `PatientReader` waits no
#   longer than until the exchange's deadline. And it waits in short waits (`transports.waiting`), which the reader that
#   `socket.makefile` makes does not survive: after a timeout it reads no more.
#
#   What a server said while the request still went out was taken off the socket to look at it. -> It comes first.
#
# The exchange's limits come by `limits.current()`. After the head, a `RequestsResponse` reads the body, from the
# buffered reader that this class leaves in `fp`: it has the body's first bytes. `framing` says where the body ends. How
# long it waits for the next bytes, it sets by `reading_limit`.

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from llmclients.transports.framing import BodyFraming, ChunkedBody, UntilCloseBody
from llmclients.transports.head import HeadReader, MalformedError, ResponseHead, response_framing
from llmclients.transports.requests.limits import Limits, current
from llmclients.transports.waiting import LOOK_UP, short_waits

__all__ = ["RaisedInHandlerError", "StrictHTTPResponse", "raw_socket", "reading_limit"]

_OF_SOCKETS = ("llmclients", "socket", "ssl", "urllib3", "socks")
"""The packages whose code runs in a read of a socket."""


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
        if limits is not None:
            self.fp.close()
            self.fp = io.BufferedReader(PatientReader(sock, limits.total_at, limits.early))

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
        early: what has come already. It is read first.
    """

    def __init__(self, sock: socket.socket, deadline: float | None = None, early: bytes = b"") -> None:
        self._sock = sock
        self._early = early
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
        if self._early:
            size = min(len(buffer), len(self._early))
            buffer[:size], self._early = self._early[:size], self._early[size:]
            return size
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
