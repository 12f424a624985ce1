"""How many tokens a request is about, where nobody behind the relay counts them. Only a rough number is possible."""

from __future__ import annotations

import json

from llmclients.relay.codecs.base import RelayedCall
from llmclients.types.content import TextPart
from llmclients.types.messages import Message
from llmclients.types.response_format import ResponseFormat

__all__ = ["ESTIMATE_WARNING", "estimated_tokens"]

ESTIMATE_WARNING = "the number of tokens is an estimate: the provider behind the relay does not count them"

_BYTES_PER_TOKEN = 4
"""Of English text and of code in UTF-8, with the vocabularies of today's models; other scripts have fewer."""
_MESSAGE_TOKENS = 4  # what marks a message's author, its beginning and its end
_MEDIA_TOKENS = 1500
"""Of an image, a sound or a file: providers count by its size in pixels, seconds or pages, which the relay does not
look at. It is about what a picture of a megapixel takes."""


def estimated_tokens(call: RelayedCall) -> int:
    """The tokens of a request's messages, tools and schema; 1 at least."""
    tokens = sum(map(_message_tokens, call.messages))
    for tool in call.options.get("tools") or ():
        tokens += _text_tokens(tool.name + (tool.description or "") + json.dumps(tool.parameters, ensure_ascii=False))
    wanted = call.options.get("response_format")
    if isinstance(wanted, ResponseFormat) and wanted.json_schema is not None:
        tokens += _text_tokens(json.dumps(wanted.json_schema, ensure_ascii=False))
    return max(tokens, 1)


def _message_tokens(message: Message) -> int:
    calls = "".join(call.name + call.arguments_text for call in message.tool_calls or ())
    media = sum(not isinstance(part, TextPart) for part in message.parts)
    return _MESSAGE_TOKENS + _text_tokens(message.text + (message.reasoning or "") + calls) + media * _MEDIA_TOKENS


def _text_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
