"""`anthropic`: Anthropic Messages, at Anthropic and at any server that speaks it (PROTOCOLS 11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from llmclients.codecs.anthropic.reply import decode_reply, make_decoder, refused
from llmclients.codecs.anthropic.request import AnthropicOptions, request_payload
from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    decode_json,
    encode_json,
)
from llmclients.errors import APIResponseError, APIStatusError, InvalidRequestError
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse

__all__ = ["AnthropicCodec", "AnthropicOptions"]

VERSION = "2023-06-01"
"""The version that every server of this wire speaks, and the last in which a request may set the sampling."""

_MOST_BYTES = 24 * 1024 * 1024
"""A request has at most 32 MB, and base64 makes four bytes of three."""


class AnthropicCodec(Codec):
    """Messages, the newest and the oldest models'."""

    name: ClassVar[str] = "anthropic"
    fields = frozenset(
        {
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "reasoning_effort",
        }
    )
    parts = {  # noqa: RUF012
        "image": PartRule(frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}), max_bytes=_MOST_BYTES),
        "file": PartRule(frozenset({"application/pdf", "text/plain"}), max_bytes=_MOST_BYTES),
    }
    options: ClassVar[type[CodecOptions]] = AnthropicOptions
    request_id_headers: ClassVar[tuple[str, ...]] = ("request-id", "x-request-id")

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, AnthropicOptions)
        payload = request_payload(request, context.model, context.options, echo_of=self.name)
        if context.stream:
            payload["stream"] = True
        betas = [("anthropic-beta", _beta_names(context.options.betas))] if context.options.betas else []
        headers = (("Content-Type", "application/json"), *_headers(context), *betas)
        return EncodedRequest("/v1/messages", encode_json(payload | (request.extra or {})), headers)

    def decode(self, body: bytes) -> ChatResponse:
        return decode_reply(body, echo_as=self.name)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return make_decoder(content_type, echo_as=self.name)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return refused(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest:
        # One page is all: a thousand is the most that a page holds, and far more than there are.
        return EncodedRequest("/v1/models?limit=1000", b"", _headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        entries = decode_json(body).get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
            raise APIResponseError("the list of models has no data[].id: not what the protocol says")
        return [str(entry["id"]) for entry in entries]


def _beta_names(names: list[str]) -> str:
    if not all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names):
        raise InvalidRequestError("betas: a beta's name has letters, digits, - and . only", argument="betas")
    return ",".join(names)


def _headers(context: Context) -> tuple[tuple[str, str], ...]:
    common = (("Accept", "application/json"), ("anthropic-version", VERSION))
    return (*common, ("x-api-key", context.api_key)) if context.api_key else common
