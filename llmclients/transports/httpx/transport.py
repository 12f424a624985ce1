"""The asynchronous transport: httpx over aiohttp's connections, and over httpx's own where aiohttp has none (SOCKS).

Requests go straight to httpx's transports: a client would add cookies, redirects, and log lines with whole URLs.
The only module that imports httpx and aiohttp.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict

from llmclients.config.values import Proxy, Timeout
from llmclients.transports import errors as faults
from llmclients.transports.base import SYSTEM_CLOCK, Clock, HTTPRequest, TransportSettings
from llmclients.transports.errors import SYSTEM_ROWS, Exchange, Row
from llmclients.transports.httpx.connection import Connection
from llmclients.transports.httpx.per_loop import PerLoop, timeout_at
from llmclients.transports.httpx.response import HttpxResponse
from llmclients.transports.httpx.socks import SocksTransport
from llmclients.transports.request import Routes, header_lines, tls_context

__all__ = ["HttpxTransport"]

_MAX_HEADER_LINE = 64 * 1024
_LARGE_BODY = 256 * 1024


class HttpxTransport:
    """Opens exchanges with httpx. Connections belong to the event loop that opened them, and end with it.

    Args:
        settings: proxy, certificates, limits. With a client of the caller's only the limit counts.
        client: the caller's own client, used as it is and left open.
        clock: what deadlines are measured on.
    """

    def __init__(
        self, settings: TransportSettings, client: httpx.AsyncClient | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.clock = clock
        self._settings = settings
        self._client = client
        self._routes = Routes(settings)
        self._context: ssl.SSLContext | None = None
        self._homes = PerLoop(_Home)

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> HttpxResponse:
        """Send the request and read the response's head."""
        loop = asyncio.get_running_loop()
        proxy = None if self._client is not None else self._routes.proxy_for(request)
        exchange = Exchange(request.url, proxy, timeout, deadline, self.clock, EXCEPTIONS)
        remaining = exchange.remaining()
        home = None
        try:
            if self._client is not None:
                sent = _send_with(self._client, request, timeout)
            else:
                home = await self._homes.get()
                sent = self._send(home, request, timeout, proxy)
            if remaining is None:
                response = await sent
            else:
                async with timeout_at(loop.time() + remaining):
                    response = await sent
        except Exception as error:
            raise exchange.error(error, "open") from error
        opened = HttpxResponse(response, exchange, self._settings.max_response_bytes, self)
        if home is not None:
            home.open.add(opened)
        return opened

    def _send(
        self, home: _Home, request: HTTPRequest, timeout: Timeout, proxy: Proxy | None
    ) -> Awaitable[httpx.Response]:
        url = _parsed_url(request.url)
        secure = url.scheme == "https"
        transport = home.transports.get((secure, proxy))
        if transport is None:
            transport = home.transports[secure, proxy] = self._transport(secure, proxy)
        lines = header_lines(request)
        if proxy is not None and not secure and not proxy.is_socks:
            lines.update(_proxy_authorization(proxy))
        if isinstance(transport, AiohttpTransport):
            body: Any = {"content": request.body}
            if len(request.body) > _LARGE_BODY:
                body = {"stream": _Slices(request.body)}  # aiohttp copies bytes in one go, and warns of it
            built = httpx.Request(request.method, url, extensions=_timeouts(timeout), **body)
            # aiohttp would take the names from httpx's headers in lower case.
            built.headers = CIMultiDict(lines)  # type: ignore[assignment]
        else:
            built = httpx.Request(
                request.method, url, headers=lines, content=request.body, extensions=_timeouts(timeout)
            )
        return transport.handle_async_request(built)

    def _transport(self, secure: bool, proxy: Proxy | None) -> httpx.AsyncBaseTransport:
        context: ssl.SSLContext | None = None
        if secure or (proxy is not None and proxy.scheme == "https"):
            if self._context is None:
                self._context = tls_context(self._settings, partial(httpx.create_ssl_context, trust_env=False))
            context = self._context
        if proxy is not None and proxy.is_socks:
            return SocksTransport(proxy, context)
        connector = aiohttp.TCPConnector(limit=0, ssl=True if context is None else context)
        connector._factory = partial(Connection, asyncio.get_running_loop())  # type: ignore[assignment]
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Content-Type",),
            trust_env=False,
            max_line_size=_MAX_HEADER_LINE,
            max_field_size=_MAX_HEADER_LINE,
        )
        session._retry_connection = False  # it would send a GET twice
        through = None
        if proxy is not None:
            through = httpx.Proxy(proxy.url_without_credentials, headers=_proxy_authorization(proxy))
        return AiohttpTransport(verify=context or False, proxy=through, client=session)

    async def close(self) -> None:
        """Close all connections, those of open exchanges too, unless the client is the caller's own."""
        await self._homes.close()


