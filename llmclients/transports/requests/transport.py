"""The synchronous transport: sends requests by an adapter of requests, or by the caller's own session."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
import weakref
from functools import cache, lru_cache, partial
from typing import Any

import requests
from requests import exceptions as rx
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, default_headers
from urllib3 import exceptions as ux

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
from llmclients.transports.request import Routes, header_lines, require, tls_context
from llmclients.transports.requests.response import RequestsResponse
from llmclients.transports.requests.strict_head import StrictHTTPResponse, heads_within

__all__ = ["RequestsTransport"]

_POOLED_CONNECTIONS = 128
"""Kept open for each server: as many as threads may talk to it at a time."""


class RequestsTransport:
    """Opens exchanges with requests. May be shared by threads, and used after a fork.

    Args:
        settings: proxy, certificates, limits. With a session of the caller's only the limit counts.
        session: the caller's own session, to send with instead; used as it is, and left open.
        clock: what deadlines are measured on.
    """

    def __init__(
        self, settings: TransportSettings, session: requests.Session | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.clock = clock
        self._settings = settings
        self._session = session
        self._routes = Routes(settings)
        self._adapter = _Adapter(settings)
        self._process = os.getpid()
        self._open: weakref.WeakSet[RequestsResponse] = weakref.WeakSet()

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> RequestsResponse:
        """Send the request and read the response's head."""
        if self._process != os.getpid():  # the pool's sockets are the parent's
            self._adapter, self._process = _Adapter(self._settings), os.getpid()
        proxy = None if self._session is not None else self._routes.proxy_for(request)
        context = ErrorContext(request.url, proxy, timeout, deadline, self.clock, EXCEPTIONS)
        remaining = context.remaining()
        limits = (timeout.connect, timeout.read)
        if remaining is not None:
            limits = (min(timeout.connect, remaining), min(timeout.read, remaining))
        try:
            with heads_within(remaining):
                if self._session is None:
                    response = self._send(request, proxy, limits)
                else:
                    response = _send_with(self._session, request, limits)
        except Exception as error:
            raise context.error(error, "open") from error
        opened = RequestsResponse(response, context, self._settings.max_response_bytes)
        self._open.add(opened)
        return opened

    def _send(self, request: HTTPRequest, proxy: Proxy | None, limits: tuple[float, float]) -> requests.Response:
        """By the adapter alone: a session would add cookies, redirects and headers, and takes longer."""
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = _prepared_url(request.url)
        prepared.headers = CaseInsensitiveDict(header_lines(request))
        prepared.body = request.body or None
        proxies = {"all": _proxy_url(proxy)} if proxy is not None else {}
        verify = self._settings.verify is not False
        return self._adapter.send(prepared, stream=True, timeout=limits, verify=verify, proxies=proxies)

    def close(self) -> None:
        """Close all connections, those of open exchanges too, unless the session is the caller's own."""
        if self._session is not None:
            return
        for response in list(self._open):
            response.close()
        self._adapter.close()


class _Adapter(HTTPAdapter):
    """requests' adapter, with one TLS context for all its connections, and heads read strictly."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        super().__init__(pool_maxsize=_POOLED_CONNECTIONS)

    @property
    def _tls(self) -> Any:
        # On demand: loading the authorities takes longer than a whole exchange without TLS.
        if not hasattr(self, "_tls_context"):
            default = partial(ssl.create_default_context, cafile=DEFAULT_CA_BUNDLE_PATH)
            self._tls_context = tls_context(self._settings, default)
        return self._tls_context

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _read_heads_strictly(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.startswith("https:"):
            options["proxy_ssl_context"] = self._tls
        manager = super().proxy_manager_for(proxy, **options)
        _read_heads_strictly(manager)
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            options["ssl_context"] = self._tls
        return host, options

    def close(self) -> None:
        """Close the idle connections now: urllib3 waits until nobody has a response of theirs, or an error."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - a copy, made under its lock
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context has the authorities, and would load them again for each connection."""


def _read_heads_strictly(manager: Any) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _strict_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


@cache  # a handful of classes: http and https, plain and over SOCKS
def _strict_pool(pool: Any) -> Any:
    if getattr(pool.ConnectionCls, "response_class", None) is StrictHTTPResponse:
        return pool

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # its base is only known here
        response_class = StrictHTTPResponse

        def _new_conn(self) -> Any:
            start = time.monotonic()
            sock = super()._new_conn()
            # What TLS and a proxy's tunnel may still take.
            sock.settimeout(max(self.timeout - (time.monotonic() - start), 0.001))
            return sock

        def connect(self) -> None:
            try:
                super().connect()
            except TimeoutError as error:  # urllib3 takes a handshake's for one of reading
                raise ux.ConnectTimeoutError(self, "connecting timed out") from error

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _send_with(session: requests.Session, request: HTTPRequest, limits: tuple[float, float]) -> requests.Response:
    """By the caller's own session, with its headers, authentication, proxies and certificates."""
    defaults = default_headers()
    user_headers = {name.lower() for name, value in session.headers.items() if defaults.get(name) != value}
    headers = header_lines(request, user_headers - {"accept-encoding"})
    prepared = session.prepare_request(
        requests.Request(request.method, request.url, headers=headers, data=request.body or None)
    )
    options = session.merge_environment_settings(prepared.url, {}, True, None, None)
    return session.send(prepared, timeout=limits, allow_redirects=False, **options)


