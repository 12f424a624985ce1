"""`ylokh`: chat completions without a key, whose constants are always sent (docs/protocols/ylokh.md, "ylokh")."""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.codecs.base import Codec, CodecOptions, Context, EncodedRequest, StreamDecoder, is_json
from llmclients.codecs.bodies import ReplyDecoder
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.codecs.openai_chat.reply import EventDecoder, decode_reply
from llmclients.codecs.openai_chat.request import field_payload, message_payload
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk

__all__ = ["YlokhCodec"]

_HEADERS = (
    ("Origin", "https://chat.ylokh.xyz"),
    ("Referer", "https://chat.ylokh.xyz/"),
    ("Content-Type", "application/json"),
)
_FIELDS = (
    *("temperature", "presence_penalty", "top_p", "frequency_penalty", "max_tokens", "stop", "seed"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs", "top_logprobs"),
)
_DIALECT = Dialect()


class YlokhOptions(CodecOptions):
    """`allow_fallback`: let the service answer with another model when the one asked for is busy."""

    allow_fallback: bool = True


class YlokhCodec(Codec):
    """Chat completions as the service's own page sends them."""

    name: ClassVar[str] = "ylokh"
    address_endings: ClassVar[str] = "/v1(/chat/completions)?"
    fields = frozenset(_FIELDS)
    parts = _DIALECT.part_rules
    options: ClassVar[type[CodecOptions]] = YlokhOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, YlokhOptions)
        payload: dict[str, Any] = {
            "messages": [message_payload(message, index, _DIALECT) for index, message in enumerate(request.messages)],
            "model": context.model,
            "temperature": 1,
            "presence_penalty": 0,
            "top_p": 1,
            "frequency_penalty": 0,
            "allow_fallback": context.options.allow_fallback,
            "stream": context.stream,
        }
        # An option replaces the constant of its name where that stands, or comes last.
        payload |= field_payload(request, _DIALECT, _FIELDS)
        return EncodedRequest.from_payload("/v1/chat/completions", payload, request, _HEADERS)

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        events = EventDecoder(finish_reason_required=False)
        return ReplyDecoder(self.decode, events) if is_json(content_type) else events
