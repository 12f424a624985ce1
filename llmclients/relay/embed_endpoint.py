"""`EmbedEndpoint`: Ollama's embeddings: to an Ollama as they came, to others in chat completions' form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.codecs.json_fields import decode_json, get_name
from llmclients.relay.codecs.ollama_embeddings import native_usage, read_embeddings
from llmclients.relay.endpoints import CodecSelector, Endpoint, Relay
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.raw_usage import RawUsage
from llmclients.types.usage import Usage

__all__ = ["EmbedEndpoint"]

_JSON = "application/json"
_OPENAI_PATH = "embeddings"


class EmbedEndpoint(Endpoint):
    """Embeddings.

    Args:
        path: the address, of the two that the wire has for it.
    """

    def __init__(self, relay: Relay, select_codec: CodecSelector, path: str) -> None:
        super().__init__(relay, select_codec)
        self._path = path

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        payload = await asyncio.to_thread(decode_json, body)
        model = get_name(payload, "model")
        self._name_model(exchange, model)
        if exchange.account is not None:
            exchange.account.check_model(model)
        upstream = self._relay.upstream.for_model(model)
        if upstream.has_address(self._path):
            await exchange.reply(200, _JSON, await self._passed(exchange, self._path, payload, native_usage))
            return
        if not upstream.has_address(_OPENAI_PATH):
            raise RequestRejected(Failure(404, "the provider behind the relay has no embeddings: its wire has none"))
        asked, data = read_embeddings(self._path, payload), b""
        if asked.passed is not None:
            data = await self._passed(exchange, _OPENAI_PATH, asked.passed, None)
        await exchange.reply(200, _JSON, await asyncio.to_thread(asked.reply, data))

    async def _passed(
        self,
        exchange: ASGIExchange,
        path: str,
        payload: Mapping[str, Any],
        find_usage: Callable[[bytes], Usage | None] | None,
    ) -> bytes:
        """The provider's answer.

        Args:
            find_usage: finds the tokens that it took, where they are not said as in chat completions' form.
        """
        answer = await self._relay.upstream.ask_raw(path, payload)
        assert answer is not None  # or it would not have had the address
        async with answer:
            data = await answer.read()
        usage = None if find_usage is None else await asyncio.to_thread(find_usage, data)
        if usage is None:
            counted = RawUsage(is_text=False)
            counted.feed(data)
            usage = counted.tokens(exchange.record.body_bytes)
        exchange.record.counted(usage, answer.answered_by)
        return data
