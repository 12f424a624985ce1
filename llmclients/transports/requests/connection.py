"""urllib3's connections and pools, with limits for every wait from the name's resolution to the request's last byte."""

# urllib3 has a connect and a read timeout, and gives them to the socket. What that leaves open, and what is done here:
#
#   Name resolution has no limit, and each address of a name begins anew. -> `_new_conn` makes the socket by `connect`,
#   within what is left for connecting; the proxy's tunnel and TLS have the rest of the same limit.
#
#   The request goes out under the connect timeout, all of it, and nobody hears a server that refuses it (413, 401) and
#   reads no more. -> `sending` does it, and breaks off at a refusal as for a pipe that is broken, which urllib3 takes
#   as: read the response. A broken TLS connection is such a pipe, too.
#
#   A proxy may drip its answers, or say more than it was asked. -> `proxies` speaks with it, in place of http.client
#   and PySocks.

from __future__ import annotations

import socket
import ssl
from functools import cache
from typing import Any

from urllib3 import exceptions as ux
from urllib3.connection import HTTPConnection

from llmclients.transports.requests.connect import connect_first, resolve
from llmclients.transports.requests.idle import IdleConnections
from llmclients.transports.requests.limits import Limits, current
from llmclients.transports.requests.proxies import ask_for_tunnel, ask_socks
from llmclients.transports.requests.sending import send_all
from llmclients.transports.requests.sockets import Guard
from llmclients.transports.requests.strict_head import StrictHTTPResponse

__all__ = ["ConnectLimitError", "use_limited_connections"]


class ConnectLimitError(ux.ConnectTimeoutError):
    """Connecting took too long. Of its own class, as urllib3's is also the base of failures that were quick."""


def use_limited_connections(manager: Any) -> None:
    """Let a pool manager make connections of these classes."""
    manager.pool_classes_by_scheme = {
        scheme: _limited_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


class _Limited(HTTPConnection):
    """A mixin before one of urllib3's connection classes: the same, within the limits of the exchange."""

    response_class = StrictHTTPResponse
    sock: Any
    tunnel_to: tuple[str, int, dict[str, str]]
    guard: Guard | None = None  # of a handshake inside TLS

    def connect(self) -> None:
        limits = _limits()
        limits.is_new_connection = True
        try:
            super().connect()
        except Exception as error:
            # urllib3 takes a handshake's for one of reading.
            if isinstance(error, TimeoutError) or (self.guard is not None and self.guard.has_ended):
                raise ConnectLimitError(self, "connecting timed out") from error
            raise
        finally:
            if self.guard is not None:
                self.guard.cancel()
        limits.use(self.sock)

    def _new_conn(self) -> socket.socket:
        limits = _limits()
        socks = limits.proxy if limits.proxy is not None and limits.proxy.is_socks else None
        first = (self._dns_host, self.port) if socks is None else (socks.host, socks.port)
        try:
            addresses = resolve(*first, limits.to_connect())
            sock = connect_first(addresses, limits.to_connect(), self.socket_options or ())
        except socket.gaierror as error:
            raise ux.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectLimitError(self, "connecting timed out") from error
        except OSError as error:
            raise ux.NewConnectionError(self, f"no connection: {error}") from error
        try:
            if socks is not None:
                ask_socks(sock, self._dns_host, self.port, socks, limits.to_connect)
            sock.settimeout(limits.to_connect())  # for TLS
        except BaseException:
            sock.close()
            raise
        return sock

    def set_tunnel(self, host: str, port: int | None = None, headers: Any = None, scheme: str = "http") -> None:
        super().set_tunnel(host, port=port, headers=headers, scheme=scheme)
        self.tunnel_to = (host.strip("[]"), port or 443, headers or {})

    def _tunnel(self) -> None:
        limits = _limits()
        host, port, headers = self.tunnel_to
        try:
            ask_for_tunnel(self.sock, host, port, headers.items(), limits.to_connect)
            self.sock.settimeout(limits.to_connect())  # for TLS with the server behind the proxy
            if isinstance(self.sock, ssl.SSLSocket):
                self.guard = Guard(self.sock, limits.to_connect())
        except BaseException:
            self.close()
            raise

    def send(self, data: Any) -> None:
        """Send bytes, as long as they go on."""
        if self.sock is None or not isinstance(data, bytes):  # the first piece of a request connects
            super().send(data)
            return
        limits = _limits()
        limits.use(self.sock)
        send_all(self.sock, data, limits)


def _limits() -> Limits:
    limits = current()
    assert limits is not None, "requests go out from the transport only"
    return limits


@cache  # a handful of classes: http and https, plain and over SOCKS
def _limited_pool(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls, _Limited):
        return pool
    connection = type(pool.ConnectionCls.__name__, (_Limited, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection, "QueueCls": IdleConnections})
