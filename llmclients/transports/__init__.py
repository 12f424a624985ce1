"""I/O: one HTTP exchange at a time, synchronous over requests, asynchronous over httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmclients.errors import ConfigurationError
from llmclients.transports.base import AsyncResponse, AsyncTransport, Response, Transport, TransportSettings

if TYPE_CHECKING:
    import httpx
    import requests

    from llmclients.transports.mock import MockTransport

__all__ = ["AsyncResponse", "AsyncTransport", "Response", "Transport", "async_transport", "sync_transport"]


def sync_transport(settings: TransportSettings, own: requests.Session | MockTransport | None) -> Transport:
    """The transport of a `Client`. requests is loaded here, by the first client that needs it.

    Raises:
        ConfigurationError: `own` is not what a client can use.
    """
    session = None
    if own is not None:
        from llmclients.transports.mock import MockTransport  # no client of a real program needs it

        if isinstance(own, MockTransport):
            return own.sync()
        if not hasattr(own, "get_adapter"):
            raise _unusable(own, "a requests.Session")
        session = own
    from llmclients.transports.requests.transport import RequestsTransport

    return RequestsTransport(settings, session)


def async_transport(settings: TransportSettings, own: httpx.AsyncClient | MockTransport | None) -> AsyncTransport:
    """The transport of an `AsyncClient`. httpx and aiohttp are loaded here, by the first client that needs them.

    Raises:
        ConfigurationError: `own` is not what a client can use.
    """
    client = None
    if own is not None:
        from llmclients.transports.mock import MockTransport

        if isinstance(own, MockTransport):
            return own.asynchronous()
        if not hasattr(own, "aclose"):
            raise _unusable(own, "an httpx.AsyncClient")
        client = own
    from llmclients.transports.httpx.transport import HttpxTransport

    return HttpxTransport(settings, client)


def _unusable(own: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        f"transport must be {wanted} or a MockTransport, not {type(own).__name__}", argument="transport"
    )
