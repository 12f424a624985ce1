"""The asynchronous transport: httpx over aiohttp's connections, and over httpx's own where aiohttp has none (SOCKS).

Requests go straight to httpx's transports: a client would add cookies, redirects, and log lines with whole URLs.
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
from llmclients.transports.base import SYSTEM_CLOCK, Clock, HTTPRequest, TransportSettings
from llmclients.transports.errors import (
    CERTIFICATE,
    CONNECT,
    CONNECTION_LOST,
    INVALID_REQUEST,
    MALFORMED,
    PROXY,
    RESOLVE,
    SLOW_ANSWER,
    SLOW_CONNECT,
    SYSTEM_ROWS,
    TLS,
    ErrorContext,
    Row,
)
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
        self._tls_context: ssl.SSLContext | None = None
        self._connections = PerLoop(_LoopConnections)

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> HttpxResponse:
        """Send the request and read the response's head."""
        loop = asyncio.get_running_loop()
        proxy = None if self._client is not None else self._routes.proxy_for(request)
        context = ErrorContext(request.url, proxy, timeout, deadline, self.clock, EXCEPTIONS)
        remaining = context.remaining()
        connections = None
        try:
            if self._client is not None:
                sent = _send_with(self._client, request, timeout)
            else:
                connections = await self._connections.get()
                sent = self._send(connections, request, timeout, proxy)
            if remaining is None:
                response = await sent
            else:
                async with timeout_at(loop.time() + remaining):
                    response = await sent
        except Exception as error:
            raise context.error(error, "open") from error
        opened = HttpxResponse(response, context, self._settings.max_response_bytes, self)
        if connections is not None:
            connections.open.add(opened)
        return opened

    def _send(
        self, connections: _LoopConnections, request: HTTPRequest, timeout: Timeout, proxy: Proxy | None
    ) -> Awaitable[httpx.Response]:
        url = _parsed_url(request.url)
        secure = url.scheme == "https"
        transport = connections.transports.get((secure, proxy))
        if transport is None:
            transport = connections.transports[secure, proxy] = self._transport(secure, proxy)
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
            if self._tls_context is None:
                self._tls_context = tls_context(self._settings, partial(httpx.create_ssl_context, trust_env=False))
            context = self._tls_context
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
        http_proxy = None
        if proxy is not None:
            http_proxy = httpx.Proxy(proxy.url_without_credentials, headers=_proxy_authorization(proxy))
        return AiohttpTransport(verify=context or False, proxy=http_proxy, client=session)

    async def close(self) -> None:
        """Close all connections, those of open exchanges too, unless the client is the caller's own."""
        await self._connections.close()


class _LoopConnections:
    """The connections of one event loop, and the responses that are open on them."""

    def __init__(self) -> None:
        self.transports: dict[tuple[bool, Proxy | None], httpx.AsyncBaseTransport] = {}
        self.open: weakref.WeakSet[HttpxResponse] = weakref.WeakSet()

    async def close(self) -> None:
        for response in list(self.open):
            response.abort()
        while self.transports:
            await self.transports.popitem()[1].aclose()

    def discard(self) -> None:
        """Drop the connections without awaiting: their loop is closed. The sockets end with their last reference."""
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
    defaults = ("accept", "accept-encoding", "connection")
    user_headers = {
        name for name, value in client.headers.items() if name not in defaults and not value.startswith("python-httpx")
    }
    built = client.build_request(
        request.method,
        request.url,
        headers=header_lines(request, user_headers),
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
    (aiohttp.ClientConnectorDNSError, None, RESOLVE),
    (ConnectionRefusedError, None, CONNECT),
    (aiohttp.ClientHttpProxyError, None, PROXY),
    (aiohttp.ClientProxyConnectionError, None, CONNECT),
    (httpx.ProxyError, None, PROXY),
    (ssl.SSLCertVerificationError, None, CERTIFICATE),
    (aiohttp.ServerFingerprintMismatch, None, CERTIFICATE),
    (aiohttp.ConnectionTimeoutError, None, SLOW_CONNECT),
    (aiohttp.ServerTimeoutError, None, SLOW_ANSWER),
    (aiohttp.ClientSSLError, None, TLS),
    (aiohttp.ClientConnectorError, None, CONNECT),
    (aiohttp.ClientPayloadError, None, CONNECTION_LOST),
    # A broken status line, header, or chunk size.
    (HttpProcessingError, None, MALFORMED),
    (aiohttp.ClientResponseError, None, MALFORMED),
    (aiohttp.InvalidURL, None, INVALID_REQUEST),
    (aiohttp.NonHttpUrlClientError, None, INVALID_REQUEST),
    # httpx-aiohttp gives aiohttp's errors names of httpx that do not fit: these come first.
    (aiohttp.ClientError, None, CONNECTION_LOST),
    (httpx.ConnectTimeout, None, SLOW_CONNECT),
    (httpx.PoolTimeout, None, SLOW_CONNECT),
    (httpx.TimeoutException, None, SLOW_ANSWER),
    (asyncio.TimeoutError, None, SLOW_ANSWER),  # Python 3.10 has it apart from the system's
    (ssl.SSLError, None, TLS),
    (httpx.ConnectError, None, CONNECT),
    (httpx.UnsupportedProtocol, None, INVALID_REQUEST),
    (httpx.LocalProtocolError, None, INVALID_REQUEST),
    (httpx.InvalidURL, None, INVALID_REQUEST),
    (httpx.CookieConflict, None, INVALID_REQUEST),
    (httpx.DecodingError, None, MALFORMED),
    (httpx.HTTPError, None, CONNECTION_LOST),
    (httpx.StreamError, None, CONNECTION_LOST),
    *SYSTEM_ROWS,
    (UnicodeError, "open", INVALID_REQUEST),
    (ValueError, "open", INVALID_REQUEST),
    (RuntimeError, None, CONNECTION_LOST),  # what aiohttp raises for a connection that was closed under it
)
"""What the exceptions of httpx and aiohttp mean; see `llmclients.transports.errors`."""
