"""Writes a request's messages and options as chat completions, in a server's dialect.

The wire: docs/protocols/openai-chat.md, "Requests".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmclients.codecs.openai_chat.dialect import FIELDS, Dialect
from llmclients.codecs.openai_chat.provider_data import kept_call_members, kept_members
from llmclients.codecs.payloads import file_name, schema_payload, tool_payload
from llmclients.errors import UnsupportedOptionError
from llmclients.types.content import AudioPart, FilePart, ImagePart, MediaPart, Part
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import TOOL_CHOICES, ChatRequest

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.schema_rules import SchemaRules

__all__ = ["field_payload", "message_payload"]

_SHORT_ID = re.compile("[a-zA-Z0-9]{9}")


# --- messages -------------------------------------------------------------------------------------------------------


def message_payload(
    message: Message, index: int, dialect: Dialect, *, is_default_endpoint: bool = False
) -> dict[str, Any]:
    """A message: only what is set, `role` and `content` first.

    Args:
        message: the message.
        index: its place among the request's messages, for errors.
        dialect: the server's.
        is_default_endpoint: whether it is the provider's own.

    Raises:
        UnsupportedOptionError: the server has no place for something in it.
    """
    role = "system" if message.role == "developer" and not dialect.developer_role else message.role
    payload: dict[str, Any] = {"role": role, "content": _content(message, index)}
    if message.name is not None:
        if message.role in dialect.named_roles:
            payload["name"] = message.name
        elif message.role != "tool":  # there it is the function's, and its call has it
            raise _unsupported(index, f"this server takes no name on a message of the role {message.role}")
    unknown = not (dialect.strict_members and is_default_endpoint)
    if message.tool_calls:
        payload["tool_calls"] = [_call(call, dialect, unknown=unknown) for call in message.tool_calls]
    if message.tool_call_id is not None:
        payload["tool_call_id"] = _call_id(message.tool_call_id, dialect)
    if dialect.reasoning_field and message.reasoning and message.tool_calls:
        payload[dialect.reasoning_field] = message.reasoning
    kept = kept_members(message.provider_data, dialect.provider_data_field, unknown=unknown)
    return payload | {name: value for name, value in kept.items() if name not in payload}


def _content(message: Message, index: int) -> str | list[dict[str, Any]] | None:
    if not isinstance(message.content, list):
        return message.content
    if message.role != "user" and any(isinstance(part, MediaPart) for part in message.content):
        raise _unsupported(index, "on this wire only a user's message has images, sound or files")
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        detail = {} if part.detail is None else {"detail": part.detail}
        return {"type": "image_url", "image_url": {"url": part.any_url, **detail}}
    if isinstance(part, AudioPart):
        return {"type": "input_audio", "input_audio": {"data": part.base64, "format": part.format}}
    if isinstance(part, FilePart):
        name = file_name(part) if part.data is not None else part.name
        return {"type": "file", "file": {**({} if name is None else {"filename": name}), "file_data": part.any_url}}
    return {"type": "text", "text": part.text}


def _call(call: ToolCall, dialect: Dialect, *, unknown: bool) -> dict[str, Any]:
    """A tool call; with the members that came with it and nobody knows, where the server takes them."""
    kept = kept_call_members(call.provider_data) if unknown else {}
    inner = kept.pop("function", None)
    function = {**(inner if isinstance(inner, dict) else {}), "name": call.name, "arguments": call.arguments_text}
    return {"id": _call_id(call.id, dialect), "type": "function", "function": function, **kept}


def _call_id(call_id: str, dialect: Dialect) -> str:
    """The id of a tool call; where the server takes short ones alone, always the same short one in its place."""
    if not dialect.short_call_ids or _SHORT_ID.fullmatch(call_id):
        return call_id
    return hashlib.blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()[:9]


def _unsupported(index: int, reason: str) -> UnsupportedOptionError:
    return UnsupportedOptionError(f"messages[{index}]: {reason}", argument="messages")


# --- options --------------------------------------------------------------------------------------------------------


def field_payload(
    request: ChatRequest, dialect: Dialect, fields: Iterable[str] = FIELDS, *, is_default_endpoint: bool = False
) -> dict[str, Any]:
    """Those of the fields that are set, in this order, by the server's names."""
    rules = dialect.schema_rules(is_default_endpoint=is_default_endpoint)
    payload = {
        dialect.wire_name(field, is_default_endpoint=is_default_endpoint): _value(field, request, dialect, rules)
        for field in fields
        if getattr(request, field) is not None
    }
    return _counted_logprobs(payload) if dialect.logprobs_as_count else payload


def _counted_logprobs(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with both fields of log probabilities as one number: of how many likely tokens to tell."""
    wanted, top = payload.pop("logprobs", None), payload.pop("top_logprobs", None)
    if wanted or top:
        payload["logprobs"] = top or 1
    return payload


def _value(field: str, request: ChatRequest, dialect: Dialect, rules: SchemaRules | None) -> Any:
    if field == "tools":
        return _tools(request, dialect, rules)
    if field == "tool_choice":
        return _tool_choice(request.tool_choice, dialect)
    if field == "response_format" and request.response_format is not None:
        return _response_format(request.response_format, rules)
    if field == "stop" and dialect.stop_as_list and isinstance(request.stop, str):
        return [request.stop]
    return getattr(request, field)


def _tools(request: ChatRequest, dialect: Dialect, rules: SchemaRules | None) -> list[dict[str, Any]]:
    """The tools; only the one that `tool_choice` names, where the server cannot be told its name."""
    name = None if dialect.named_choice or request.tool_choice in TOOL_CHOICES else request.tool_choice
    return [tool_payload(tool, rules) for tool in request.tools or () if name is None or tool.name == name]


def _tool_choice(choice: str | None, dialect: Dialect) -> Any:
    if choice in TOOL_CHOICES and choice != "required":
        return choice
    if choice == "required" or not dialect.named_choice:
        return dialect.required_word
    return {"type": "function", "function": {"name": choice}}


def _response_format(response_format: ResponseFormat, rules: SchemaRules | None) -> dict[str, Any]:
    if response_format.json_schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": schema_payload(response_format, rules)}
