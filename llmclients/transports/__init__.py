"""Transports: one HTTP exchange at a time, over requests for `Client`, over httpx for `AsyncClient`.

`Transport` and `AsyncTransport` are protocols: a client takes any object that has their methods. What these must do is
said in `llmclients.transports.base`.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast

from llmclients.errors import ConfigurationError
from llmclients.transports.base import (
    AsyncClientTransport,
    AsyncResponse,
    AsyncTransport,
    BufferedAsyncResponse,
    ClientTransport,
    Clock,
    HTTPRequest,
    Response,
    SystemClock,
    Transport,
    TransportSettings,
    client_closed,
)
from llmclients.transports.stand_in import AsyncConnections, SyncConnections

if TYPE_CHECKING:
    import httpx
    import requests

    from llmclients.config.values import Timeout
    from llmclients.transports.mock import MockTransport

__all__ = [
    "AsyncClientTransport",
    "AsyncResponse",
    "AsyncTransport",
    "BufferedAsyncResponse",
    "ClientTransport",
    "Clock",
    "HTTPRequest",
    "Response",
    "SystemClock",
    "Transport",
    "async_transport",
    "client_closed",
    "sync_transport",
]


def sync_transport(
    settings: TransportSettings, transport: requests.Session | Transport | MockTransport | None
) -> ClientTransport:
    """The transport of a `Client`. requests is loaded here, by the first client that needs it.

    Args:
        settings: the client's arguments that concern its connections. Of these a `requests.Session` is held to
            `max_response_bytes` only, any other transport to none.
        transport: the client's `transport=`; None for connections of its own.

    Raises:
        ConfigurationError: `transport` is not what a `Client` can use.
    """
    session = None
    if transport is not None:
        from llmclients.transports.mock import MockTransport  # no client of a real program needs it

        if isinstance(transport, MockTransport):
            return _GivenTransport(transport.sync())
        if hasattr(transport, "open"):
            return _GivenTransport(_checked(transport, awaited=False))
        if not hasattr(transport, "get_adapter"):
            raise _unusable(transport, "a requests.Session, a Transport")
        session = transport
    from llmclients.transports.requests.transport import RequestsTransport

    made = RequestsTransport(settings, session)
    return cast(ClientTransport, SyncConnections(made) if session is None else _GivenTransport(made))


def async_transport(
    settings: TransportSettings, transport: httpx.AsyncClient | AsyncTransport | MockTransport | None
) -> AsyncClientTransport:
    """The transport of an `AsyncClient`. httpx is loaded only for a client of the caller's.

    Args:
        settings: the client's arguments that concern its connections. Of these an `httpx.AsyncClient` is held to
            `max_response_bytes` only, any other transport to none.
        transport: the client's `transport=`; None for connections of its own.

    Raises:
        ConfigurationError: `transport` is not what an `AsyncClient` can use.
    """
    client = None
    if transport is not None:
        from llmclients.transports.mock import MockTransport

        if isinstance(transport, MockTransport):
            return _AsyncGivenTransport(transport.asynchronous())
        if hasattr(transport, "open"):
            return _AsyncGivenTransport(_checked(transport, awaited=True))
        if not hasattr(transport, "aclose"):
            raise _unusable(transport, "an httpx.AsyncClient, an AsyncTransport")
        client = transport
    from llmclients.transports.httpx.transport import HttpxTransport

    made = HttpxTransport(settings, client)
    return cast(AsyncClientTransport, AsyncConnections(made) if client is None else _AsyncGivenTransport(made))


class _GivenTransport:
    """A transport that the caller has made, and closes: clients may share it, and be closed without it."""

    closed = False

    def __init__(self, transport: Transport) -> None:
        self._connections = transport
        self.clock = transport.clock

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        if self.closed:
            raise client_closed()
        return self._connections.open(request, timeout, deadline)

    def close(self) -> None:
        """Nothing more is opened. The transport itself is the caller's."""
        self.closed = True


class _AsyncGivenTransport:
    """`_GivenTransport`, awaited."""

    closed = False

    def __init__(self, transport: AsyncTransport) -> None:
        self._connections = transport
        self.clock = transport.clock

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> AsyncResponse:
        if self.closed:
            raise client_closed()
        return await self._connections.open(request, timeout, deadline)

    async def close(self) -> None:
        self.closed = True


def _checked(transport: Any, *, awaited: bool) -> Any:
    """An object with an `open`, if it has the rest of the protocol and is for this client."""
    name = type(transport).__name__
    missing = [member for member in ("open", "close", "clock") if not hasattr(transport, member)]
    if missing:
        raise ConfigurationError(f"transport: {name} has no {' and no '.join(missing)}", argument="transport")
    if iscoroutinefunction(transport.open) is not awaited:
        is_one, client = ("not a", "Client") if awaited else ("a", "AsyncClient")
        raise ConfigurationError(
            f"transport: {name} is for {client}, because its open is {is_one} coroutine function", argument="transport"
        )
    return transport


def _unusable(transport: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        f"transport must be {wanted} or a MockTransport, not {type(transport).__name__}", argument="transport"
    )
