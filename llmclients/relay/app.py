"""The relay as an ASGI application: what comes in through its doors is a call of the backing client."""

from __future__ import annotations

import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from llmclients.async_client import AsyncClient, AsyncStream
from llmclients.errors import ConfigurationError, InvalidRequestError, LLMClientError, UnsupportedOptionError
from llmclients.relay.access import check_key, refused_at_gate
from llmclients.relay.asgi import Exchange, Gone, Refused
from llmclients.relay.codecs.ai365vip import Ai365vipWire
from llmclients.relay.codecs.anthropic import AnthropicWire, speaks_it
from llmclients.relay.codecs.base import RelayedCall, Stamp, Wire
from llmclients.relay.codecs.openai import OpenAIWire
from llmclients.relay.codecs.openai_responses import OpenAIResponsesWire
from llmclients.relay.codecs.ylokh import YlokhWire
from llmclients.relay.codecs.yqcloud import YqcloudWire, is_current
from llmclients.relay.codecs.yqcloud_legacy import YqcloudLegacyWire
from llmclients.relay.errors import Failure
from llmclients.types.response import ChatResponse

__all__ = ["DEFAULT_MAX_REQUEST_BYTES", "WIRES", "create_app"]

DEFAULT_MAX_REQUEST_BYTES = 32 * 1024 * 1024

_OPENAI, _YQCLOUD, _YQCLOUD_LEGACY, _AI365VIP = OpenAIWire(), YqcloudWire(), YqcloudLegacyWire(), Ai365vipWire()
_ANTHROPIC, _RESPONSES = AnthropicWire(), OpenAIResponsesWire()
WIRES: tuple[Wire, ...] = (YlokhWire(), _YQCLOUD, _YQCLOUD_LEGACY, _AI365VIP, _RESPONSES, _OPENAI, _ANTHROPIC)

_log = logging.getLogger("llmclients.relay")
T = TypeVar("T")


def create_app(
    client: AsyncClient | str = "local",
    *,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
) -> Starlette:
    """The relay in front of one provider, as an application for any ASGI server.

    A provider's name makes a client that tries each call once: whether to try again is for the relay's own clients, who
    get the provider's status and its `Retry-After`.

    Args:
        client: a client, which stays the caller's to close, or a provider's name, or `"name/model"`.
        api_key: the key that clients have to send. Without one, only requests to a loopback address are answered.
        defaults: options of calls that do not name them, such as `{"max_tokens": 64}`.
        max_request_bytes: the most bytes of one request.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """
    own = None if isinstance(client, AsyncClient) else AsyncClient(client, retry=None)
    backing = _Backing(own or client, defaults or {})  # type: ignore[arg-type]
    gate = _Gate(check_key(api_key), max_request_bytes)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if own is not None:
            await own.close()

    def chat(path: str, choose: _Choose) -> Route:
        return Route(path, _ChatDoor(gate, backing, choose), methods=["POST"])

    def models(path: str) -> Route:
        return Route(path, _ModelsDoor(gate, backing, _openai_or_anthropic), methods=["GET"])

    app = Starlette(
        routes=[
            *(chat(wire.prefix + wire.path, _always(wire)) for wire in WIRES),
            models("/openai/v1/models"),
            models("/anthropic/v1/models"),
            # Without a prefix: where the wires' paths are the same, one has to be chosen.
            chat("/v1/chat/completions", _always(_OPENAI)),
            chat("/v1/responses", _always(_RESPONSES)),
            chat("/v1/messages", _always(_ANTHROPIC)),
            models("/v1/models"),
            chat("/api/generateStream", _either_yqcloud),
            chat("/api/chat", _always(_AI365VIP)),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _no_such_door},
    )
    app.router.redirect_slashes = False
    return app


_Choose = Callable[[Mapping[str, str]], Wire]
"""Which wire a request is of, by its headers."""


def _always(wire: Wire) -> _Choose:
    return lambda headers: wire


def _either_yqcloud(headers: Mapping[str, str]) -> Wire:
    return _YQCLOUD if is_current(headers) else _YQCLOUD_LEGACY


def _openai_or_anthropic(headers: Mapping[str, str]) -> Wire:
    return _ANTHROPIC if speaks_it(headers) else _OPENAI


