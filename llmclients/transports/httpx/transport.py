"""The asynchronous transport: connections of its own over asyncio, or the caller's own `httpx.AsyncClient`.

| module | what it is |
| --- | --- |
| `transport` | opens an exchange: proxy, head, deadline, errors |
| `pool` | the connections of one event loop |
| `protocol` | one connection |
| `response` | the body, read |
| `connect`, `proxies`, `resolver`, `sockets`, `tls` | how a connection comes about |
| `target` | a URL, as it is on the wire |
| `user_client` | the same over the caller's client |
| `base_transport` | the pool as an `httpx.AsyncBaseTransport` |

httpx itself is loaded for the last two only.
"""

from __future__ import annotations

import ssl
import sys
from functools import partial
from typing import TYPE_CHECKING

from llmclients.config.values import Timeout
from llmclients.transports.base import (
    SYSTEM_CLOCK,
    AsyncResponse,
    Clock,
    HTTPRequest,
    TransportSettings,
    running_loop,
)
from llmclients.transports.errors import ErrorContext
from llmclients.transports.head import request_head
from llmclients.transports.httpx.connect import Route
from llmclients.transports.httpx.failures import EXCEPTIONS, DeadlineError
from llmclients.transports.httpx.per_loop import PerLoop, within
from llmclients.transports.httpx.pool import Exchange, Pool
from llmclients.transports.httpx.response import PooledResponse
from llmclients.transports.httpx.target import parse_target
from llmclients.transports.request import Routes, header_lines, proxy_authorization, tls_context
from llmclients.transports.socks import check_socks

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpxTransport", "LazyContext"]


class HttpxTransport:
    """Opens exchanges. Connections belong to the event loop that opened them, and end with it.

    Args:
        settings: proxy, certificates, limits. With a client of the caller's only the limit counts.
        client: the caller's own client, to send with instead; used as it is, and left open.
        clock: what deadlines are measured on.
    """

    def __init__(
        self, settings: TransportSettings, client: httpx.AsyncClient | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.clock = clock
        self._settings = settings
        self._client = client
        self._routes = Routes(settings)
        self._pools = PerLoop(partial(Pool, LazyContext(settings)))

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> AsyncResponse:
        """Send the request and read the response's head."""
        loop = running_loop()
        if self._client is not None:
            return await self._open_with(self._client, request, timeout, deadline)
        proxy = self._routes.proxy_for(request)
        context = ErrorContext(request.url, proxy, timeout, deadline, self.clock, EXCEPTIONS)
        remaining = context.remaining()
        try:
            target = parse_target(request.url)
            if proxy is not None and proxy.is_socks:
                check_socks()
            path, lines = target.path, header_lines(request, host=target.host_header)
            if proxy is not None and not target.secure and not proxy.is_socks:
                path = f"http://{target.host_header}{path}"
                lines.update(proxy_authorization(proxy))
            pool = await self._pools.get()
            exchange = Exchange(
                Route(target.secure, target.host, target.port, proxy),
                request_head(request.method, path, lines.items()),
                request.body,
                timeout.connect,
                timeout.read_seconds,
                timeout.write_seconds,
                None if remaining is None else loop.time() + remaining,
            )
            connection, head = await pool.exchange(exchange)
        except DeadlineError:
            raise context.deadline_exceeded() from None
        except Exception as error:
            raise context.error(error, "open") from error
        return PooledResponse(connection, head.status, context, self._settings.max_response_bytes, pool, self)

    async def _open_with(
        self, client: httpx.AsyncClient, request: HTTPRequest, timeout: Timeout, deadline: float | None
    ) -> AsyncResponse:
        from llmclients.transports.httpx.user_client import StreamResponse, exceptions, send_with

        table = exceptions(aiohttp="aiohttp" in sys.modules)
        context = ErrorContext(request.url, None, timeout, deadline, self.clock, table)
        remaining = context.remaining()
        try:
            response = await within(remaining, send_with(client, request, timeout))
        except Exception as error:
            raise context.error(error, "open") from error
        return StreamResponse(response, context, self._settings.max_response_bytes)

    async def close(self) -> None:
        """Close all connections, those of open exchanges too, unless the client is the caller's own."""
        await self._pools.close()


class LazyContext:
    """The TLS context of all connections, made when the first of them needs it.

    Not a method of the transport: a pool would keep that alive.
    """

    def __init__(self, settings: TransportSettings, made: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._made = made

    def __call__(self) -> ssl.SSLContext:
        if self._made is None:
            self._made = context = tls_context(self._settings, _default_context)
            context.set_alpn_protocols(["http/1.1"])
            context.options |= ssl.OP_NO_RENEGOTIATION  # else a write may have to wait for a read
        return self._made


def _default_context() -> ssl.SSLContext:
    import certifi  # with TLS only

    return ssl.create_default_context(cafile=certifi.where())
