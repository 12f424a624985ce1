"""The relay's ASGI application: which address is served in which wire's format, in front of one `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from llmclients.async_client import AsyncClient
from llmclients.errors import ConfigurationError
from llmclients.relay.access import check_key
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.ai365vip import Ai365vipServerCodec
from llmclients.relay.codecs.anthropic import AnthropicServerCodec, is_anthropic
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec
from llmclients.relay.codecs.openai_responses import OpenAIResponsesServerCodec
from llmclients.relay.codecs.ylokh import YlokhServerCodec
from llmclients.relay.codecs.yqcloud import YqcloudServerCodec, is_current
from llmclients.relay.codecs.yqcloud_legacy import YqcloudLegacyServerCodec
from llmclients.relay.endpoints import ChatEndpoint, CodecSelector, ModelsEndpoint, Relay
from llmclients.relay.errors import Failure
from llmclients.relay.page.routes import Page
from llmclients.relay.upstream import Upstream

if TYPE_CHECKING:
    from llmclients.history import History

__all__ = ["DEFAULT_MAX_REQUEST_BYTES", "SERVER_CODECS", "create_app"]

DEFAULT_MAX_REQUEST_BYTES = 32 * 1024 * 1024

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
    client: AsyncClient | str = "local",
    *,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    page: bool | History = True,
) -> Starlette:
    """The relay in front of one provider, as an application for any ASGI server.

    A provider's name makes a client that tries each call once: whether to try again is for the relay's own clients, who
    get the provider's status and its `Retry-After`.

    Args:
        client: a client, which stays the caller's to close, or a provider's name, or `"name/model"`.
        api_key: the key that clients have to send. Without one, only requests to a loopback address are answered.
        defaults: options of calls that do not name them, such as `{"max_tokens": 64}`.
        max_request_bytes: the most bytes of one request.
        page: whether there is a page for browsers at the root; or the history that it is to keep conversations in, the
            caller's to close. The user's own is opened when the page is first used.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """
    if defaults is not None and not isinstance(defaults, Mapping):
        raise ConfigurationError(f"defaults must be a mapping, not {type(defaults).__name__}", argument="defaults")
    if isinstance(max_request_bytes, bool) or not isinstance(max_request_bytes, int) or max_request_bytes < 1:
        raise ConfigurationError("max_request_bytes must be a positive whole number", argument="max_request_bytes")
    closes_client = not isinstance(client, AsyncClient)
    upstream_client = client if isinstance(client, AsyncClient) else AsyncClient(client, retry=None)
    relay = Relay(Upstream(upstream_client, defaults or {}), check_key(api_key), max_request_bytes)

    shown = None if page is False else Page(relay, page)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if shown is not None:
            await shown.close()
        if closes_client:
            await upstream_client.close()

    app = Starlette(
        routes=[*_routes(relay), *(shown.routes() if shown else ())],
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_found},
    )
    app.router.redirect_slashes = False
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
