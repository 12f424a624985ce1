"""The relay's endpoints that ask for no chat: models, token counts, what passes to the provider as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from llmclients.errors import APIStatusError, InvalidRequestError, one_line
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.estimate import ESTIMATE_WARNING, estimated_tokens
from llmclients.relay.codecs.json_fields import decode_json
from llmclients.relay.endpoints import CodecSelector, Endpoint, Relay, warning_headers
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.raw_call import RawAnswer
from llmclients.relay.raw_usage import RawUsage
from llmclients.relay.upstream import Upstream

__all__ = ["CountEndpoint", "FixedEndpoint", "ModelEndpoint", "ModelsEndpoint", "PassingEndpoint"]

_JSON = "application/json"
_MAX_NAME = 100  # characters of what comes from elsewhere, and is said again
_NOT_THERE = (404, 405, 501)
"""The statuses of a provider that does not have an address, though others with its wire do."""


class ModelsEndpoint(Endpoint):
    """The list of models."""

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        names = await self._relay.upstream.models()
        await exchange.reply(200, _JSON, codec.encode_models(names))


class ModelEndpoint(Endpoint):
    """One model: of the address's name, or else of the one that the request's body names."""

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        upstream = self._relay.upstream
        name = exchange.path_params.get("model") or codec.decode_model_name(body)
        self._name_model(exchange, name)
        if not upstream.answers(name) and name not in (names := await upstream.models()):
            there = f": there are {', '.join(names)}" if names else ""
            raise RequestRejected(
                Failure(404, f"there is no model {one_line(name, _MAX_NAME)!r}{there}", param="model")
            )
        await exchange.reply(200, _JSON, codec.encode_model(name, upstream.for_model(name).abilities))


class FixedEndpoint(Endpoint):
    """A reply that is the same for everybody."""

    def __init__(self, relay: Relay, select_codec: CodecSelector, make_reply: Callable[[], bytes]) -> None:
        super().__init__(relay, select_codec)
        self._make_reply = make_reply

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        await exchange.reply(200, _JSON, self._make_reply())


class CountEndpoint(Endpoint):
    """How many tokens a request has: as the provider counts them, or else an estimate that says so.

    Providers charge nothing for it, so nothing is taken from a key's budget.

    Args:
        path: where the provider counts, if it has this wire.
    """

    def __init__(self, relay: Relay, select_codec: CodecSelector, path: str) -> None:
        super().__init__(relay, select_codec)
        self._path = path

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        call = await asyncio.to_thread(codec.decode, body)  # what is wrong with it is an error here
        model = exchange.path_params.get("model") or call.model
        self._name_model(exchange, model or "")
        upstream = self._relay.upstream.for_model(model)
        with suppress(_NotThere):
            data = await self._counted(codec, body, upstream) if self._path else None
            if data is not None:
                await exchange.reply(200, _JSON, data)
                return
        call, warnings = upstream.adapted(call, lenient=self._relay.lenient)
        headers = warning_headers([ESTIMATE_WARNING, *warnings])
        await exchange.reply(200, _JSON, codec.encode_count(estimated_tokens(call)), headers)

    async def _counted(self, codec: ServerCodec, body: bytes, upstream: Upstream) -> bytes | None:
        """The provider's own reply; None where its wire has none.

        Raises:
            _NotThere: the wire has one, but this provider has not.
        """
        payload = {name: value for name, value in decode_json(body).items() if name not in codec.unread_fields}
        try:
            answer = await self._relay.upstream.ask_raw(self._path, payload)
            if answer is None:
                return None
            async with answer:
                return await answer.read()
        except APIStatusError as error:
            if error.status_code in _NOT_THERE or upstream.takes_any_model:
                raise _NotThere from None
            raise


def _header_value(content_type: str) -> str:
    """A Content-Type of the provider's, if a header can carry it."""
    is_plain = content_type.isascii() and content_type.isprintable() and len(content_type) <= _MAX_NAME
    return content_type if content_type and is_plain else _JSON


class _NotThere(Exception):
    """A provider does not have an address that others with its wire have."""


class PassingEndpoint(Endpoint):
    """What passes to the provider as it came, and its answer as it comes: all that is read are the tokens it took.

    Args:
        path: the address at the provider, and its name in words.
    """

    def __init__(self, relay: Relay, select_codec: CodecSelector, path: str) -> None:
        super().__init__(relay, select_codec)
        self._path = path

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        payload = await asyncio.to_thread(decode_json, body)
        model = payload.get("model") or ""
        if not isinstance(model, str):
            raise InvalidRequestError("model must be a text", argument="model")
        self._name_model(exchange, model)
        if exchange.account is not None:
            exchange.account.check_model(model)
        answer = await self._relay.upstream.ask_raw(self._path, payload)
        if answer is None:
            raise RequestRejected(
                Failure(404, f"the provider behind the relay has no {self._path}: its wire knows no such request")
            )
        usage = RawUsage(is_text=self._path != "embeddings")
        async with answer:
            try:
                await self._pass_on(exchange, answer, usage)
            finally:  # also of one that broke off
                exchange.record.counted(usage.tokens(exchange.record.body_bytes), answer.answered_by)

    async def _pass_on(self, exchange: ASGIExchange, answer: RawAnswer, usage: RawUsage) -> None:
        content_type = _header_value(answer.content_type)
        if content_type.partition(";")[0].strip().lower() == _JSON:
            data = await answer.read()
            usage.feed(data)
            await exchange.reply(200, content_type, data)
            return
        with self._relay.operations.stream():
            async for piece in answer:
                usage.feed(piece)
                if not exchange.status:
                    await exchange.start(200, content_type, (("cache-control", "no-cache"),))
                await exchange.write(piece)
        if not exchange.status:
            await exchange.start(200, content_type)
        await exchange.write(b"", last=True)
