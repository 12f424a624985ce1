"""`openai` from the server's side: chat completions (PROTOCOLS 8)."""

from __future__ import annotations

from typing import ClassVar

from llmclients.relay.codecs.base import RelayedCall, Stamp, Wire, member, read_messages, read_object
from llmclients.relay.codecs.openai_chat import EventEncoder, error_body, read_options, reply_body
from llmclients.relay.errors import Failure
from llmclients.types.response import ChatResponse

__all__ = ["OpenAIWire"]


class OpenAIWire(Wire):
    """Chat completions. The model that is named is the model that is asked for."""

    name: ClassVar[str] = "openai"
    prefix: ClassVar[str] = "/openai/v1"
    path: ClassVar[str] = "/chat/completions"
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    reply_type: ClassVar[str] = "application/json"

    def read(self, body: bytes) -> RelayedCall:
        payload = read_object(body)
        stream = member(payload, "stream", bool, False)
        include_usage = bool(member(payload, "stream_options", dict, {}).get("include_usage"))
        options = read_options(payload)
        return RelayedCall(
            messages=read_messages(payload),
            model=member(payload, "model", str, "") or None,
            options=options,
            stream=stream,
            constants=frozenset(options.constants),
            include_usage=stream and include_usage,
        )

    def reply(self, response: ChatResponse, stamp: Stamp) -> bytes:
        return reply_body(response, stamp)

    def stream_encoder(self, call: RelayedCall, stamp: Stamp) -> EventEncoder:
        return EventEncoder(call, stamp)

    def refusal(self, failure: Failure) -> bytes:
        return error_body(failure)
