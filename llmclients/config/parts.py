"""Whether a wire can carry the media parts of a request's messages."""

from __future__ import annotations

from llmclients.codecs.base import Codec, PartRule
from llmclients.errors import UnsupportedOptionError
from llmclients.types.content import MediaPart
from llmclients.types.messages import Message

__all__ = ["check_parts"]


def check_parts(messages: list[Message], codec: Codec, provider_name: str) -> None:
    """Raise UnsupportedOptionError for a part that the wire cannot carry."""
    for index, message in enumerate(messages):
        for part in message.content if isinstance(message.content, list) else ():
            if not isinstance(part, MediaPart) or (reason := _unfit(part, codec.parts.get(part.type))) is None:
                continue
            raise UnsupportedOptionError(
                f"messages[{index}]: {provider_name} cannot carry {reason}", argument="messages"
            )


def _unfit(part: MediaPart, rule: PartRule | None) -> str | None:
    """What the rule does not allow of a part, in words."""
    if rule is None:
        return f"{part.type} parts"
    if part.data is None:
        return None if rule.urls else f"an {part.type} by its URL: give its bytes"
    if not rule.data:
        return f"the bytes of an {part.type}: give its URL"
    if rule.media_types and part.media_type not in rule.media_types:
        return f"{part.media_type}: it takes {', '.join(sorted(rule.media_types))}"
    if len(part.data) > rule.max_bytes:
        return f"an {part.type} of {len(part.data)} bytes: it takes {rule.max_bytes}"
    return None
