"""The relay's ASGI application: which address is served in which wire's format, in front of one `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from llmclients.async_client import AsyncClient
from llmclients.errors import ConfigurationError
from llmclients.relay.access import check_key
from llmclients.relay.addresses import PlainPaths
from llmclients.relay.endpoints import Relay
from llmclients.relay.routes import SERVER_CODECS, not_found, routes
from llmclients.relay.upstream import Upstream

__all__ = ["DEFAULT_MAX_REQUEST_BYTES", "SERVER_CODECS", "create_app"]

DEFAULT_MAX_REQUEST_BYTES = 32 * 1024 * 1024


def create_app(
    client: AsyncClient | str = "local",
    *,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    lenient: bool = True,
) -> Starlette:
    """The relay in front of one provider, as an application for any ASGI server.

    A provider's name makes a client that tries each call once: whether to try again is for the relay's own clients, who
    get the provider's status and its `Retry-After`.

    Args:
        client: a client, which stays the caller's to close, or a provider's name, or `"name/model"`.
        api_key: the key that clients have to send. Without one, only requests to a loopback address are answered.
        defaults: options of calls that do not name them, such as `{"max_tokens": 64}`.
        max_request_bytes: the most bytes of one request, unpacked.
        lenient: whether what a wire's programs ask for in every request is left out where nobody behind the relay can
            do it, with a line in the log and a header of the reply, `x-llmclients-warning`. Else it is rejected.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """
    if defaults is not None and not isinstance(defaults, Mapping):
        raise ConfigurationError(f"defaults must be a mapping, not {type(defaults).__name__}", argument="defaults")
    if isinstance(max_request_bytes, bool) or not isinstance(max_request_bytes, int) or max_request_bytes < 1:
        raise ConfigurationError("max_request_bytes must be a positive whole number", argument="max_request_bytes")
    closes_client = not isinstance(client, AsyncClient)
    upstream_client = client if isinstance(client, AsyncClient) else AsyncClient(client, retry=None)
    relay = Relay(Upstream(upstream_client, defaults or {}), check_key(api_key), max_request_bytes, bool(lenient))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if closes_client:
            await upstream_client.close()

    app = Starlette(
        routes=list(routes(relay)),
        middleware=[Middleware(PlainPaths)],
        lifespan=lifespan,
        exception_handlers={HTTPException: not_found},
    )
    app.router.redirect_slashes = False
    return app
