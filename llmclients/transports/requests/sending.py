"""A request that goes out over a blocking socket, while somebody listens to what the server says meanwhile."""

# A request goes out in pieces. What counts is that the server goes on taking something: the limit is on the time since
# it last did. A refusal (413, 401) or the connection's end may come at any moment, above all while nothing more can be
# sent, as a server that refuses reads no more: so waiting is for both, room to send and something to hear. What is
# heard is taken off the socket, and kept in `Limits.early` for whoever reads the reply. Interim heads, a reply that
# begins before the request has ended, and TLS's own messages are no refusal.
#
# When all of a large one is handed over, megabytes of it may still be in the system's hands: to wait for those is a
# part of sending, not of waiting for an answer.
#
# TLS inside TLS, urllib3's, cannot be asked to send what there is room for: there a piece has a limit, and waits alone.

from __future__ import annotations

import ssl
import time
from typing import Any, NoReturn

from llmclients.transports.head import HeadReader, MalformedError
from llmclients.transports.requests.limits import Limits
from llmclients.transports.requests.sockets import is_nested, is_ready, unacknowledged

__all__ = ["SendTimeoutError", "send_all"]

_PIECE = 16 * 1024
_READ_SIZE = 64 * 1024
_LARGE = 64 * 1024
_CHECKS = 8  # in the time of the limit
_FIRST_CHECK = 0.01  # seconds


class SendTimeoutError(TimeoutError):
    """The server takes nothing more of the request."""


def send_all(sock: Any, data: bytes, limits: Limits) -> None:
    """Send all of it.

    Raises:
        BrokenPipeError: the server has refused the request, or hung up: the rest is left unsent.
        SendTimeoutError: it takes nothing more.
        TimeoutError: the exchange's time is over.
        OSError: the connection is lost.
    """
    rest, listener = memoryview(data), _Listener(sock, limits)
    try:
        if is_nested(sock):
            _send_pieces(sock, rest, limits, listener)
        else:
            sock.settimeout(0)
            while rest := rest[_sent(sock, rest[:_PIECE], limits, listener) :]:
                if listener.is_refused():
                    _leave_unsent(limits)
    except ssl.SSLError:
        _leave_unsent(limits)
    if len(data) > _LARGE:
        _wait_until_taken(sock, limits, listener)


def _sent(sock: Any, piece: memoryview, limits: Limits, listener: _Listener) -> int:
    """How many bytes of a piece have gone out: at least one."""
    until = None
    while True:
        hears = not listener.answered
        try:
            return int(sock.send(piece))
        except (BlockingIOError, ssl.SSLWantWriteError):
            sends = True
        except ssl.SSLWantReadError:
            sends, hears = False, True
        if until is None:
            until = time.monotonic() + limits.to_send()
        seconds = until - time.monotonic()
        if seconds <= 0 or not is_ready(sock, read=hears, write=sends, seconds=seconds):
            raise SendTimeoutError("nothing more was taken")
        if listener.is_refused():
            _leave_unsent(limits)


def _send_pieces(sock: Any, rest: memoryview, limits: Limits, listener: _Listener) -> None:
    while rest:
        sock.settimeout(limits.to_send())
        try:
            sock.sendall(rest[:_PIECE])
        except TimeoutError as error:
            if listener.is_refused():
                _leave_unsent(limits)
            raise SendTimeoutError("nothing more was taken") from error
        rest = rest[_PIECE:]
        if rest and listener.is_refused():
            _leave_unsent(limits)


def _wait_until_taken(sock: Any, limits: Limits, listener: _Listener) -> None:
    """Until the peer's system has all of the request, or the server has something to say."""
    left, until = unacknowledged(sock), time.monotonic() + limits.to_send()
    step = _FIRST_CHECK
    while left and not listener.answered:
        seconds = min(max(until - time.monotonic(), 0), step, limits.write / _CHECKS)
        step *= 2
        speaks = is_ready(sock, read=True, seconds=seconds)
        before, left = left, unacknowledged(sock)
        if speaks and left and listener.is_refused():
            return
        if left < before:
            until = time.monotonic() + limits.to_send()
        elif left and time.monotonic() >= until:
            raise SendTimeoutError("nothing more was taken")


def _leave_unsent(limits: Limits) -> NoReturn:
    limits.refused_early = True
    raise BrokenPipeError("the server has answered before it has the whole request")  # urllib3 reads the answer then


class _Listener:
    """Hears what the server says while a request goes out.

    Attributes:
        answered: whether it has taken the request, and begun to answer: then there is nothing more to listen for.
    """

    def __init__(self, sock: Any, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._reader = HeadReader()
        self.answered = False

    def is_refused(self) -> bool:
        """Whether it has refused the request, or hung up."""
        while not self.answered and is_ready(self._sock, read=True):
            self._sock.settimeout(0)
            try:
                data = self._sock.recv(_READ_SIZE)
                self._limits.early += data
                head = self._reader.feed(data)
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            except (OSError, MalformedError):
                return True
            if not data or (head is not None and head.status >= 300):
                return True
            self.answered = head is not None
        return False
