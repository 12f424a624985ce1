"""The synchronous transport: sends requests by an adapter of requests, or by the caller's own session."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import weakref
from functools import lru_cache, partial
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
    SLOW_SENDING,
    SYSTEM_ROWS,
    TLS,
    ErrorContext,
    Row,
    closed_locally,
)
from llmclients.transports.head import InvalidRequestError
from llmclients.transports.request import Routes, header_lines, require, tls_context
from llmclients.transports.requests.connection import ConnectLimitError, use_limited_connections
from llmclients.transports.requests.limits import Limits, of_exchange
from llmclients.transports.requests.response import RequestsResponse
from llmclients.transports.requests.sending import SendTimeoutError
from llmclients.transports.requests.strict_head import RaisedInHandlerError

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
        self._sending: dict[int, Limits] = {}  # by the id of the request that waits for an answer's head
        # Not a WeakSet: threads may add to it while another one goes through it, to close.
        self._open: weakref.WeakValueDictionary[int, RequestsResponse] = weakref.WeakValueDictionary()

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> RequestsResponse:
        """Send the request and read the response's head."""
        if self._process != os.getpid():  # the pool's sockets are the parent's
            self._adapter, self._process = _Adapter(self._settings), os.getpid()
        proxy = None if self._session is not None else self._routes.proxy_for(request)
        context = ErrorContext(request.url, proxy, timeout, deadline, self.clock, EXCEPTIONS)
        while True:
            limits = Limits(timeout.connect, timeout.write_seconds, context.remaining(), proxy)
            self._sending[id(request)] = limits
            try:
                with of_exchange(limits):
                    response = self._sent(request, proxy, context)
                break
            except RaisedInHandlerError as error:
                raise error.error from None
            except Exception as error:
                if limits.guard is not None:
                    limits.guard.cancel()
                if limits.aborted:
                    raise closed_locally() from None
                if self._session is None and _was_idle_too_long(error, limits):
                    continue  # on another idle connection, or at last on a new one
                is_over = limits.guard is not None and limits.guard.has_ended
                raise context.error(TimeoutError() if is_over else error, "open") from error
            finally:
                del self._sending[id(request)]
        in_order = not (limits.refused_early or limits.early)
        limit = self._settings.max_response_bytes
        opened = RequestsResponse(response, context, limit, can_serve_again=in_order, guard=limits.guard)
        self._open[id(opened)] = opened
        return opened

    def _sent(self, request: HTTPRequest, proxy: Proxy | None, context: ErrorContext) -> requests.Response:
        timeout, remaining = context.timeout, context.remaining()
        waits = (timeout.connect, timeout.read_seconds)
        if remaining is not None:
            waits = (min(timeout.connect, remaining), min(timeout.read_seconds, remaining))
        if self._session is not None:
            return _send_with(self._session, request, waits)
        return self._send(request, proxy, waits)

    def _send(self, request: HTTPRequest, proxy: Proxy | None, waits: tuple[float, float]) -> requests.Response:
        """By the adapter alone: a session would add cookies, redirects and headers, and takes longer."""
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = _prepared_url(request.url)
        prepared.headers = CaseInsensitiveDict(header_lines(request))
        prepared.body = request.body or None
        proxies = {"all": _proxy_url(proxy)} if proxy is not None else {}
        verify = self._settings.verify is not False
        return self._adapter.send(prepared, stream=True, timeout=waits, verify=verify, proxies=proxies)

    def abort(self, request: HTTPRequest) -> bool:
        """End the wait of an `open`, which then fails as a `read` does whose response was closed. False: none waits."""
        limits = self._sending.get(id(request))
        if limits is not None:
            limits.abort()
        return limits is not None

    def close(self) -> None:
        """Close all connections, those of open exchanges too, unless the session is the caller's own."""
        if self._session is not None:
            return
        if self._process == os.getpid():  # after a fork, the sockets are the parent's: only this process lets them go
            for limits in tuple(self._sending.values()):
                limits.abort()
        for reference in self._open.valuerefs():
            if (response := reference()) is not None:
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
        use_limited_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.startswith("https:"):
            options["proxy_ssl_context"] = self._tls
        manager = super().proxy_manager_for(proxy, **options)
        use_limited_connections(manager)
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


def _send_with(session: requests.Session, request: HTTPRequest, waits: tuple[float, float]) -> requests.Response:
    """By the caller's own session, with its headers, authentication, proxies and certificates."""
    defaults = default_headers()
    user_headers = {name.lower() for name, value in session.headers.items() if defaults.get(name) != value}
    headers = header_lines(request, user_headers - {"accept-encoding"})
    prepared = session.prepare_request(
        requests.Request(
            request.method,
            request.url,
            headers=headers,
            data=request.body or None,
            auth=None if session.auth or "authorization" not in map(str.lower, headers) else _keep_authorization,
        )
    )
    options = session.merge_environment_settings(prepared.url, {}, True, None, None)
    return session.send(prepared, timeout=waits, allow_redirects=False, **options)


def _keep_authorization(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that leaves the header as it is: without one, requests puts in what ~/.netrc has."""
    return prepared


def _was_idle_too_long(error: Exception, limits: Limits) -> bool:
    """Whether a connection that was kept for the next exchange had been closed meanwhile.

    Some servers announce that a connection stays, and close it. The request was not answered by a byte then, and goes
    out again on another one, at once: it is no attempt of the caller's.
    """
    if limits.is_new_connection or limits.has_answer or limits.early:
        return False
    chain, seen = [error], list[BaseException]()
    while chain:
        one = chain.pop()
        seen.append(one)
        inner = (one.__cause__, *one.args, getattr(one, "reason", None))
        chain += [e for e in inner if isinstance(e, Exception) and e not in seen]
    lost = (ConnectionError, http.client.RemoteDisconnected)
    return any(isinstance(one, lost) and not isinstance(one, requests.RequestException) for one in seen)


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
    (InvalidRequestError, None, INVALID_REQUEST),
    (SendTimeoutError, None, SLOW_SENDING),
    (ConnectLimitError, None, SLOW_CONNECT),
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
