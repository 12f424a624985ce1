"""`PageEndpoint`: an address below `/page/`, for the page's own script: JSON in, JSON or events out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, TypeAlias
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from llmclients.errors import InvalidRequestError
from llmclients.history import ConversationNotFoundError, HistoryError
from llmclients.relay.accounts import Accounts
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.json_fields import decode_json
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec
from llmclients.relay.endpoints import Endpoint, Relay
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.operations import Operations
from llmclients.relay.page.charges import Charge

__all__ = ["Handler", "PageEndpoint", "PageRequest", "check_shown", "encode_event"]

_SMALL_BODY = 64 * 1024
_HEADERS = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
_MAX_INTEGER = 2**63 - 1  # of SQLite


class PageRequest:
    """One request of the page, and its reply.

    Attributes:
        data: the members of a POST's body.
    """

    def __init__(self, exchange: ASGIExchange, scope: Scope, data: Mapping[str, Any]) -> None:
        self.data = data
        self._exchange = exchange
        self._path: Mapping[str, str] = scope.get("path_params", {})
        self._query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))

    def named(self, name: str) -> str:
        """A part of the path."""
        return self._path[name]

    def number(self, name: str) -> int:
        """A part of the path that is a turn's id.

        Raises:
            RequestRejected: 404: it is none.
        """
        found = _integer(self._path[name])
        if found is None:
            raise RequestRejected(Failure(404, f"there is no turn {self._path[name]!r}"))
        return found

    def query(self, name: str) -> str | None:
        """A value of the query; None for an empty one."""
        return self._query.get(name) or None

    def query_number(self, name: str) -> int | None:
        """A number of the query.

        Raises:
            InvalidRequestError: it is none.
        """
        text = self.query(name)
        found = None if text is None else _integer(text)
        if text is not None and found is None:
            raise InvalidRequestError(f"{name} must be a whole number", argument=name)
        return found

    def text(self, name: str) -> str:
        """A member of the body that is text.

        Raises:
            InvalidRequestError: it is not there, or no text.
        """
        value = self.data.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InvalidRequestError(f"{name} must be text", argument=name)
        return value

    def asks_for(self, model: str | None) -> None:
        """The request is for this model. Raises RequestRejected: its key may not ask for it."""
        self._exchange.record.model = model or ""
        if self._exchange.account is not None:
            self._exchange.account.check_model(model)

    def hand_on(self, operations: Operations, input_tokens: int) -> Charge:
        """What an answer is charged to, that goes on without the request.

        Args:
            input_tokens: an estimate of what is asked, for where the provider counts nothing.
        """
        record, account = self._exchange.hand_on()
        record.body_bytes = 4 * input_tokens
        return Charge(operations, record, account)

    async def reply(self, payload: Any) -> None:
        """Reply with JSON."""
        await self.reply_with("application/json", await asyncio.to_thread(encode_json, payload))  # it may be megabytes

    async def reply_with(self, content_type: str, body: bytes, *headers: tuple[str, str]) -> None:
        """Reply with anything."""
        await self._exchange.reply(200, content_type, body, (*_HEADERS, *headers))

    async def stream(self, events: AsyncGenerator[bytes, None]) -> None:
        """Reply with server-sent events."""
        await self._exchange.start(200, "text/event-stream; charset=utf-8", (*_HEADERS, ("x-accel-buffering", "no")))
        async with aclosing(events):
            async for data in events:
                await self._exchange.write(data)
        await self._exchange.write(b"", last=True)


Handler: TypeAlias = Callable[[PageRequest], Awaitable[None]]


class PageEndpoint:
    """The ASGI application of one address."""

    def __init__(self, relay: Relay, handler: Handler) -> None:
        self._relay = relay
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await _OneRequest(self._relay, self._handler, scope)(scope, receive, send)


class _Errors(OpenAIServerCodec):
    """Errors in chat completions' form; nothing else of it is used."""

    name: ClassVar[str] = "page"


_ERRORS = _Errors()


class _OneRequest(Endpoint):
    """The relay's checks of key, Host, size and type, around one request of the page."""

    def __init__(self, relay: Relay, handler: Handler, scope: Scope) -> None:
        super().__init__(relay, lambda _: _ERRORS)
        self._handler = handler
        self._scope = scope

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        check_shown(self._relay.accounts)
        _check_same_origin(exchange.headers)
        data: Mapping[str, Any] = {}
        if exchange.method == "POST":
            data = decode_json(body) if len(body) <= _SMALL_BODY else await asyncio.to_thread(decode_json, body)
        try:
            await self._handler(PageRequest(exchange, self._scope, data))
        except ConversationNotFoundError as error:
            raise RequestRejected(Failure(404, str(error))) from None
        except HistoryError as error:
            raise RequestRejected(Failure(500, str(error), code="history_error")) from None


def check_shown(accounts: Accounts) -> None:
    """Reject all that is the page's where clients have keys of their own, as they may since the relay has begun.

    The history is one: each of them would read the others' conversations.
    """
    if accounts.has_client_keys:
        raise RequestRejected(Failure(404, "there is no page where clients have keys of their own"))


def _check_same_origin(headers: Mapping[str, str]) -> None:
    """Reject what another site's page has sent, with the user's browser as its messenger.

    A browser says where a request comes from: in `Sec-Fetch-Site`, by its own judgement, where the address is this
    machine's or has TLS; else in `Origin`. Other programs say nothing, and are no such messengers. The scheme does not
    count: it is another one behind a server that has TLS.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    is_ours = origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()
    if not (is_ours if site is None else site in ("none", "same-origin")):
        raise RequestRejected(Failure(403, "the page's addresses answer only to the page itself"))


def _integer(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    number = int(text)
    return number if number <= _MAX_INTEGER else None


def encode_event(payload: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + encode_json(payload) + b"\n\n"
