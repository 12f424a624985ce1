"""`ylokh` from the server's side: chat completions with constants that its client always sends (PROTOCOLS 4)."""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.relay.codecs.base import RelayedCall, member, read_messages, read_object
from llmclients.relay.codecs.openai import OpenAIWire
from llmclients.relay.codecs.openai_chat import read_options

__all__ = ["YlokhWire"]

_CONSTANTS: dict[str, Any] = {
    "temperature": 1,
    "presence_penalty": 0,
    "top_p": 1,
    "frequency_penalty": 0,
    "allow_fallback": True,
}
_MODEL = "gpt-3.5-turbo"


class YlokhWire(OpenAIWire):
    """Chat completions without a key, streamed unless told otherwise."""

    name: ClassVar[str] = "ylokh"
    prefix: ClassVar[str] = "/ylokh"
    path: ClassVar[str] = "/v1/chat/completions"

    def read(self, body: bytes) -> RelayedCall:
        payload = read_object(body)
        options = read_options(payload, own=["allow_fallback"])
        model = member(payload, "model", str, "") or _MODEL
        return RelayedCall(
            messages=read_messages(payload),
            model=model,
            options=options,
            stream=member(payload, "stream", bool, True),
            constants=frozenset(
                name for name, value in options.items() if name in options.constants or _is_constant(name, value)
            ),
            model_is_constant=model == _MODEL,
        )


def _is_constant(name: str, value: Any) -> bool:
    constant = _CONSTANTS.get(name)
    return constant is not None and bool(value == constant) and isinstance(value, bool) == isinstance(constant, bool)
