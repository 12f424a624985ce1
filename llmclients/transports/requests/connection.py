"""urllib3's connections and pools, with limits for every wait from the name's resolution to the request's last byte."""

# urllib3 has a connect and a read timeout, and gives them to the socket. What that leaves open, and what is done here:
#
#   Name resolution has no limit, and each address of a name begins anew. -> `_new_conn` makes the socket by `connect`,
#   within what is left for connecting; the proxy's tunnel and TLS have the rest of the same limit.
#
#   The request goes out under the connect timeout, all of it. -> `send` hands over small pieces, each with a limit of
#   its own: what counts is that the server goes on taking something.
#
#   A server may answer before it has the whole request (413, 401), and read no more. -> Where the answer can be seen
#   while bytes are unsent, `send` breaks off as for a pipe that is broken, which urllib3 takes as: read the response.
#
# SOCKS connections are made by PySocks, which bounds its own dialogue by the socket's timeout.

from __future__ import annotations

import select
import socket
import ssl
import sys
from functools import cache
from typing import Any

from urllib3 import exceptions as ux
from urllib3.connection import HTTPConnection

from llmclients.transports.requests.connect import connect_first, resolve
from llmclients.transports.requests.idle import IdleConnections
from llmclients.transports.requests.limits import current
from llmclients.transports.requests.strict_head import StrictHTTPResponse

__all__ = ["ConnectLimitError", "SendTimeoutError", "use_limited_connections"]

_PIECE = 16 * 1024  # bytes


class ConnectLimitError(ux.ConnectTimeoutError):
    """Connecting took too long. Of its own class, as urllib3's is also the base of failures that were quick."""


class SendTimeoutError(TimeoutError):
    """The server takes nothing more of the request."""


def use_limited_connections(manager: Any) -> None:
    """Let a pool manager make connections of these classes."""
    manager.pool_classes_by_scheme = {
        scheme: _limited_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


class _Limited(HTTPConnection):
    """A mixin before one of urllib3's connection classes: the same, within the limits of the exchange."""

    response_class = StrictHTTPResponse
    by_socks = False
    sock: Any

    def connect(self) -> None:
        limits = current()
        if limits is None:
            super().connect()
            return
        limits.is_new_connection = limits.is_connecting = True
        try:
            super().connect()
        except TimeoutError as error:  # urllib3 takes a handshake's for one of reading
            raise ConnectLimitError(self, "connecting timed out") from error
        finally:
            limits.is_connecting = False
        limits.use(self.sock)

    def _new_conn(self) -> socket.socket:
        limits = current()
        if limits is None or self.by_socks:
            if limits is not None:
                self.timeout = limits.to_connect()
            sock: socket.socket = super()._new_conn()
        else:
            try:
                addresses = resolve(self._dns_host, self.port, limits.to_connect())
                sock = connect_first(addresses, limits.to_connect(), self.socket_options or ())
            except socket.gaierror as error:
                raise ux.NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise ConnectLimitError(self, "connecting timed out") from error
            except OSError as error:
                raise ux.NewConnectionError(self, f"no connection: {error}") from error
        if limits is not None:
            sock.settimeout(limits.to_connect())  # for TLS, and for a proxy's tunnel
        return sock

    def _tunnel(self) -> None:
        limits = current()
        super()._tunnel()
        if limits is not None:
            self.sock.settimeout(limits.to_connect())  # for TLS with the server behind the proxy

    def send(self, data: Any) -> None:
        """Send bytes, in pieces that each have a limit."""
        limits = current()
        if limits is None or limits.is_connecting or self.sock is None or not isinstance(data, bytes):
            super().send(data)
            return
        limits.use(self.sock)
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            if start and not isinstance(self.sock, ssl.SSLSocket) and _is_readable(self.sock):
                self._leave_unsent()
            self.sock.settimeout(limits.to_send())
            try:
                super().send(view[start : start + _PIECE])
            except TimeoutError as error:
                if _is_readable(self.sock):
                    self._leave_unsent()
                raise SendTimeoutError("nothing more was taken") from error

    def _leave_unsent(self) -> None:
        limits = current()
        assert limits is not None
        limits.refused_early = True
        raise BrokenPipeError("the server has answered before it has the whole request")


def _is_readable(sock: socket.socket) -> bool:
    """Whether bytes, or the connection's end, wait to be taken off the socket."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@cache  # a handful of classes: http and https, plain and over SOCKS
def _limited_pool(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls, _Limited):
        return pool
    socks = sys.modules.get("urllib3.contrib.socks")  # loaded by the first proxy that needs it
    by_socks = socks is not None and issubclass(pool.ConnectionCls, socks.SOCKSConnection)
    connection = type(pool.ConnectionCls.__name__, (_Limited, pool.ConnectionCls), {"by_socks": by_socks})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection, "QueueCls": IdleConnections})
