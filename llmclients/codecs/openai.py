"""`openai`: chat completions at OpenAI, and at any server that copies it (PROTOCOLS 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.codecs.base import Codec, Context, StreamDecoder, WireRequest, decode_json, encode_json
from llmclients.codecs.chat_completions import decode_reply, decoder_for, refused
from llmclients.codecs.chat_request import message_payload
from llmclients.errors import APIResponseError, APIStatusError
from llmclients.models import ChatRequest, ChatResponse

__all__ = ["OpenAICodec"]

_FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)


class OpenAICodec(Codec):
    """Chat completions. Only what the caller has set is sent."""

    name: ClassVar[str] = "openai"
    fields = frozenset(_FIELDS)

    def encode(self, request: ChatRequest, context: Context) -> WireRequest:
        payload: dict[str, Any] = {
            "model": context.model,
            "messages": [message_payload(message) for message in request.messages],
        }
        # OpenAI's newer models refuse the old name, most other servers know no other.
        renamed = {"max_tokens": "max_completion_tokens"} if context.own_service else {}
        for name in _FIELDS:
            value = getattr(request, name)
            if value is not None:
                payload[renamed.get(name, name)] = value
        if context.stream:
            payload["stream"] = True
            payload["stream_options"] = {"include_usage": True}
        headers = (("Content-Type", "application/json"), *_headers(context))
        return WireRequest("/chat/completions", encode_json(payload | (request.extra or {})), headers)

    def decode(self, body: bytes) -> ChatResponse:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return decoder_for(content_type)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return refused(status, headers, body)

    def encode_models(self, context: Context) -> WireRequest:
        return WireRequest("/models", b"", _headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        entries = decode_json(body).get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
            raise APIResponseError("the list of models has no data[].id: not what the protocol says")
        return [str(entry["id"]) for entry in entries]


def _headers(context: Context) -> tuple[tuple[str, str], ...]:
    accept = ("Accept", "application/json")
    return (accept, ("Authorization", f"Bearer {context.api_key}")) if context.api_key else (accept,)