@lru_cache(maxsize=256)
def _prepared_url(url: str) -> str:
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return str(prepared.url)


def _proxy_url(proxy: Proxy) -> str:
    if not proxy.is_socks:
        return proxy.url
    require("socks")
    # The proxy resolves names, whatever the scheme says.
    return proxy.url.replace(proxy.scheme, "socks5h" if proxy.scheme.startswith("socks5") else "socks4a", 1)


EXCEPTIONS: tuple[Row, ...] = (
    (socket.gaierror, None, RESOLVE),
    (ux.NameResolutionError, None, RESOLVE),
    (ConnectionRefusedError, None, CONNECT),
    (ux.ProxyError, None, PROXY),
    (rx.ProxyError, None, PROXY),
    (ux.NewConnectionError, None, CONNECT),
    (ux.ConnectTimeoutError, None, SLOW_CONNECT),
    (rx.ConnectTimeout, None, SLOW_CONNECT),
    (ux.TimeoutError, None, SLOW_ANSWER),
    (rx.Timeout, None, SLOW_ANSWER),
    (ssl.SSLCertVerificationError, None, CERTIFICATE),
    (ux.SSLError, None, TLS),
    (rx.SSLError, None, TLS),
    # Before what wraps them: urllib3 finds fault with headers of the response by the name of the request's.
    (ux.InvalidHeader, None, MALFORMED),
    (ux.HeaderParsingError, None, MALFORMED),
    (ux.InvalidChunkLength, None, MALFORMED),
    (ux.ResponseNotChunked, None, MALFORMED),
    (ux.BodyNotHttplibCompatible, None, MALFORMED),
    (ux.DecodeError, None, MALFORMED),
    (rx.ContentDecodingError, None, MALFORMED),
    (http.client.RemoteDisconnected, None, CONNECTION_LOST),
    (http.client.IncompleteRead, None, CONNECTION_LOST),
    (http.client.ImproperConnectionState, None, CONNECTION_LOST),
    (http.client.InvalidURL, None, INVALID_REQUEST),
    (http.client.HTTPException, None, MALFORMED),
    (ux.LocationValueError, None, INVALID_REQUEST),
    (ux.ProxySchemeUnsupported, None, INVALID_REQUEST),
    (ux.UnrewindableBodyError, None, INVALID_REQUEST),
    (rx.InvalidURL, None, INVALID_REQUEST),
    (rx.InvalidSchema, None, INVALID_REQUEST),
    (rx.InvalidHeader, None, INVALID_REQUEST),
    (rx.MissingSchema, None, INVALID_REQUEST),
    (rx.URLRequired, None, INVALID_REQUEST),
    (rx.UnrewindableBodyError, None, INVALID_REQUEST),
    (ux.HTTPError, None, CONNECTION_LOST),
    (rx.ConnectionError, None, CONNECTION_LOST),
    (rx.ChunkedEncodingError, None, CONNECTION_LOST),
    (rx.StreamConsumedError, None, CONNECTION_LOST),
    (rx.RequestException, None, CONNECTION_LOST),
    *SYSTEM_ROWS,
    (UnicodeError, "open", INVALID_REQUEST),
    (ValueError, "open", INVALID_REQUEST),
    (ValueError, "read", CONNECTION_LOST),  # of a file that is closed
)
"""What the exceptions of requests, urllib3 and http.client mean; see `llmclients.transports.errors`."""
