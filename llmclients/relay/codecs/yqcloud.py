"""`yqcloud` from the server's side: a flattened prompt in, raw text out (docs/protocols/yqcloud.md, "yqcloud")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import decode_json, get_field
from llmclients.relay.codecs.raw_text import TEXT, TextEncoder, error_body, reply_body, unflatten
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["YqcloudServerCodec", "is_current", "parse_prompt"]

_SITE = "https://chat9.yqcloud.top"


class YqcloudServerCodec(ServerCodec):
    """The current generation: the system text has a field of its own. `stream: false` is answered in one piece."""

    name: ClassVar[str] = "yqcloud"
    prefix: ClassVar[str] = "/yqcloud"
    path: ClassVar[str] = "/api/generateStream"
    stream_type: ClassVar[str] = TEXT
    reply_type: ClassVar[str] = TEXT

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        return RelayedCall(
            messages=self._messages(payload),
            options={
                "network": get_field(payload, "network", bool, True),
                "without_context": get_field(payload, "withoutContext", bool, False),
            },
            stream=self._stream(payload),
            # Other providers have no fields for them: they neither search the web nor remember earlier calls.
            droppable=frozenset({"network", "without_context"}),
        )

    def _messages(self, payload: Mapping[str, Any]) -> list[Message]:
        system = get_field(payload, "system", str, "")
        turns = unflatten(parse_prompt(payload), system_line=False)
        return [Message("system", system), *turns] if system else turns

    def _stream(self, payload: Mapping[str, Any]) -> bool:
        stream: bool = get_field(payload, "stream", bool, True)
        return stream

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> TextEncoder:
        return TextEncoder()

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)


def parse_prompt(payload: Mapping[str, Any]) -> str:
    """The request's prompt.

    Raises:
        InvalidRequestError: missing, empty or no text.
    """
    prompt: str = get_field(payload, "prompt", str, "")
    if not prompt:
        raise InvalidRequestError("prompt is missing or empty", argument="prompt")
    return prompt


def is_current(headers: Mapping[str, str]) -> bool:
    """Whether a request at the path of both generations is the current one's: it comes from a browser, at its site."""
    return headers.get("user-agent", "").startswith("Mozilla/") and headers.get("origin", _SITE) == _SITE
