"""The relay's routes: which address is served in which wire's format, and the reply to an address that there is not.

Each wire has addresses below a prefix of its own. Without one, an address is of the wire that has it; where several
have, the request's head says which one it is, or its body does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from llmclients.relay.addresses import Address, explanation, plain_path
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.ai365vip import Ai365vipServerCodec
from llmclients.relay.codecs.anthropic import AnthropicServerCodec, is_anthropic
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.gemini import (
    GeminiCountCodec,
    GeminiEventsCodec,
    GeminiListCodec,
    GeminiServerCodec,
)
from llmclients.relay.codecs.ollama import OllamaGenerateCodec, OllamaLoadedCodec, OllamaServerCodec
from llmclients.relay.codecs.ollama_embeddings import EMBED, EMBEDDINGS
from llmclients.relay.codecs.ollama_reply import version_body
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec
from llmclients.relay.codecs.openai_responses import OpenAIResponsesServerCodec
from llmclients.relay.codecs.ylokh import YlokhServerCodec
from llmclients.relay.codecs.yqcloud import YqcloudServerCodec, is_current
from llmclients.relay.codecs.yqcloud_legacy import YqcloudLegacyServerCodec
from llmclients.relay.embed_endpoint import EmbedEndpoint
from llmclients.relay.endpoints import ChatEndpoint, CodecSelector, Endpoint, Relay
from llmclients.relay.errors import Failure
from llmclients.relay.plain_endpoints import (
    CountEndpoint,
    FixedEndpoint,
    ModelEndpoint,
    ModelsEndpoint,
    PassingEndpoint,
)
from llmclients.relay.records import RequestRecord

__all__ = ["SERVER_CODECS", "not_found", "routes"]

_YQCLOUD, _YQCLOUD_LEGACY, _AI365VIP = YqcloudServerCodec(), YqcloudLegacyServerCodec(), Ai365vipServerCodec()
_OPENAI, _RESPONSES, _ANTHROPIC = OpenAIServerCodec(), OpenAIResponsesServerCodec(), AnthropicServerCodec()
_OLLAMA, _GENERATE, _LOADED = OllamaServerCodec(), OllamaGenerateCodec(), OllamaLoadedCodec()
_GEMINI, _GEMINI_COUNT = GeminiServerCodec(), GeminiCountCodec()
_GEMINI_EVENTS, _GEMINI_LIST = GeminiEventsCodec(), GeminiListCodec()

SERVER_CODECS: tuple[ServerCodec, ...] = (
    YlokhServerCodec(),
    _YQCLOUD,
    _YQCLOUD_LEGACY,
    _AI365VIP,
    _RESPONSES,
    _OPENAI,
    _ANTHROPIC,
    _GEMINI,
    _OLLAMA,
)
"""One codec for each wire."""


def routes(relay: Relay) -> Iterator[Route]:
    """All routes of a relay."""

    def chat(path: str, select_codec: CodecSelector) -> Route:
        return _route("POST", path, ChatEndpoint(relay, select_codec))

    for codec in SERVER_CODECS:
        if codec is not _GEMINI:
            yield chat(codec.prefix + codec.path, _always(codec))
    yield chat("/v1/chat/completions", _always(_OPENAI))
    yield chat("/v1/responses", _always(_RESPONSES))
    yield chat("/v1/messages", _always(_ANTHROPIC))
    yield chat("/api/generateStream", _either_yqcloud)
    yield chat("/api/chat", _ollama_or_ai365vip)
    for prefix in ("", "/openai", "/anthropic"):
        yield from _shared_routes(relay, prefix)
    for prefix in ("", "/ollama"):
        yield from _ollama_routes(relay, prefix)
    for prefix in ("", "/gemini"):
        for version in ("v1beta", "v1", "v1alpha"):
            yield from _gemini_routes(relay, f"{prefix}/{version}")


def _shared_routes(relay: Relay, prefix: str) -> Iterator[Route]:
    """What OpenAI's and Anthropic's wires have besides chats, below the prefix of one of them, or of neither."""
    yield _route("GET", f"{prefix}/v1/models", ModelsEndpoint(relay, _by_headers))
    yield _route("GET", f"{prefix}/v1/models/{{model:path}}", ModelEndpoint(relay, _by_headers))
    if prefix != "/openai":
        count = CountEndpoint(relay, _always(_ANTHROPIC), "messages/count_tokens")
        yield _route("POST", f"{prefix}/v1/messages/count_tokens", count)
    if prefix != "/anthropic":
        count = CountEndpoint(relay, _always(_RESPONSES), "responses/input_tokens")
        yield _route("POST", f"{prefix}/v1/responses/input_tokens", count)
        for path in ("embeddings", "completions"):
            yield _route("POST", f"{prefix}/v1/{path}", PassingEndpoint(relay, _always(_OPENAI), path))


def _ollama_routes(relay: Relay, prefix: str) -> Iterator[Route]:
    yield _route("POST", f"{prefix}/api/generate", ChatEndpoint(relay, _always(_GENERATE)))
    yield _route("POST", f"{prefix}/api/show", ModelEndpoint(relay, _always(_OLLAMA)))
    yield _route("GET", f"{prefix}/api/tags", ModelsEndpoint(relay, _always(_OLLAMA)))
    yield _route("GET", f"{prefix}/api/ps", ModelsEndpoint(relay, _always(_LOADED)))
    for path in (EMBED, EMBEDDINGS):
        yield _route("POST", f"{prefix}/{path}", EmbedEndpoint(relay, _always(_OLLAMA), path))
    yield _route("GET", f"{prefix}/api/version", FixedEndpoint(relay, _always(_OLLAMA), version_body))


def _gemini_routes(relay: Relay, prefix: str) -> Iterator[Route]:
    named = f"{prefix}/models/{{model:path}}"
    yield _route("POST", f"{named}:generateContent", ChatEndpoint(relay, _always(_GEMINI)))
    yield _route("POST", f"{named}:streamGenerateContent", ChatEndpoint(relay, _either_gemini_stream))
    yield _route("POST", f"{named}:countTokens", CountEndpoint(relay, _always(_GEMINI_COUNT), ""))
    if prefix != "/v1":  # which several wires have
        yield _route("GET", f"{prefix}/models", ModelsEndpoint(relay, _always(_GEMINI)))
        yield _route("GET", named, ModelEndpoint(relay, _always(_GEMINI)))


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=[method])


# --- which wire a request is of -------------------------------------------------------------------------------------


def _always(codec: ServerCodec) -> CodecSelector:
    return lambda exchange: codec


def _either_yqcloud(exchange: ASGIExchange) -> ServerCodec:
    return _YQCLOUD if is_current(exchange.headers) else _YQCLOUD_LEGACY


def _by_headers(exchange: ASGIExchange) -> ServerCodec:
    return _codec_of(exchange.headers)


def _codec_of(headers: Mapping[str, str]) -> ServerCodec:
    """The wire of a request at an address that several have: two of them send headers of their own."""
    if is_anthropic(headers):
        return _ANTHROPIC
    return _GEMINI if "x-goog-api-client" in headers or "x-goog-api-key" in headers else _OPENAI


def _either_gemini_stream(exchange: ASGIExchange) -> ServerCodec:
    return _GEMINI_EVENTS if exchange.query.get("alt") == "sse" else _GEMINI_LIST


# In a text, the quotes of such a member have backslashes; to read all of a long body twice would take too long.
_MODEL_IS_TEXT = re.compile(rb'"model"\s*:\s*"')


def _ollama_or_ai365vip(exchange: ASGIExchange) -> ServerCodec:
    """Ollama's, where the model is a text: the other one's is an object, or none. Until that is known, Ollama's."""
    if exchange.content is None or _MODEL_IS_TEXT.search(exchange.content):
        return _OLLAMA
    return _AI365VIP


