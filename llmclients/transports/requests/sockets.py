"""Sockets of the synchronous transport: plain ones, Python's TLS over them, and urllib3's TLS inside TLS."""

# Behind a proxy that is spoken to over TLS, a connection with TLS of its own is an `SSLTransport` of urllib3. It has
# most of a socket's methods, but no `shutdown`; the socket below it is `socket`, its TLS `sslobj`, and `incoming` holds
# what was taken off the one for the other.

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any

from llmclients.transports import outgoing

__all__ = ["Guard", "holds_bytes", "is_nested", "is_ready", "refuse_cuts", "shut_down", "unacknowledged"]


class Guard:
    """Ends a connection when its time is over: where TLS is inside TLS, a read has the whole timeout for each piece of
    a record that drips.

    Attributes:
        has_ended: whether it has done so.
    """

    def __init__(self, sock: Any, seconds: float) -> None:
        self.has_ended = False
        self._timer = threading.Timer(seconds, self._end, (sock,))
        self._timer.daemon = True
        self._timer.start()

    def _end(self, sock: Any) -> None:
        self.has_ended = True
        shut_down(sock)

    def cancel(self) -> None:
        """It is not needed any more. Idempotent."""
        self._timer.cancel()


def is_nested(sock: Any) -> bool:
    """Whether it is TLS inside TLS."""
    return not isinstance(sock, socket.socket)


def shut_down(sock: Any) -> None:
    """End the connection at once, below TLS, whose state may be another thread's. A wait for its bytes ends."""
    with suppress(OSError):  # not connected any more
        socket.socket.shutdown(_bottom(sock), socket.SHUT_RDWR)


def is_ready(sock: Any, *, read: bool = False, write: bool = False, seconds: float = 0.0) -> bool:
    """Whether, within that time, bytes or the connection's end wait to be taken off the socket; or it takes some."""
    if not hasattr(select, "poll"):
        return any(select.select([sock] if read else [], [sock] if write else [], [], seconds))
    poll = select.poll()
    poll.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    return bool(poll.poll(seconds * 1000))


def holds_bytes(sock: Any) -> bool:
    """Whether TLS has bytes that were taken off the socket already, where `is_ready` does not see them."""
    if isinstance(sock, ssl.SSLSocket):
        return sock.pending() > 0
    if not is_nested(sock):
        return False
    return sock.sslobj.pending() > 0 or sock.incoming.pending > 0 or holds_bytes(sock.socket)


def refuse_cuts(sock: Any) -> None:
    """From now on an end that TLS did not announce is an error: anybody may have cut the connection."""
    if isinstance(sock, ssl.SSLSocket) or is_nested(sock):
        sock.suppress_ragged_eofs = False


def unacknowledged(sock: Any) -> int:
    """How many bytes are still on their way; 0 where the system does not tell."""
    return outgoing.unacknowledged(_bottom(sock))


def _bottom(sock: Any) -> socket.socket:
    while is_nested(sock):
        sock = sock.socket
    return sock  # type: ignore[no-any-return]
