"""Chat completions, as OpenAI and all who copy it speak it: messages, tools and formats out (PROTOCOLS 8.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmclients.codecs.payloads import file_name, tool_payload
from llmclients.types.content import AudioPart, FilePart, ImagePart, Part
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES, ChatRequest

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat

__all__ = ["FIELDS", "choice_payload", "field_payload", "format_payload", "message_payload"]

FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
)
"""The fields of `ChatRequest` that chat completions have, in the order in which they are sent."""


def message_payload(message: Message) -> dict[str, Any]:
    """A message as the wire has it: only what is set, `role` and `content` first."""
    content = message.content
    payload: dict[str, Any] = {"role": message.role, "content": content}
    if isinstance(content, list):
        payload["content"] = [_part(part) for part in content]
    if message.name is not None:
        payload["name"] = message.name
    if message.tool_calls:
        payload["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        payload["tool_call_id"] = message.tool_call_id
    return payload


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


def field_payload(request: ChatRequest, names: Iterable[str] = FIELDS) -> dict[str, Any]:
    """The fields of these names that are set, as the wire has them, in this order."""
    payload = {}
    for name in names:
        value = getattr(request, name)
        if value is not None:
            form = _FORMS.get(name)
            payload[name] = value if form is None else form(value)
    return payload


def choice_payload(choice: str, *, required: str = "required") -> str | dict[str, Any]:
    """A `tool_choice`; `required`: the server's own word for it."""
    if choice not in TOOL_CHOICES:
        return {"type": "function", "function": {"name": choice}}
    return required if choice == "required" else choice


def format_payload(form: ResponseFormat) -> dict[str, Any]:
    """A `response_format`."""
    if form.json_schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": form.name, "schema": form.json_schema}
    if form.description is not None:
        schema["description"] = form.description
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "tools": lambda tools: [tool_payload(tool) for tool in tools],
    "tool_choice": choice_payload,
    "response_format": format_payload,
}