# --- other addresses ------------------------------------------------------------------------------------------------

_CODEC_OF_BEGINNING: tuple[tuple[str, ServerCodec], ...] = (
    ("/anthropic", _ANTHROPIC),
    ("/gemini", _GEMINI),
    ("/v1beta/", _GEMINI),
    ("/ollama", _OLLAMA),
    ("/api/", _OLLAMA),
    ("/openai", _OPENAI),
)


async def not_found(request: Request, error: Exception) -> Response:
    """The reply to a path or a method that the relay does not have, in the form of the wire that it looks like."""
    assert isinstance(error, HTTPException)
    # Not `request.url`: that is made of the Host header, which may be none.
    path = plain_path(request.scope["path"])
    found = [codec for beginning, codec in _CODEC_OF_BEGINNING if path.startswith(beginning)]
    codec = found[0] if found else _codec_of(request.headers)
    addresses = [
        Address(method, route.path.replace(":path}", "}"))
        for route in request.app.routes
        if isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]
    message = explanation(request.method, path, addresses, [codec.prefix for codec in SERVER_CODECS])
    record = RequestRecord(request.method, path)
    record.status, record.error = error.status_code, error.detail
    request.app.state.operations.finish(record)
    body = codec.encode_error(Failure(error.status_code, message))
    return _Refusal(body, error.status_code, error.headers, "application/json")


class _Refusal(Response):
    """A reply to a request whose body nobody has read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [pair for pair in self.headers.items() if pair[0] not in ("content-length", "content-type")]
        exchange = ASGIExchange(scope, receive, send)
        await exchange.reply(self.status_code, "application/json", bytes(self.body), headers)
