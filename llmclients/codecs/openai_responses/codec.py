"""`openai-responses`: OpenAI's newer wire, whose messages, calls and results are items (PROTOCOLS 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    bearer_headers,
    encode_json,
    model_names,
)
from llmclients.codecs.openai_chat.errors import refused
from llmclients.codecs.openai_responses.items import CODEC_NAME
from llmclients.codecs.openai_responses.reply import decode_reply, make_decoder
from llmclients.codecs.payloads import file_name
from llmclients.errors import APIStatusError, InvalidRequestError
from llmclients.types.content import FilePart, ImagePart, Part, TextPart
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES, ChatRequest
from llmclients.types.response import ChatResponse

__all__ = ["OpenAIResponsesCodec"]

_RENAMED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
}


class OpenAIResponsesOptions(CodecOptions):
    """What no other wire has.

    Attributes:
        store: let the provider keep the answer, at OpenAI for 30 days or more. Not by default.
        previous_response_id: the id of a stored answer to go on from: then only the messages after it are sent.
        encrypted_reasoning: whether to ask for the reasoning in the form that the next turn sends back
            (`Message.provider_data`) where no copy is kept. None: with `reasoning_effort` or `summary`, for a model
            that does not reason refuses to be asked.
        summary: a summary of the reasoning to read: `auto`, `concise` or `detailed`.
        verbosity: how long answers are: `low`, `medium` or `high`.
        truncation: `auto` drops the oldest items of a conversation that is too long, `disabled` makes it an error.
    """

    store: bool = False
    previous_response_id: str | None = None
    encrypted_reasoning: bool | None = None
    summary: str | None = None
    verbosity: str | None = None
    truncation: str | None = None


class OpenAIResponsesCodec(Codec):
    """The Responses API. System messages stay where they are among the others: `instructions` is for `extra`."""

    name: ClassVar[str] = CODEC_NAME
    fields = frozenset(
        (*_RENAMED, "tools", "tool_choice", "response_format", "reasoning_effort", "logprobs"),
    )
    parts: Mapping[str, PartRule] = {
        "image": PartRule(media_types=frozenset(("image/png", "image/jpeg", "image/webp", "image/gif"))),
        "file": PartRule(max_bytes=50 * 1000 * 1000),
    }
    options: ClassVar[type[CodecOptions]] = OpenAIResponsesOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        own = context.options
        assert isinstance(own, OpenAIResponsesOptions)
        payload: dict[str, Any] = {
            "model": context.model,
            "input": [item for index, message in enumerate(request.messages) for item in _items(message, index)],
        }
        for name, wire_name in _RENAMED.items():
            if (value := getattr(request, name)) is not None:
                payload[wire_name] = value
        if request.tools:
            payload["tools"] = [_tool(tool) for tool in request.tools]
        if (choice := request.tool_choice) is not None:
            payload["tool_choice"] = choice if choice in TOOL_CHOICES else {"type": "function", "name": choice}
        for name, members in (
            ("text", {"format": _format(request), "verbosity": own.verbosity}),
            ("reasoning", {"effort": request.reasoning_effort, "summary": own.summary}),
        ):
            if given := {key: value for key, value in members.items() if value is not None}:
                payload[name] = given
        if include := list(_included(request, own)):
            payload["include"] = include
        payload["store"] = own.store  # the provider's own default is to keep everything
        for name in ("previous_response_id", "truncation"):
            if (value := getattr(own, name)) is not None:
                payload[name] = value
        if context.stream:
            payload["stream"] = True
        headers = (("Content-Type", "application/json"), *bearer_headers(context))
        return EncodedRequest("/responses", encode_json(payload | (request.extra or {})), headers)

    def decode(self, body: bytes) -> ChatResponse:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return make_decoder(content_type)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return refused(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/models", b"", bearer_headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body)


# --- messages -------------------------------------------------------------------------------------------------------


def _items(message: Message, index: int) -> Iterator[Any]:
    """The items of a message: one, or that of its text and one for each call, or what the provider wants back."""
    if message.role == "tool":
        if message.tool_call_id is None:
            raise _unfit(index, "a tool message needs the tool_call_id of the call that it answers")
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": _content(message, index)}
    elif message.role != "assistant":
        yield {"type": "message", "role": message.role, "content": _content(message, index)}
    elif (items := (message.provider_data or {}).get(CODEC_NAME)) is not None:
        if not isinstance(items, list):
            raise _unfit(index, f"provider_data[{CODEC_NAME!r}] is not a list of items")
        yield from items
    else:
        # The list, because llama.cpp takes no plain text of an assistant.
        parts = message.parts or ([] if message.tool_calls else [TextPart(text="")])
        if parts:
            content = [_said(part, index) for part in parts]
            yield {"type": "message", "role": "assistant", "content": content}
        for call in message.tool_calls or ():
            yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments_text}


def _content(message: Message, index: int) -> str | list[dict[str, Any]]:
    if not isinstance(message.content, list):
        return message.content or ""
    return [_part(part, index) for part in message.content]


def _part(part: Part, index: int) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": part.any_url, "detail": part.detail or "auto"}
    if not isinstance(part, FilePart):
        raise _unfit(index, f"there is no {part.type} on this wire")
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_file", "filename": file_name(part), "file_data": part.any_url}


def _said(part: Part, index: int) -> dict[str, Any]:
    if not isinstance(part, TextPart):
        raise _unfit(index, f"an assistant message has text only on this wire, no {part.type}")
    return {"type": "output_text", "text": part.text}


def _unfit(index: int, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"messages[{index}]: {reason}", argument="messages")


# --- options --------------------------------------------------------------------------------------------------------


def _tool(tool: Any) -> dict[str, Any]:
    """A tool, flat. Unlike elsewhere, `strict` is on where it is not sent: that would refuse many a schema."""
    payload: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        payload["description"] = tool.description
    return payload | {"parameters": tool.parameters, "strict": bool(tool.strict)}


def _format(request: ChatRequest) -> dict[str, Any] | None:
    form = request.response_format
    if form is None:
        return None
    if form.json_schema is None:
        return {"type": "json_object"}
    payload: dict[str, Any] = {"type": "json_schema", "name": form.name, "schema": form.json_schema}
    if form.description is not None:
        payload["description"] = form.description
    if form.strict is not None:
        payload["strict"] = form.strict
    return payload


def _included(request: ChatRequest, own: OpenAIResponsesOptions) -> Iterator[str]:
    """What an answer holds only when asked for."""
    encrypted = own.encrypted_reasoning
    if encrypted is None:
        encrypted = not own.store and (request.reasoning_effort is not None or own.summary is not None)
    if encrypted:
        yield "reasoning.encrypted_content"
    if request.logprobs or (request.logprobs is None and request.top_logprobs is not None):
        yield "message.output_text.logprobs"
