"""`ai365vip` from the server's side: a page's request with one flattened message in, raw text out (PROTOCOLS 7)."""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall, Stamp, Wire, member, read_messages, read_object
from llmclients.relay.codecs.raw_text import TEXT, TextEncoder, refusal_body, reply_text, unflatten
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["Ai365vipWire"]

_MODEL = "gpt-3.5-turbo"


class Ai365vipWire(Wire):
    """Always streamed. The page's own system text gives way to one in the messages."""

    name: ClassVar[str] = "ai365vip"
    prefix: ClassVar[str] = "/ai365vip"
    path: ClassVar[str] = "/api/chat"
    stream_type: ClassVar[str] = TEXT
    reply_type: ClassVar[str] = TEXT

    def read(self, body: bytes) -> RelayedCall:
        payload = read_object(body)
        model = _model(payload)
        temperature = member(payload, "temperature", (int, float), 1)
        return RelayedCall(
            messages=_messages(payload),
            model=model,
            options={"temperature": temperature},
            stream=True,
            constants=frozenset({"temperature"} if temperature == 1 else ()),
            model_is_constant=model == _MODEL,
        )

    def reply(self, response: ChatResponse, stamp: Stamp) -> bytes:
        return reply_text(response)

    def stream_encoder(self, call: RelayedCall, stamp: Stamp) -> TextEncoder:
        return TextEncoder()

    def refusal(self, failure: Failure) -> bytes:
        return refusal_body(failure)


def _model(payload: dict[str, Any]) -> str:
    name = member(payload, "model", dict, {}).get("id") or _MODEL
    if not isinstance(name, str):
        raise InvalidRequestError("model.id is not text", argument="model.id")
    return name


def _messages(payload: dict[str, Any]) -> list[Message]:
    messages = read_messages(payload)
    if len(messages) == 1 and messages[0].role == "user":
        messages = unflatten(messages[0].text, system_line=True)
    system = member(payload, "prompt", str, "")
    return messages if not system or messages[0].role == "system" else [Message("system", system), *messages]
