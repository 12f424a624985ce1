"""`Connections`: the relay's TCP connections: how many there may be, and which one ends for another.

How a client with the key gets in while strangers hold all connections: a new connection takes the place of another
one, of the oldest that waits or is discarded, and first of those that have never sent a request that may be answered;
then of one whose body stands still. A connection that is being answered is never ended for another one; if all are, a
new one is told so with a 503. What each connection may take is `Connection`'s; once a second `_sweep` has them look.

All of it belongs to the server's loop.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from llmclients.relay.asgi import PEER_KEY, ASGIExchange
from llmclients.relay.connection import Connection
from llmclients.relay.early_answers import error_body
from llmclients.relay.handshakes import Handshakes
from llmclients.relay.limits import ConnectionLimits

__all__ = ["Connections"]

_SWEEP_SECONDS = 1.0


class Connections:
    """All connections of one server.

    Args:
        limits: what each may take.
        is_tls: whether a handshake comes before each.
    """

    def __init__(self, limits: ConnectionLimits, *, is_tls: bool = False) -> None:
        self.limits = limits
        self._handshakes = Handshakes() if is_tls else None
        self.max_connections = limits.max_connections()
        self._all: set[Connection] = set()
        # Those that may be ended for a new one, the oldest first: dicts, as sets that keep the order.
        self._strangers: dict[Connection, None] = {}
        self._known: dict[Connection, None] = {}
        self._reading: dict[Connection, None] = {}  # only if their bodies stand still
        self._sweeping: asyncio.TimerHandle | None = None
        self._accepted = 0

    # --- for the listener ---------------------------------------------------------------------------------------------

    def accepted(self) -> int:
        """How many sockets were accepted, but have no `Connection` yet."""
        return self._accepted

    def count_accepted(self, accepted: socket.socket) -> None:
        """A socket was accepted."""
        self._accepted += 1
        if self._handshakes is not None:
            self._handshakes.begin(accepted)
            if len(self._all) + len(self._handshakes) > self.max_connections:
                self.make_room()
            if self._sweeping is None:
                self._sweep_later(asyncio.get_running_loop())

    def make_room(self) -> bool:
        """End a connection on which nothing is under way. Whether there was one."""
        if self._handshakes is not None and self._handshakes.end_oldest():
            return True
        stalled = (connection for connection in self._reading if connection.is_stalled())
        victim = next(itertools.chain(self._strangers, self._known, stalled), None)
        if victim is not None:
            victim.closed_because = "its connection was needed for another client"
            victim.abort()
        return victim is not None

    # --- for uvicorn --------------------------------------------------------------------------------------------------

    def protocol(self, **arguments: Any) -> asyncio.BufferedProtocol:
        """A new connection's protocol. `arguments`: those that uvicorn gives to a class named by its `http` option."""
        self._accepted = max(self._accepted - 1, 0)
        return Connection(self, arguments)

    def application(self, app: ASGIApp) -> ASGIApp:
        """The application, for a server with these connections: it tells them when a request begins and ends."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            connection = scope.get("state", {}).get(PEER_KEY)
            if not isinstance(connection, Connection):  # the start and the end of the server
                await app(scope, receive, send)
                return
            connection.begin_request()
            try:
                head = sum(len(name) + len(value) for name, value in scope["headers"])
                if head + len(scope["raw_path"]) + len(scope["query_string"]) > self.limits.head_bytes:
                    body = error_body(431, f"the head is longer than {self.limits.head_bytes} bytes")
                    await ASGIExchange(scope, receive, send).reply(431, "application/json", body)
                else:
                    await app(scope, receive, send)
            finally:
                connection.end_request()

        return serve

    def abort_all(self) -> None:
        """Close what is open, whatever has not been sent."""
        for connection in list(self._all):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    # --- for each connection ------------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> bool:
        """A connection was made. Whether there is room for it."""
        if self._handshakes is not None:
            self._handshakes.end(connection.descriptor)
        has_room = len(self._all) < self.max_connections or self.make_room()
        self._all.add(connection)
        self._strangers[connection] = None
        if self._sweeping is None:
            self._sweep_later(connection.loop)
        return has_room

    def remove(self, connection: Connection) -> None:
        """A connection is gone."""
        self._all.discard(connection)
        self.keep(connection)

    def keep(self, connection: Connection) -> None:
        """A connection may not be ended for another one."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)
        self._reading.pop(connection, None)

    def release(self, connection: Connection) -> None:
        """A connection may be ended for another one, the last of all that may."""
        (self._known if connection.is_known else self._strangers)[connection] = None

    def read(self, connection: Connection) -> None:
        """A connection's body is read from now on."""
        self._reading[connection] = None

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        limits = self.limits
        shortest = min(limits.head_seconds, limits.body_pause_seconds, limits.write_seconds, limits.discard_seconds)
        self._sweeping = loop.call_later(min(_SWEEP_SECONDS, shortest / 4), self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = None
        now = loop.time()
        for connection in list(self._all):
            connection.check(now)
        if self._handshakes is not None:
            self._handshakes.end_late(self.limits.head_seconds)
        if self._all or self._handshakes:
            self._sweep_later(loop)
