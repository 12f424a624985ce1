"""The relay's ASGI application: which address is served in which wire's format, in front of one `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from llmclients.async_client import AsyncClient
from llmclients.errors import ConfigurationError
from llmclients.relay.accounts import Accounts
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.ai365vip import Ai365vipServerCodec
from llmclients.relay.codecs.anthropic import AnthropicServerCodec, is_anthropic
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec
from llmclients.relay.codecs.openai_responses import OpenAIResponsesServerCodec
from llmclients.relay.codecs.ylokh import YlokhServerCodec
from llmclients.relay.codecs.yqcloud import YqcloudServerCodec, is_current
from llmclients.relay.codecs.yqcloud_legacy import YqcloudLegacyServerCodec
from llmclients.relay.config import RelayConfig
from llmclients.relay.cors import cors
from llmclients.relay.endpoints import ChatEndpoint, CodecSelector, ModelsEndpoint, Relay
from llmclients.relay.errors import Failure
from llmclients.relay.health import health_routes
from llmclients.relay.operations import Operations
from llmclients.relay.records import RequestRecord
from llmclients.relay.routing import Router
from llmclients.relay.upstream import Upstream

__all__ = ["SERVER_CODECS", "create_app", "make_app", "resolve"]

_YQCLOUD, _YQCLOUD_LEGACY, _AI365VIP = YqcloudServerCodec(), YqcloudLegacyServerCodec(), Ai365vipServerCodec()
_OPENAI, _RESPONSES, _ANTHROPIC = OpenAIServerCodec(), OpenAIResponsesServerCodec(), AnthropicServerCodec()
SERVER_CODECS: tuple[ServerCodec, ...] = (
    YlokhServerCodec(),
    _YQCLOUD,
    _YQCLOUD_LEGACY,
    _AI365VIP,
    _RESPONSES,
    _OPENAI,
    _ANTHROPIC,
)


def create_app(
    client: AsyncClient | str | RelayConfig = "local",
    *,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int | None = None,
    cors_origins: Sequence[str] | None = None,
) -> Starlette:
    """The relay in front of one provider or several, as an application for any ASGI server.

    A provider's name makes a client that tries each call once: whether to try again is for the relay's own clients, who
    get the provider's status and its `Retry-After`.

    Args:
        client: a client, which stays the caller's to close, or a provider's name, or `"name/model"`; or, for several
            providers, a `RelayConfig`, in whose place the other arguments stand.
        api_key: the key that clients have to send. Without one, only requests to a loopback address are answered.
        defaults: options of calls that do not name them, such as `{"max_tokens": 64}`.
        max_request_bytes: the most bytes of one request. Default 32 MiB.
        cors_origins: the origins of web pages that may use the relay, such as `https://chat.example`.

    Raises:
        ConfigurationError: naming the argument, or the file and the member, that is wrong.
    """
    changes = {"api_key": api_key, "max_request_bytes": max_request_bytes, "cors_origins": cors_origins}
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
    if "*" in server.cors_origins:
        server.check_keys(has_client_keys=bool(config.client_keys))
    accounts = Accounts(server.api_key, config.client_keys, config.prices, server.metrics_key)
    operations = Operations()
    relay = Relay(upstream, accounts, server.max_request_bytes, operations)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if closes_client:
            await upstream.close()

    app = Starlette(
        routes=[*_routes(relay), *health_routes(operations, accounts)],
        middleware=cors(server.cors_origins),
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_found},
    )
    app.router.redirect_slashes = False
    app.state.operations = operations

    async def reload(changed: RelayConfig) -> None:
        if isinstance(upstream, Router):
            await upstream.update(changed)
        accounts.update(changed.server.api_key, changed.client_keys, changed.prices, changed.server.metrics_key)

    app.state.reload = reload
    return app


def _routes(relay: Relay) -> Iterator[Route]:
    def chat(path: str, select_codec: CodecSelector) -> Route:
        return Route(path, ChatEndpoint(relay, select_codec), methods=["POST"])

    def models(path: str) -> Route:
        return Route(path, ModelsEndpoint(relay, _openai_or_anthropic), methods=["GET"])

    for codec in SERVER_CODECS:
        yield chat(codec.prefix + codec.path, _always(codec))
    yield models("/openai/v1/models")
    yield models("/anthropic/v1/models")
    # Without a prefix: where the wires' paths are the same, the headers say which one it is.
    yield chat("/v1/chat/completions", _always(_OPENAI))
    yield chat("/v1/responses", _always(_RESPONSES))
    yield chat("/v1/messages", _always(_ANTHROPIC))
    yield models("/v1/models")
    yield chat("/api/generateStream", _either_yqcloud)
    yield chat("/api/chat", _always(_AI365VIP))


def _always(codec: ServerCodec) -> CodecSelector:
    return lambda headers: codec


def _either_yqcloud(headers: Mapping[str, str]) -> ServerCodec:
    return _YQCLOUD if is_current(headers) else _YQCLOUD_LEGACY


def _openai_or_anthropic(headers: Mapping[str, str]) -> ServerCodec:
    return _ANTHROPIC if is_anthropic(headers) else _OPENAI


async def _not_found(request: Request, error: Exception) -> Response:
    """The reply to a path or a method that the relay does not have: says where the wires are."""
    assert isinstance(error, HTTPException)
    prefixes = ", ".join(dict.fromkeys(codec.prefix for codec in SERVER_CODECS))
    record = RequestRecord(request.method, request.scope["path"])
    record.status, record.error = error.status_code, error.detail
    request.app.state.operations.finish(record)
    # Not `request.url`: that is made of the Host header, which may be none.
    message = f"{error.detail}: {request.method} {request.scope['path'][:200]}. A base_url ends with one of {prefixes}"
    body = _openai_or_anthropic(request.headers).encode_error(Failure(error.status_code, message))
    return _Refusal(body, error.status_code, error.headers, "application/json")


class _Refusal(Response):
    """A reply to a request whose body nobody has read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [pair for pair in self.headers.items() if pair[0] not in ("content-length", "content-type")]
        exchange = ASGIExchange(scope, receive, send)
        await exchange.reply(self.status_code, "application/json", bytes(self.body), headers)
