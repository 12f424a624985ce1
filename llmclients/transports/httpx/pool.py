"""The connections of one event loop: those in use, and those that wait for another exchange.

Theory of operation. A connection has one owner at a time:

    connect ──► in use ──give_back──► idle (`_idle`, by route) ──_take──► in use …
                   └────── not clean, or it has ended ──► gone ◄──── 15 s, a byte, its end

- `exchange` sends a request over an idle connection of its route, the one used last, or over a new one. There is no
  limit on their number, and nobody waits for another's connection.
- An idle connection is used only if it is provably clean: the last exchange was read to its end, everything was
  sent, neither side said `close`, not a byte has come since, and none waits in the socket, not even the end.
- Even so a server may close it just then. Where a *used* connection ends before one byte of the reply has come, the
  request is sent again, once, on a new connection, at once: that is no attempt of the retry policy's. A failure of a
  new connection, a timeout, or a reply that has begun is the caller's to judge.
- `connect` bounds everything up to a connection that is ready, all addresses and the proxy included.

Everything runs in the loop's thread. `close` ends all connections and waits, a second at most, until the loop has let
go of their sockets. `discard` is for a loop that was closed under them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic

from llmclients.transports.errors import closed_locally
from llmclients.transports.head import ResponseHead
from llmclients.transports.httpx.connect import Connector, Route
from llmclients.transports.httpx.failures import ConnectionLostError, ConnectTimeoutError, DeadlineError
from llmclients.transports.httpx.per_loop import within
from llmclients.transports.httpx.protocol import Connection

__all__ = ["Exchange", "Pool"]

_IDLE_SECONDS = 15.0
_CLOSE_SECONDS = 1.0
_SLACK = 0.1


class Exchange:
    """What goes out, and how long each wait may take: seconds, and a point on the loop's clock."""

    __slots__ = ("body", "connect", "deadline", "head", "read", "route", "write")

    def __init__(
        self, route: Route, head: bytes, body: bytes, connect: float, read: float, write: float, deadline: float | None
    ) -> None:
        self.route = route
        self.head = head
        self.body = body
        self.connect = connect
        self.read = read
        self.write = write
        self.deadline = deadline


class Pool:
    """One event loop's. `context`: makes the TLS context, when one is first needed."""

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._connector = Connector(loop, context)
        self._open: dict[Connection, Route] = {}
        self._idle: dict[Route, dict[Connection, float]] = {}  # since when; the one used last is at the end
        self._sweeping: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Future[None] | None = None
        self._is_closed = False

    async def exchange(self, exchange: Exchange) -> tuple[Connection, ResponseHead]:
        """Send a request; its connection, and the reply's head.

        Raises:
            Exception: one of `failures`, of `socket` or `ssl`; the connection is closed.
        """
        connection = self._take(exchange.route)
        if connection is not None:
            try:
                return connection, await self._send(connection, exchange)
            except ConnectionLostError as error:
                if not error.before_reply:
                    raise
        connection = await self._connect(exchange)
        return connection, await self._send(connection, exchange)

    async def _send(self, connection: Connection, exchange: Exchange) -> ResponseHead:
        try:
            return await connection.exchange(
                exchange.head, exchange.body, exchange.read, exchange.write, exchange.deadline
            )
        except BaseException:
            connection.abort()
            raise

    async def _connect(self, exchange: Exchange) -> Connection:
        seconds: float = exchange.connect
        late: type[Exception] = ConnectTimeoutError
        if exchange.deadline is not None and (left := exchange.deadline - self._loop.time()) < seconds:
            seconds, late = left, DeadlineError
        try:
            connection = await within(seconds, self._connector.connect(exchange.route))
        except asyncio.TimeoutError:
            raise late from None
        if self._is_closed:  # meanwhile
            connection.abort()
            raise closed_locally()
        self._open[connection] = exchange.route
        connection.when_lost = self._forget
        return connection

    def _take(self, route: Route) -> Connection | None:
        idle = self._idle.get(route)
        while idle:
            connection, _ = idle.popitem()
            if connection.is_clean():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        """The exchange is over: keep its connection for another one, or close it."""
        route = self._open.get(connection)
        if route is not None and route.secure and connection.exchanges == 1:
            self._connector.keep_session((route.host, route.port), connection)
        if not connection.release() or route is None:
            return
        self._idle.setdefault(route, {})[connection] = monotonic()
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_IDLE_SECONDS, self._sweep)

    def _forget(self, connection: Connection) -> None:
        """It has ended, and the loop lets go of its socket."""
        route = self._open.pop(connection, None)
        if route is not None and (idle := self._idle.get(route)) is not None:
            idle.pop(connection, None)
        if not self._open and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        self._sweeping = None
        now = monotonic()
        waiting = []
        for route, idle in list(self._idle.items()):
            for connection, since in list(idle.items()):
                if now - since < _IDLE_SECONDS:
                    waiting.append(_IDLE_SECONDS - (now - since))
                    break
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[route]
        if waiting:
            self._sweeping = self._loop.call_later(min(waiting) + _SLACK, self._sweep)

    async def close(self) -> None:
        """Close all connections, those in use too. Idempotent."""
        self.abort()
        if self._open:
            if self._all_closed is None:
                self._all_closed = self._loop.create_future()
            await asyncio.wait((self._all_closed,), timeout=_CLOSE_SECONDS)

    def abort(self) -> None:
        """`close` without awaiting: the loop lets go of the sockets as soon as it gets to it."""
        self._is_closed = True
        idle = [connection for connections in self._idle.values() for connection in connections]
        self._stop_sweeping()
        for connection in idle:
            connection.close()
        for connection in list(self._open):
            connection.abort(closed_locally())

    def discard(self) -> None:
        """Forget all: the loop was closed under them, and the sockets go with their last reference."""
        self._stop_sweeping()
        self._open.clear()

    def _stop_sweeping(self) -> None:
        self._idle.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
