"""Sockets of the synchronous transport: plain ones, Python's TLS over them, and urllib3's TLS inside TLS."""

# Behind a proxy that is spoken to over TLS, a connection with TLS of its own is an `SSLTransport` of urllib3. It has
# most of a socket's methods, but no `shutdown`; the socket below it is `socket`, its TLS `sslobj`, and `incoming` holds
# what was taken off the one for the other.

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import Any

__all__ = ["holds_bytes", "is_readable", "refuse_cuts", "shut_down", "speaks_tls"]


def speaks_tls(sock: Any) -> bool:
    """Whether what comes is TLS."""
    return isinstance(sock, ssl.SSLSocket) or not isinstance(sock, socket.socket)


def shut_down(sock: Any) -> None:
    """End the connection at once, below TLS, whose state may be another thread's. A wait for its bytes ends."""
    with suppress(OSError):  # not connected any more
        socket.socket.shutdown(_bottom(sock), socket.SHUT_RDWR)


def is_readable(sock: Any) -> bool:
    """Whether bytes, or the connection's end, wait to be taken off the socket."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def holds_bytes(sock: Any) -> bool:
    """Whether TLS has bytes that were taken off the socket already, where `is_readable` does not see them."""
    if isinstance(sock, ssl.SSLSocket):
        return sock.pending() > 0
    if isinstance(sock, socket.socket):
        return False
    return sock.sslobj.pending() > 0 or sock.incoming.pending > 0 or holds_bytes(sock.socket)


def refuse_cuts(sock: Any) -> None:
    """From now on an end that TLS did not announce is an error: anybody may have cut the connection."""
    if speaks_tls(sock):
        sock.suppress_ragged_eofs = False


def _bottom(sock: Any) -> socket.socket:
    while not isinstance(sock, socket.socket):
        sock = sock.socket
    return sock
