"""`format_prompt`: a list of messages as one text, for the providers that cannot take a list.

The wire: docs/protocols/raw-text.md, "The flattened prompt".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmclients.errors import InvalidRequestError
from llmclients.types.messages import Message

__all__ = ["format_prompt"]


def format_prompt(
    messages: Sequence[Message | Mapping[str, Any]],
    *,
    add_special_tokens: bool = False,
    do_continue: bool = False,
    include_system: bool = True,
) -> str:
    """The messages as `Role: text` lines and a closing `Assistant:`; a single message as its bare text.

    Nothing is escaped: the text of a message can look like the beginning of another.

    Args:
        messages: at least one; dicts need `role` and `content` and may hold any value as content.
        add_special_tokens: give a single message its role and the closing line, too.
        do_continue: leave out the closing line.
        include_system: with False, `system` and `developer` messages are left out, except a single one.

    Raises:
        InvalidRequestError: no messages, or one that has no role, no content, or parts that are no parts.
    """
    pairs = [_role_and_text(message, index) for index, message in enumerate(messages)]
    if not pairs:
        raise InvalidRequestError("messages is empty: there is nothing to send", argument="messages")
    if len(pairs) == 1 and not add_special_tokens:
        return pairs[0][1]
    lines = [
        f"{role.capitalize()}: {text}"
        for role, text in pairs
        if text.strip() and (include_system or role not in ("system", "developer"))
    ]
    prompt = "\n".join(lines)
    return prompt if do_continue else f"{prompt}\nAssistant:"


def _role_and_text(message: Message | Mapping[str, Any], index: int) -> tuple[str, str]:
    if isinstance(message, Message):
        return message.role, message.text
    try:
        return str(message["role"]), _text(message["content"])
    except (KeyError, TypeError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise InvalidRequestError(f"messages[{index}] {reason}", argument="messages") from None


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list | tuple):
        return str(content)
    return "".join(_part_text(part) for part in content)


def _part_text(part: Any) -> str:
    if not isinstance(part, Mapping):
        raise TypeError(f"has a part that is {type(part).__name__}, not a dict")
    if part.get("type", "text") != "text":
        return ""
    text = part.get("text", "")
    if not isinstance(text, str):
        raise TypeError("has a text part whose text is not a string")
    return text
