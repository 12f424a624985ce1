"""The codec `anthropic`: Anthropic's Messages API, at Anthropic and at any server that has it.

The wire: docs/protocols/anthropic.md, "Anthropic Messages".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from llmclients.codecs.anthropic.names import CODEC_NAME
from llmclients.codecs.anthropic.reply import decode_error, decode_reply, make_decoder
from llmclients.codecs.anthropic.request import AnthropicOptions, request_payload
from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    model_names,
)
from llmclients.errors import APIStatusError, InvalidRequestError
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk

__all__ = ["AnthropicCodec", "AnthropicOptions"]

VERSION = "2023-06-01"
"""The version that every server of this wire has, and the last in which a request may set the sampling."""

_MAX_BYTES = 24 * 1024 * 1024
"""Of a part: a request has at most 32 MB, and base64 makes four bytes of three."""


class AnthropicCodec(Codec):
    """Messages, for the newest models and the oldest."""

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = "/v1(/messages(/count_tokens)?|/models|/complete|/chat/completions)?"
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
            "user",
            "service_tier",
        }
    )
    parts = {  # noqa: RUF012
        "image": PartRule(frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}), max_bytes=_MAX_BYTES),
        "file": PartRule(frozenset({"application/pdf", "text/plain"}), max_bytes=_MAX_BYTES),
    }
    options: ClassVar[type[CodecOptions]] = AnthropicOptions
    request_id_headers: ClassVar[tuple[str, ...]] = ("request-id", "x-request-id")

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, AnthropicOptions)
        payload = request_payload(request, context.model, context.options)
        payload["stream"] = context.stream  # left out, some gateways stream
        betas = [("anthropic-beta", _beta_names(context.options.betas))] if context.options.betas else []
        return EncodedRequest.from_payload("/v1/messages", payload, request, (*_headers(context), *betas))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return make_decoder(content_type)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return decode_error(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest:
        # One page is all: it holds a thousand models at most, and there are far fewer.
        return EncodedRequest("/v1/models?limit=1000", b"", _headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body, bare_list=False)


def _beta_names(names: list[str]) -> str:
    if not all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names):
        raise InvalidRequestError("betas: a beta's name has letters, digits, - and . only", argument="betas")
    return ",".join(names)


def _headers(context: Context) -> tuple[tuple[str, str], ...]:
    common = (("Accept", "application/json"), ("anthropic-version", VERSION))
    return (*common, ("x-api-key", context.api_key)) if context.api_key else common
