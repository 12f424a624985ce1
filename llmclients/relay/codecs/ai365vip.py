"""`ai365vip` from the server's side: a page's request with one flattened message in, raw text out.

The wire: docs/protocols/ai365vip.md, "ai365vip".
"""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import decode_json, get_field
from llmclients.relay.codecs.openai_chat import parse_messages
from llmclients.relay.codecs.raw_text import TEXT, TextEncoder, error_body, reply_body, unflatten
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["Ai365vipServerCodec"]

_MODEL = "gpt-3.5-turbo"


class Ai365vipServerCodec(ServerCodec):
    """Always streamed. The page's own system text gives way to one in the messages."""

    name: ClassVar[str] = "ai365vip"
    prefix: ClassVar[str] = "/ai365vip"
    path: ClassVar[str] = "/api/chat"
    stream_type: ClassVar[str] = TEXT
    reply_type: ClassVar[str] = TEXT

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        model = _model(payload)
        temperature = get_field(payload, "temperature", (int, float), 1)
        return RelayedCall(
            messages=_messages(payload),
            model=model,
            options={"temperature": temperature},
            stream=True,
            droppable=frozenset({"temperature"} if temperature == 1 else ()),
            model_is_droppable=model == _MODEL,
        )

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> TextEncoder:
        return TextEncoder()

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)


def _model(payload: dict[str, Any]) -> str:
    name = get_field(payload, "model", dict, {}).get("id") or _MODEL
    if not isinstance(name, str):
        raise InvalidRequestError("model.id is not text", argument="model.id")
    return name


def _messages(payload: dict[str, Any]) -> list[Message]:
    messages = parse_messages(payload)
    if len(messages) == 1 and messages[0].role == "user":
        messages = unflatten(messages[0].text, system_line=True)
    system = get_field(payload, "prompt", str, "")
    return messages if not system or messages[0].role == "system" else [Message("system", system), *messages]
