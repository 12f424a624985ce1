"""The asynchronous transport's connections as an `httpx.AsyncBaseTransport`, for an `httpx.AsyncClient` of one's own.

```python
client = httpx.AsyncClient(transport=AsyncioTransport(), headers={…})      # cookies, authentication, hooks: httpx's
```

What it raises are httpx's exceptions, by httpx's names; a reply's body comes as it is on the wire.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import partial

import httpx

from llmclients.config.values import Proxy
from llmclients.errors import APIError
from llmclients.transports.base import TransportSettings
from llmclients.transports.head import request_head
from llmclients.transports.httpx import failures
from llmclients.transports.httpx.connect import Route
from llmclients.transports.httpx.per_loop import PerLoop
from llmclients.transports.httpx.pool import Exchange, Pool
from llmclients.transports.httpx.protocol import Connection
from llmclients.transports.httpx.response import run_in_loop
from llmclients.transports.httpx.target import parse_target
from llmclients.transports.httpx.transport import LazyContext
from llmclients.transports.request import proxy_authorization
from llmclients.transports.socks import check_socks

__all__ = ["AsyncioTransport"]

_NEVER = 366 * 86400.0

_EXCEPTIONS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (failures.InvalidRequestError, httpx.LocalProtocolError),
    (failures.ProxyFailedError, httpx.ProxyError),
    (failures.ConnectTimeoutError, httpx.ConnectTimeout),
    (failures.ReadTimeoutError, httpx.ReadTimeout),
    (failures.WriteTimeoutError, httpx.WriteTimeout),
    (failures.MalformedError, httpx.RemoteProtocolError),
    (APIError, httpx.RemoteProtocolError),
    (failures.ConnectionLostError, httpx.ReadError),
    (Exception, httpx.ConnectError),
)


class AsyncioTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over asyncio. Connections belong to the event loop that opened them; loops may come and go.

    Args:
        proxy: a proxy's URL, for all requests. The environment's are the client's to look up, not a transport's.
        ssl_context: what TLS connections are made with, client certificates included. Default: certifi's authorities.
    """

    def __init__(self, *, proxy: Proxy | str | None = None, ssl_context: ssl.SSLContext | None = None) -> None:
        self._proxy = Proxy(proxy) if isinstance(proxy, str) else proxy
        if self._proxy is not None and self._proxy.is_socks:
            check_socks()
        context = LazyContext(TransportSettings(trust_env=False), ssl_context)
        self._pools = PerLoop(partial(Pool, context))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, its body read to its end before; the response, its body not read."""
        pool = await self._pools.get()
        try:
            connection, head = await pool.exchange(self._exchange(request, await request.aread()))
        except Exception as error:
            raise _translated(error, request) from error
        return httpx.Response(
            head.status,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in head.pairs],
            stream=_Body(pool, connection, request),
            extensions={"http_version": b"HTTP/1.%d" % head.version, "reason_phrase": head.reason.encode("latin-1")},
        )

    def _exchange(self, request: httpx.Request, body: bytes) -> Exchange:
        target, proxy = parse_target(str(request.url)), self._proxy
        path = request.url.raw_path.decode("ascii")
        lines = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
        if lines.pop("Transfer-Encoding", lines.pop("transfer-encoding", None)) is not None:
            lines["Content-Length"] = str(len(body))  # all of it is here
        if proxy is not None and not target.secure and not proxy.is_socks:
            path = f"http://{target.host_header}{path}"
            lines.update(proxy_authorization(proxy))
        limits = request.extensions.get("timeout", {})
        connect, read, write = (limits.get(name) or _NEVER for name in ("connect", "read", "write"))
        route = Route(target.secure, target.host, target.port, proxy)
        return Exchange(route, request_head(request.method, path, lines.items()), body, connect, read, write, None)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.close()


class _Body(httpx.AsyncByteStream):
    """A response's body. One that is dropped frees its connection."""

    def __init__(self, pool: Pool, connection: Connection, request: httpx.Request) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._request = request
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (connection := self._connection) is not None:
            try:
                data = connection.read_nowait()
            except Exception as error:
                raise _translated(error, self._request) from error
            if data is None:
                await connection.readable()
            elif data:
                yield data
            else:
                self._free()

    async def aclose(self) -> None:
        self._free()

    def _free(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            run_in_loop(self._loop, partial(self._pool.give_back, connection))

    def __del__(self) -> None:
        self._free()


def _translated(error: Exception, request: httpx.Request) -> Exception:
    """httpx's exception for one of ours. Bugs are left as they are."""
    if isinstance(error, (LookupError, TypeError, AttributeError, AssertionError)):
        return error
    class_ = next(class_ for ours, class_ in _EXCEPTIONS if isinstance(error, ours))
    return class_(str(error) or type(error).__name__, request=request)
