"""The relay's ASGI application: which address is served in which wire's format, in front of one `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from llmclients.async_client import AsyncClient
from llmclients.errors import ConfigurationError
from llmclients.relay.accounts import Accounts
from llmclients.relay.addresses import PlainPaths
from llmclients.relay.config import RelayConfig
from llmclients.relay.cors import cors
from llmclients.relay.endpoints import Relay
from llmclients.relay.health import health_routes
from llmclients.relay.operations import Operations
from llmclients.relay.page.routes import Page
from llmclients.relay.routes import SERVER_CODECS, not_found, routes
from llmclients.relay.routing import Router
from llmclients.relay.upstream import Upstream

if TYPE_CHECKING:
    from llmclients.history import History

__all__ = ["SERVER_CODECS", "create_app", "make_app", "resolve"]


def create_app(
    client: AsyncClient | str | RelayConfig = "local",
    *,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int | None = None,
    lenient: bool | None = None,
    cors_origins: Sequence[str] | None = None,
    page: bool | History | None = None,
) -> Starlette:
    """The relay in front of one provider or several, as an application for any ASGI server.

    A provider's name makes a client that tries each call once: whether to try again is for the relay's own clients, who
    get the provider's status and its `Retry-After`.

    Args:
        client: a client, which stays the caller's to close, or a provider's name, or `"name/model"`; or, for several
            providers, a `RelayConfig`, in whose place the other arguments stand.
        api_key: the key that clients have to send. Without one, only requests to a loopback address are answered.
        defaults: options of calls that do not name them, such as `{"max_tokens": 64}`.
        max_request_bytes: the most bytes of one request, unpacked. Default 32 MiB.
        lenient: whether what a wire's programs ask for in every request is left out where nobody behind the relay can
            do it, with a line in the log and a header of the reply, `x-llmclients-warning`. Else it is rejected.
            Default: yes.
        cors_origins: the origins of web pages that may use the relay, such as `https://chat.example`.
        page: whether there is a page for browsers at the root; or the history that it is to keep conversations in, the
            caller's to close. The user's own is opened when the page is first used. Default: yes, but for a
            `RelayConfig` with keys of the clients' own, who are not to read one another's.

    Raises:
        ConfigurationError: naming the argument, or the file and the member, that is wrong.
    """
    changes = {
        "api_key": api_key,
        "max_request_bytes": max_request_bytes,
        "lenient": lenient,
        "cors_origins": cors_origins,
        "page": page,
    }
    return make_app(*resolve(client, changes, defaults))


def resolve(
    client: AsyncClient | str | RelayConfig, changes: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> tuple[AsyncClient | str, RelayConfig]:
    """Who answers where no route does, and the configuration with these changes of its server settings.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """
    if defaults is not None and not isinstance(defaults, Mapping):
        raise ConfigurationError(f"defaults must be a mapping, not {type(defaults).__name__}", argument="defaults")
    config = client if isinstance(client, RelayConfig) else RelayConfig(default=None)
    server = config.server.updated(changes)
    if config.client_keys and server.api_key is not None:
        raise ConfigurationError(
            f"{config.source} has keys of the clients' own: they do not go with an api_key for all", argument="api_key"
        )
    config = replace(config, server=server, defaults={**config.defaults, **(defaults or {})})
    return "" if isinstance(client, RelayConfig) else client, config


def make_app(client: AsyncClient | str, config: RelayConfig) -> Starlette:
    """`create_app` with what `resolve` gives. Its `state` has what a server needs: `operations` and `reload`."""
    server = config.server
    closes_client = not isinstance(client, AsyncClient)
    upstream: Upstream | Router
    if client == "":
        upstream = Router(config)
    else:
        made = client if isinstance(client, AsyncClient) else AsyncClient(client, retry=None)
        upstream = Upstream(made, config.defaults)
    if "*" in server.cors_origins or server.page:
        server.check_keys(has_client_keys=bool(config.client_keys))
    accounts = Accounts(server.api_key, config.client_keys, config.prices, server.metrics_key)
    operations = Operations()
    relay = Relay(upstream, accounts, server.max_request_bytes, operations, server.lenient)

    wanted = not config.client_keys if server.page is None else server.page
    shown = None if wanted is False else Page(relay, wanted)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if shown is not None:
            await shown.close()
        if closes_client:
            await upstream.close()

    app = Starlette(
        routes=[*routes(relay), *health_routes(operations, accounts), *(shown.routes() if shown else ())],
        middleware=[*cors(server.cors_origins), Middleware(PlainPaths)],
        lifespan=lifespan,
        exception_handlers={HTTPException: not_found},
    )
    app.router.redirect_slashes = False
    app.state.operations = operations

    async def reload(changed: RelayConfig) -> None:
        if isinstance(upstream, Router):
            await upstream.update(changed)
        accounts.update(changed.server.api_key, changed.client_keys, changed.prices, changed.server.metrics_key)

    app.state.reload = reload
    return app
