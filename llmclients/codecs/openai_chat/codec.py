"""`openai`: chat completions at OpenAI, and at any server that copies it, in its dialect.

The wire: docs/protocols/openai-chat.md, "OpenAI chat completions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from llmclients.codecs.base import Codec, Context, EncodedRequest, StreamDecoder, bearer_headers, is_json, model_names
from llmclients.codecs.bodies import ReplyDecoder
from llmclients.codecs.errors import status_error
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.codecs.openai_chat.provider_data import CODEC_NAME
from llmclients.codecs.openai_chat.reply import EventDecoder, decode_reply
from llmclients.codecs.openai_chat.request import field_payload, message_payload
from llmclients.errors import APIStatusError, AuthenticationError
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from llmclients.codecs.openai_chat.dialect import DialectOptions

__all__ = ["OpenAICodec"]


class OpenAICodec(Codec):
    """Chat completions. Only what the caller has set is sent.

    Args:
        options: the attributes of `Dialect` in which the server differs from most.
    """

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = "/chat/completions|(?<=/v1)/(chat|completions|models|responses)"
    request_id_headers: ClassVar[tuple[str, ...]] = (
        *Codec.request_id_headers,
        *("mistral-correlation-id", "x-generation-id", "apim-request-id"),
    )

    def __init__(self, **options: Unpack[DialectOptions]) -> None:
        self.dialect = Dialect(**options)
        self.fields = self.dialect.fields
        self.parts = self.dialect.part_rules

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        dialect = self.dialect
        payload: dict[str, Any] = {
            "model": context.model,
            "messages": [
                message_payload(message, index, dialect, is_default_endpoint=context.is_default_endpoint)
                for index, message in enumerate(request.messages)
            ],
            **field_payload(request, dialect, is_default_endpoint=context.is_default_endpoint),
        }
        payload["stream"] = context.stream  # left out, some gateways stream
        if context.stream and dialect.stream_options:
            payload["stream_options"] = {"include_usage": True}
        return EncodedRequest.from_payload(self._path(context), payload, request, self._headers(context))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body, self.dialect.provider_data_field)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        dialect = self.dialect
        events = EventDecoder(done_required=dialect.done_required, provider_data_field=dialect.provider_data_field)
        # Some servers answer a request for a stream with one plain reply.
        return ReplyDecoder(self.decode, events) if is_json(content_type) else events

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        error = status_error(status, headers, body)
        message, wrong_key = _unquoted(str(error)), self.dialect.wrong_key_message
        if status == 400 and wrong_key and wrong_key in message:
            return AuthenticationError(message, status_code=status, body=error.body, headers=headers)
        if message == str(error):
            return error
        return type(error)(message, status_code=status, body=error.body, headers=headers, retryable=error.retryable)

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/models", b"", self._headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body)

    def _path(self, context: Context) -> str:
        return "/chat/completions"

    def _headers(self, context: Context) -> tuple[tuple[str, str], ...]:
        if self.dialect.key_header == "Authorization" or not context.api_key:
            return bearer_headers(context)
        return ("Accept", "application/json"), (self.dialect.key_header, context.api_key)


def _unquoted(message: str) -> str:
    """A message that came percent-encoded, decoded; any other as it is."""
    status, mark, text = message.partition(": ")
    if "%20" not in text or " " in text:
        return message
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), text.encode("utf-8", "replace"))
    return status + mark + plain.decode("utf-8", "replace")
