"""`Listener`: the socket that the relay listens on. It keeps a spare descriptor for when there is no other.

`accept` fails without a descriptor, and the connection that it was called for stays in the queue: the loop is told of
it again and again, at full speed, and nobody is served. So where a descriptor is missing, a connection that waits for
nothing gives its own; and where there is none, the spare one takes what is next in the queue, and is closed with it.

Only asyncio's own loop on Unix calls `accept`; others, such as uvloop's, have means of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Any

from llmclients.errors import ConfigurationError
from llmclients.relay.connections import Connections

__all__ = ["Listener", "base_url", "open_listener"]

_MAX_ACCEPTED = 16  # at once: each takes a descriptor before it is counted as a connection


class Listener(socket.socket):
    """A listening socket.

    Attributes:
        connections: whom a connection is taken from where a descriptor is missing.
    """

    connections: Connections | None = None
    _spare: int | None = None
    _is_stopped = False

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            BlockingIOError: there is none, or none that can be taken at this moment.
        """
        assert self.connections is not None
        if self._is_stopped or self.connections.accepted() >= _MAX_ACCEPTED:
            raise BlockingIOError(errno.EAGAIN, "the accepted ones come first")
        try:
            accepted = super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not (self.connections.make_room() or self._shed()):
                raise
            raise BlockingIOError(errno.EAGAIN, "no descriptor is left") from None
        self.connections.count_accepted(accepted[0])
        return accepted

    async def stop(self) -> None:
        """Accept nothing more. Afterwards the server may be closed.

        asyncio makes a connection of what was accepted in the loop's next turn. If its server is closed by then, it
        drops the socket without closing it, and the client waits until the garbage collector comes by.
        """
        self._is_stopped = True
        await asyncio.sleep(0)

    def save_descriptor(self) -> None:
        """Keep a descriptor for the time when there is no other."""
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _shed(self) -> bool:
        """Close the next connection of the queue. Whether the descriptor for it was there."""
        if self._spare is None:
            return False
        os.close(self._spare)
        self._spare = None
        with contextlib.suppress(OSError):
            super().accept()[0].close()
        self.save_descriptor()
        return True

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()


def open_listener(host: str, port: int) -> Listener:
    """A socket that listens already: what connects from now on is answered, also before the server runs.

    Raises:
        ConfigurationError: there is no such address or port here, or the port is taken.
    """
    name = host.strip("[]")
    if not 0 <= port <= 65535:  # getaddrinfo would take the rest of a division
        raise ConfigurationError(f"cannot listen on {host}:{port}: no such port", argument="port")
    try:
        family, type_, protocol, _, address = socket.getaddrinfo(
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = Listener(family, type_, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}", argument="host") from error
    try:
        if hasattr(socket, "SO_REUSEPORT"):  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}", argument="port") from error
    listener.save_descriptor()
    return listener


def base_url(host: str, listener: socket.socket, *, is_tls: bool = False) -> str:
    """Where a listener on this host is."""
    name = host.strip("[]") or "localhost"
    scheme = "https" if is_tls else "http"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"
