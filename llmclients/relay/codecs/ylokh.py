"""`ylokh` from the server's side: chat completions with options that its client always sends.

The wire: docs/protocols/ylokh.md, "ylokh".
"""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.codecs.json_fields import decode_json, get_field
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec, parse_messages, parse_options

__all__ = ["YlokhServerCodec"]

# What the client sends where its user has chosen nothing.
_CLIENT_DEFAULTS: dict[str, Any] = {
    "temperature": 1,
    "presence_penalty": 0,
    "top_p": 1,
    "frequency_penalty": 0,
    "allow_fallback": True,
}
_MODEL = "gpt-3.5-turbo"


class YlokhServerCodec(OpenAIServerCodec):
    """Chat completions without a key, streamed unless the request says otherwise."""

    name: ClassVar[str] = "ylokh"
    prefix: ClassVar[str] = "/ylokh"
    path: ClassVar[str] = "/v1/chat/completions"

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        options = parse_options(payload, wire_options=["allow_fallback"])
        model = get_field(payload, "model", str, "") or _MODEL
        return RelayedCall(
            messages=parse_messages(payload),
            model=model,
            options=options,
            stream=get_field(payload, "stream", bool, True),
            droppable=frozenset(
                name for name, value in options.items() if name in options.droppable or _is_default(name, value)
            ),
            model_is_droppable=model == _MODEL,
        )


def _is_default(name: str, value: Any) -> bool:
    default = _CLIENT_DEFAULTS.get(name)
    # The type counts: True equals 1.
    return default is not None and bool(value == default) and isinstance(value, bool) == isinstance(default, bool)
