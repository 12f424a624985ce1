"""`yqcloud` from the server's side: a flattened prompt in, raw text out (PROTOCOLS 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall, Stamp, Wire, member, read_object
from llmclients.relay.codecs.raw_text import TEXT, TextEncoder, refusal_body, reply_text, unflatten
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["YqcloudWire", "is_current"]

_SITE = "https://chat9.yqcloud.top"


class YqcloudWire(Wire):
    """The current generation: the system text has a member of its own. `stream: false` is answered in one piece."""

    name: ClassVar[str] = "yqcloud"
    prefix: ClassVar[str] = "/yqcloud"
    path: ClassVar[str] = "/api/generateStream"
    stream_type: ClassVar[str] = TEXT
    reply_type: ClassVar[str] = TEXT

    def read(self, body: bytes) -> RelayedCall:
        payload = read_object(body)
        return RelayedCall(
            messages=self._messages(payload),
            options={
                "network": member(payload, "network", bool, True),
                "without_context": member(payload, "withoutContext", bool, False),
            },
            stream=self._stream(payload),
            # Neither searching the web nor remembering earlier calls is anything that other providers do.
            constants=frozenset({"network", "without_context"}),
        )

    def _messages(self, payload: Mapping[str, Any]) -> list[Message]:
        system = member(payload, "system", str, "")
        turns = unflatten(read_prompt(payload), system_line=False)
        return [Message("system", system), *turns] if system else turns

    def _stream(self, payload: Mapping[str, Any]) -> bool:
        stream: bool = member(payload, "stream", bool, True)
        return stream

    def reply(self, response: ChatResponse, stamp: Stamp) -> bytes:
        return reply_text(response)

    def stream_encoder(self, call: RelayedCall, stamp: Stamp) -> TextEncoder:
        return TextEncoder()

    def refusal(self, failure: Failure) -> bytes:
        return refusal_body(failure)


def read_prompt(payload: Mapping[str, Any]) -> str:
    """The request's prompt.

    Raises:
        InvalidRequestError: missing, empty or no text.
    """
    prompt: str = member(payload, "prompt", str, "")
    if not prompt:
        raise InvalidRequestError("prompt is missing or empty", argument="prompt")
    return prompt


def is_current(headers: Mapping[str, str]) -> bool:
    """Whether a request at the path of both generations is the current one's: it comes from a browser, at its site."""
    return headers.get("user-agent", "").startswith("Mozilla/") and headers.get("origin", _SITE) == _SITE