async def _no_such_door(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    doors = ", ".join(dict.fromkeys(wire.prefix for wire in WIRES))
    words = f"{error.detail}: {request.method} {request.url.path}. A base_url ends with one of {doors}"
    body = _openai_or_anthropic(request.headers).refusal(Failure(error.status_code, words))
    return Response(body, error.status_code, error.headers, "application/json")


class _Gate:
    """What a request has to satisfy before it is read."""

    def __init__(self, api_key: str | None, max_request_bytes: int) -> None:
        self._api_key = api_key
        self._max_request_bytes = max_request_bytes

    async def pass_through(self, exchange: Exchange) -> bytes:
        """The request's body, or Refused."""
        failure = refused_at_gate(exchange.method, exchange.headers, self._api_key)
        if failure is not None:
            raise Refused(failure)
        return await exchange.body(self._max_request_bytes)


class _Backing:
    """The client behind the relay, asked in the words of a wire."""

    def __init__(self, client: AsyncClient, defaults: Mapping[str, Any]) -> None:
        self._client = client
        self._defaults = dict(defaults)
        if taken := self._defaults.keys() & {"self", "messages", "model", "restart"}:
            raise ConfigurationError(f"defaults: {', '.join(sorted(taken))} is no option", argument="defaults")
        try:
            client.stream("-", **self._defaults)  # sends nothing yet
        except UnsupportedOptionError as error:
            raise ConfigurationError(f"defaults: {error}", argument="defaults") from error
        except InvalidRequestError as error:
            if error.argument in self._defaults:
                raise ConfigurationError(f"defaults: {error}", argument="defaults") from error

    async def chat(self, call: RelayedCall) -> ChatResponse:
        return await self._adapted(
            call, lambda model, options: self._client.chat(call.messages, model=model, **options)
        )

    async def stream(self, call: RelayedCall) -> AsyncStream:
        async def stream(model: str | None, options: dict[str, Any]) -> AsyncStream:
            return self._client.stream(call.messages, model=model, **options)

        return await self._adapted(call, stream)

    async def models(self) -> list[str]:
        return await self._client.models()

    async def _adapted(self, call: RelayedCall, attempt: Callable[[str | None, dict[str, Any]], Awaitable[T]]) -> T:
        """The call, without those of its wire's constants that the provider cannot carry. Refused, nothing is sent."""
        constants = {name: call.options[name] for name in call.constants}
        # What the client's user chose counts most, and what nobody chose least.
        options = constants | self._defaults | {k: v for k, v in call.options.items() if k not in constants}
        model = None if call.model_is_constant else call.model
        while True:
            try:
                return await attempt(model, options)
            except UnsupportedOptionError as error:
                if error.argument not in constants or options.pop(error.argument, None) is None:
                    raise
            except InvalidRequestError as error:
                if error.argument != "model" or model == call.model:
                    raise
                model = call.model


class _Door(ABC):
    """An address of the relay: an ASGI application of its own, because it has to notice when the client goes away."""

    def __init__(self, gate: _Gate, backing: _Backing, choose: _Choose) -> None:
        self._gate = gate
        self._backing = backing
        self._choose = choose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        wire = self._choose(exchange.headers)
        begun = time.monotonic()
        outcome = "broken off: the relay stops"
        try:
            outcome = await self._serve(exchange, wire)
        except Gone:
            outcome = "the client went away"
        finally:
            _log.info("%s: HTTP %d, %.2f s, %s", wire.name, exchange.status, time.monotonic() - begun, outcome)

    async def _serve(self, exchange: Exchange, wire: Wire) -> str:
        """Answer, whatever happens. What became of it, for the log."""
        try:
            body = await self._gate.pass_through(exchange)
            await exchange.unless_gone(self._answer(exchange, wire, body))
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - `_failure` logs what nobody expected
            if exchange.status:  # the answer broke off, and the wire has no words for it: cut the connection
                return f"broken off: {error}"
            failure = _failure(error)
            named = ((wire.request_id_header, failure.request_id),) if failure.request_id else ()
            await exchange.reply(failure.status, "application/json", wire.refusal(failure), (*failure.headers, *named))
            return failure.message
        return "complete"

    @abstractmethod
    async def _answer(self, exchange: Exchange, wire: Wire, body: bytes) -> None:
        """Read the request in the wire's form, and answer in it."""


class _ModelsDoor(_Door):
    async def _answer(self, exchange: Exchange, wire: Wire, body: bytes) -> None:
        await exchange.reply(200, "application/json", wire.models(await self._backing.models()))


class _ChatDoor(_Door):
    async def _answer(self, exchange: Exchange, wire: Wire, body: bytes) -> None:
        call = wire.read(body)
        stamp = Stamp(wire.id_prefix + secrets.token_hex(12), int(time.time()), call.model or "", call.repeated)
        if call.stream:
            await self._answer_piecewise(exchange, wire, call, stamp)
        else:
            data = wire.reply(await self._backing.chat(call), stamp)
            await exchange.reply(200, wire.reply_type, data, ((wire.request_id_header, stamp.id),))

    async def _answer_piecewise(self, exchange: Exchange, wire: Wire, call: RelayedCall, stamp: Stamp) -> None:
        headers = ((wire.request_id_header, stamp.id), ("cache-control", "no-cache"), ("x-accel-buffering", "no"))
        encoder = wire.stream_encoder(call, stamp)
        try:
            async with await self._backing.stream(call) as stream:
                async for chunk in stream:
                    data = encoder.feed(chunk)
                    if data and not exchange.status:
                        await exchange.start(200, wire.stream_type, headers)
                    if data:
                        await exchange.write(data)
            end = encoder.finish()
        except Exception as error:
            words = encoder.fail(_failure(error)) if exchange.status else None
            if words is None:
                raise
            end = words
        if not exchange.status:
            await exchange.start(200, wire.stream_type, headers)
        await exchange.write(end, last=True)


def _failure(error: Exception) -> Failure:
    if isinstance(error, Refused):
        return error.failure
    if not isinstance(error, LLMClientError):
        _log.error("the relay failed", exc_info=error)
    return Failure.from_error(error)