class _Home:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.transports: dict[tuple[bool, Proxy | None], httpx.AsyncBaseTransport] = {}
        self.open: weakref.WeakSet[HttpxResponse] = weakref.WeakSet()

    async def close(self) -> None:
        for response in list(self.open):
            response.abort()
        while self.transports:
            await self.transports.popitem()[1].aclose()

    def bury(self) -> None:
        """Forget connections whose loop was closed under them; the sockets go with their last reference."""
        while self.transports:
            session = getattr(self.transports.popitem()[1], "client", None)
            if isinstance(session, aiohttp.ClientSession) and session.connector is not None:
                closing = session.connector.close()
                session.detach()
                with suppress(StopIteration, RuntimeError):
                    closing.__await__().send(None)  # on a dead loop there is nothing to wait for


class _Slices(httpx.AsyncByteStream):
    """A large body in pieces."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _LARGE_BODY):
            yield self._body[start : start + _LARGE_BODY]


@lru_cache(maxsize=256)
def _parsed_url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _timeouts(timeout: Timeout) -> dict[str, Any]:
    # For httpx-aiohttp, "pool" bounds everything up to a connection that is ready: name, TCP, proxy, TLS.
    connect, read = timeout.connect, timeout.read
    return {"timeout": {"connect": connect, "read": read, "write": read, "pool": connect}}


def _send_with(client: httpx.AsyncClient, request: HTTPRequest, timeout: Timeout) -> Awaitable[httpx.Response]:
    """By the caller's own client, with its headers, authentication, proxies and certificates."""
    usual = ("accept", "accept-encoding", "connection")
    theirs = {
        name for name, value in client.headers.items() if name not in usual and not value.startswith("python-httpx")
    }
    built = client.build_request(
        request.method,
        request.url,
        headers=header_lines(request, theirs),
        content=request.body,
        extensions=_timeouts(timeout),
    )
    return client.send(built, stream=True, follow_redirects=False)


def _proxy_authorization(proxy: Proxy) -> dict[str, str]:
    if proxy.credentials is None:
        return {}
    token = base64.b64encode(":".join(proxy.credentials).encode()).decode()
    return {"Proxy-Authorization": f"Basic {token}"}


EXCEPTIONS: tuple[Row, ...] = (
    (aiohttp.ClientConnectorDNSError, None, faults.RESOLVE),
    (ConnectionRefusedError, None, faults.CONNECT),
    (aiohttp.ClientHttpProxyError, None, faults.PROXY),
    (aiohttp.ClientProxyConnectionError, None, faults.CONNECT),
    (httpx.ProxyError, None, faults.PROXY),
    (ssl.SSLCertVerificationError, None, faults.CERTIFICATE),
    (aiohttp.ServerFingerprintMismatch, None, faults.CERTIFICATE),
    (aiohttp.ConnectionTimeoutError, None, faults.SLOW_CONNECT),
    (aiohttp.ServerTimeoutError, None, faults.SLOW_ANSWER),
    (aiohttp.ClientSSLError, None, faults.TLS),
    (aiohttp.ClientConnectorError, None, faults.CONNECT),
    (aiohttp.ClientPayloadError, None, faults.LOST),
    # A broken status line, header, or chunk size.
    (HttpProcessingError, None, faults.GARBAGE),
    (aiohttp.ClientResponseError, None, faults.GARBAGE),
    (aiohttp.InvalidURL, None, faults.UNSENDABLE),
    (aiohttp.NonHttpUrlClientError, None, faults.UNSENDABLE),
    # httpx-aiohttp gives aiohttp's errors names of httpx that do not fit: these come first.
    (aiohttp.ClientError, None, faults.LOST),
    (httpx.ConnectTimeout, None, faults.SLOW_CONNECT),
    (httpx.PoolTimeout, None, faults.SLOW_CONNECT),
    (httpx.TimeoutException, None, faults.SLOW_ANSWER),
    (asyncio.TimeoutError, None, faults.SLOW_ANSWER),  # Python 3.10 has it apart from the system's
    (ssl.SSLError, None, faults.TLS),
    (httpx.ConnectError, None, faults.CONNECT),
    (httpx.UnsupportedProtocol, None, faults.UNSENDABLE),
    (httpx.LocalProtocolError, None, faults.UNSENDABLE),
    (httpx.InvalidURL, None, faults.UNSENDABLE),
    (httpx.CookieConflict, None, faults.UNSENDABLE),
    (httpx.DecodingError, None, faults.GARBAGE),
    (httpx.HTTPError, None, faults.LOST),
    (httpx.StreamError, None, faults.LOST),
    *SYSTEM_ROWS,
    (UnicodeError, "open", faults.UNSENDABLE),
    (ValueError, "open", faults.UNSENDABLE),
    (RuntimeError, None, faults.LOST),  # aiohttp's word for a connection that was closed under it
)
"""What the exceptions of httpx and aiohttp mean. The first row that fits decides."""
