"""From a route to a connection that is ready for a request: name, TCP, proxy, TLS.

Each step waits, and none has a limit of its own: `pool` bounds all of it together, and cancels it when the time is up.
Whatever is open then is closed at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from llmclients.config.values import Proxy
from llmclients.transports.httpx.failures import (
    ConnectionLostError,
    HandshakeFailedError,
    MalformedError,
    ProxyFailedError,
)
from llmclients.transports.httpx.protocol import Connection
from llmclients.transports.httpx.proxies import ProxyDialogue
from llmclients.transports.httpx.resolver import Resolver
from llmclients.transports.httpx.sockets import connect_first, shared_buffer
from llmclients.transports.httpx.tls import ByteStream, TLSLayer

__all__ = ["Connector", "Route"]

_MAX_SESSIONS = 100


class Route(NamedTuple):
    """Where connections lead to, and through what."""

    secure: bool
    host: str
    port: int
    proxy: Proxy | None


class Connector:
    """Makes the connections of one event loop. `context` is asked for when TLS is first needed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Callable[[], ssl.SSLContext]) -> None:
        self._loop = loop
        self._context = context
        self._resolver = Resolver(loop)
        self.shared = shared_buffer()
        self._sessions: dict[tuple[str, int], ssl.SSLSession] = {}

    async def connect(self, route: Route) -> Connection:
        """A new connection.

        Raises:
            Exception: one of `failures`, of `socket` or `ssl`.
        """
        proxy = route.proxy
        first = (route.host, route.port) if proxy is None else (proxy.host, proxy.port)
        sock = await connect_first(await self._resolver.addresses(*first))
        connection = Connection(self._loop, sock, self.shared)
        steps = _Steps(self, self._loop, sock)
        try:
            if proxy is None:
                await steps.begin(connection, (route.host, route.port) if route.secure else None)
            else:
                await steps.through(proxy, route, connection)
        except BaseException:
            steps.abort()
            raise
        return connection

    def keep_session(self, peer: tuple[str, int], connection: Connection) -> None:
        """What the next TLS connection to the same host and port can begin with."""
        if (session := connection.tls_session()) is not None:
            if len(self._sessions) >= _MAX_SESSIONS:
                self._sessions.clear()
            self._sessions[peer] = session

    def tls_layer(self, peer: tuple[str, int], above: asyncio.Protocol, sock: socket.socket | None) -> TLSLayer:
        """TLS to a host and port, below `above`; `sock` where it is right on a socket."""
        host = peer[0].rstrip(".")  # certificates do not have the dot of a complete name
        return TLSLayer(self._context(), host, self._sessions.get(peer), above, sock, self._loop, self.shared)


class _Steps:
    """The steps of one connection after TCP. What stands so far ends in `_wire`."""

    def __init__(self, connector: Connector, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._connector = connector
        self._loop = loop
        self._sock = sock
        self._wire: ByteStream | None = None

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None
        else:
            with suppress(OSError):  # the loop may have closed it
                self._sock.close()

    async def begin(self, above: asyncio.Protocol, secure: tuple[str, int] | None) -> None:
        """Over TCP itself: `above` right on it, or with TLS to this host between."""
        if secure is None:
            self._wire, _ = await self._loop.create_connection(lambda: above, sock=self._sock)
            return
        layer = self._connector.tls_layer(secure, above, self._sock)
        self._wire, _ = await self._loop.create_connection(lambda: layer, sock=self._sock)
        self._wire = layer
        await layer.handshaken
        above.connection_made(layer)  # type: ignore[arg-type]  # it has what a transport has, and is none

    async def go_on(self, above: asyncio.Protocol, secure: tuple[str, int] | None) -> None:
        """Over what a proxy has made a way of."""
        wire = self._wire
        assert wire is not None
        if secure is None:
            wire.set_protocol(above)
            above.connection_made(wire)  # type: ignore[arg-type]
            return
        layer = self._connector.tls_layer(secure, above, None)
        wire.set_protocol(layer)
        self._wire = layer
        layer.connection_made(wire)
        await layer.handshaken
        above.connection_made(layer)  # type: ignore[arg-type]

    async def through(self, proxy: Proxy, route: Route, connection: Connection) -> None:
        target = (route.host, route.port)
        forwards = not route.secure and not proxy.is_socks  # takes the requests themselves
        dialogue = ProxyDialogue(self._loop)
        try:
            secure = (proxy.host, proxy.port) if proxy.scheme == "https" else None
            await self.begin(connection if forwards else dialogue, secure)
            if forwards:
                return
            await (dialogue.socks if proxy.is_socks else dialogue.connect)(*target, proxy)
        except (OSError, ConnectionLostError, HandshakeFailedError, MalformedError) as error:
            raise ProxyFailedError from error
        await self.go_on(connection, target if route.secure else None)
