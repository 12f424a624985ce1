"""`openai`: chat completions at OpenAI, and at any server that copies it, by its dialect (PROTOCOLS 8, 9)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.codecs.base import (
    Codec,
    Context,
    EncodedRequest,
    StreamDecoder,
    encode_json,
    model_names,
)
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.codecs.openai_chat.errors import refused
from llmclients.codecs.openai_chat.provider_data import EchoDecoder, echoed, entries_of
from llmclients.codecs.openai_chat.reply import decode_reply, make_decoder
from llmclients.codecs.openai_chat.request import choice_payload, field_payload, message_payload
from llmclients.errors import APIStatusError, AuthenticationError, UnsupportedOptionError
from llmclients.types.content import MediaPart
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES, ChatRequest
from llmclients.types.response import ChatResponse

__all__ = ["OpenAICodec"]

_SHORT_ID = re.compile("[a-zA-Z0-9]{9}")


class OpenAICodec(Codec):
    """Chat completions. Only what the caller has set is sent.

    Args:
        habits: the attributes of `Dialect` in which the server differs from most.
    """

    name: ClassVar[str] = "openai"
    request_id_headers: ClassVar[tuple[str, ...]] = (
        *Codec.request_id_headers,
        *("mistral-correlation-id", "x-generation-id", "apim-request-id"),
    )

    def __init__(self, **habits: Any) -> None:
        self.dialect = Dialect(**habits)
        self.fields = self.dialect.fields
        self.parts = self.dialect.part_rules

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        payload = {
            "model": context.model,
            "messages": [self._message(message, index) for index, message in enumerate(request.messages)],
            **self._fields(request, is_default_endpoint=context.is_default_endpoint),
        }
        if context.stream:
            payload["stream"] = True
            if self.dialect.stream_options:
                payload["stream_options"] = {"include_usage": True}
        headers = (("Content-Type", "application/json"), *self._headers(context))
        return EncodedRequest(self._path(context), encode_json(payload | (request.extra or {})), headers)

    def decode(self, body: bytes) -> ChatResponse:
        response = decode_reply(body)
        if (member := self.dialect.echoed) and (kept := echoed(member, entries_of(response.raw, "message", member))):
            response.provider_data = {self.name: kept}
        return response

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        decoder = make_decoder(content_type, done_required=self.dialect.done_required)
        return EchoDecoder(decoder, self.name, self.dialect.echoed) if self.dialect.echoed else decoder

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        error = refused(status, headers, body)
        message = _unquoted(str(error))
        if status == 400 and self.dialect.wrong_key and self.dialect.wrong_key in message:
            return AuthenticationError(message, status_code=status, body=error.body, headers=headers)
        error.args = (message,)
        return error

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/models", b"", self._headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body)

    def _path(self, context: Context) -> str:
        return "/chat/completions"

    def _headers(self, context: Context) -> tuple[tuple[str, str], ...]:
        accept, name = ("Accept", "application/json"), self.dialect.key_header
        if not context.api_key:
            return (accept,)
        return accept, (name, f"Bearer {context.api_key}" if name == "Authorization" else context.api_key)

    def _fields(self, request: ChatRequest, *, is_default_endpoint: bool) -> dict[str, Any]:
        dialect = self.dialect
        payload = field_payload(request)
        choice = request.tool_choice
        if choice is not None and choice not in TOOL_CHOICES and not dialect.named_choice:
            payload["tools"] = [tool for tool in payload["tools"] if tool["function"]["name"] == choice]
            choice = "required"
        if choice is not None:
            payload["tool_choice"] = choice_payload(choice, required=dialect.required)
        # OpenAI's newer models refuse the old name, most other servers know no other.
        most = dialect.own_max_tokens if is_default_endpoint and dialect.own_max_tokens else dialect.max_tokens
        renamed = {"max_tokens": most, "seed": dialect.seed}
        return {renamed.get(name, name): value for name, value in payload.items()}

    def _message(self, message: Message, index: int) -> dict[str, Any]:
        dialect = self.dialect
        payload = message_payload(message)
        content = message.content
        if message.role != "user" and isinstance(content, list) and any(isinstance(one, MediaPart) for one in content):
            raise UnsupportedOptionError(
                f"messages[{index}]: on this wire only a user's message has images, sound or files", argument="messages"
            )
        if message.role == "developer" and not dialect.developer:
            payload["role"] = "system"
        if "name" in payload and message.role not in dialect.names:
            if message.role != "tool":
                raise UnsupportedOptionError(
                    f"messages[{index}]: this server takes no name on a message of the role {message.role}",
                    argument="messages",
                )
            del payload["name"]  # the function's: its call has it
        if dialect.reasoning and message.reasoning and message.tool_calls:
            payload[dialect.reasoning] = message.reasoning
        if dialect.echoed and message.provider_data:
            kept = message.provider_data.get(self.name)
            if isinstance(kept, dict) and dialect.echoed in kept:
                payload[dialect.echoed] = kept[dialect.echoed]
        if dialect.short_call_ids:
            for call in payload.get("tool_calls", ()):
                call["id"] = _short_id(call["id"])
            if message.tool_call_id is not None:
                payload["tool_call_id"] = _short_id(message.tool_call_id)
        return payload


def _short_id(call_id: str) -> str:
    """The id, or another in its place that is nine letters and digits, always the same."""
    if _SHORT_ID.fullmatch(call_id):
        return call_id
    return hashlib.blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()[:9]


def _unquoted(message: str) -> str:
    """A message whose words came percent-encoded, as they were meant; any other as it is."""
    status, mark, words = message.partition(": ")
    if "%20" not in words or " " in words:
        return message
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), words.encode("utf-8", "replace"))
    return status + mark + plain.decode("utf-8", "replace")
