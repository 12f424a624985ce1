"""`openai-responses`: OpenAI's newer wire, whose messages, calls and results are items.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    bearer_headers,
    given,
    is_json,
    model_names,
)
from llmclients.codecs.bodies import ReplyDecoder
from llmclients.codecs.openai_responses.items import CODEC_NAME
from llmclients.codecs.openai_responses.reply import EventDecoder, decode_reply
from llmclients.codecs.payloads import file_name, schema_payload
from llmclients.errors import InvalidRequestError
from llmclients.types.content import FilePart, ImagePart, Part, TextPart
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES, ChatRequest
from llmclients.types.response import Chunk
from llmclients.types.schema_rules import OPENAI

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.schema_rules import SchemaRules
    from llmclients.types.tools import Tool

__all__ = ["OpenAIResponsesCodec"]

_WIRE_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "prompt_cache_key": "prompt_cache_key",
}
"""The fields of `ChatRequest` that go out as they are, in this order, and what the wire calls them."""


class OpenAIResponsesOptions(CodecOptions):
    """What no other wire has.

    Attributes:
        store: let the provider keep the answer, at OpenAI for 30 days or more. Not by default.
        previous_response_id: the id of a stored answer to go on from: then only the messages after it are sent.
        encrypted_reasoning: whether to ask for the reasoning encrypted, as the next turn sends it back where no copy
            is kept (`Message.provider_data`). None: with `reasoning_effort` or `summary`, for asking a model that does
            not reason is an error.
        summary: a summary of the reasoning to read: `auto`, `concise` or `detailed`.
        truncation: `auto` drops the oldest items of a conversation that is too long, `disabled` makes it an error.
    """

    store: bool = False
    previous_response_id: str | None = None
    encrypted_reasoning: bool | None = None
    summary: str | None = None
    truncation: str | None = None


class OpenAIResponsesCodec(Codec):
    """The Responses API. System messages stay where they are among the others: `instructions` is for `extra`."""

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = "/responses|/chat/completions|(?<=/v1)/(chat|completions|models)"
    fields = frozenset(
        (*_WIRE_NAMES, "tools", "tool_choice", "response_format", "reasoning_effort", "logprobs", "verbosity"),
    )
    parts: Mapping[str, PartRule] = {
        "image": PartRule(media_types=frozenset(("image/png", "image/jpeg", "image/webp", "image/gif"))),
        "file": PartRule(max_bytes=50 * 1000 * 1000),
    }
    options: ClassVar[type[CodecOptions]] = OpenAIResponsesOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        options = context.options
        assert isinstance(options, OpenAIResponsesOptions)
        rules = OPENAI if context.is_default_endpoint else None
        payload: dict[str, Any] = {
            "model": context.model,
            "input": [item for index, message in enumerate(request.messages) for item in _items(message, index)],
            **given(**{wire_name: getattr(request, field) for field, wire_name in _WIRE_NAMES.items()}),
            **given(
                tools=[_tool(tool, rules) for tool in request.tools] if request.tools else None,
                tool_choice=_tool_choice(request.tool_choice),
                text=given(format=_format(request.response_format, rules), verbosity=request.verbosity) or None,
                reasoning=given(effort=request.reasoning_effort, summary=options.summary) or None,
                include=list(_included(request, options)) or None,
                store=options.store,  # the provider's own default is to keep everything
                previous_response_id=options.previous_response_id,
                truncation=options.truncation,
                stream=context.stream,  # left out, some gateways stream
            ),
        }
        return EncodedRequest.from_payload("/responses", payload, request, bearer_headers(context))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        if is_json(content_type):  # some servers answer a request for a stream with one plain reply
            return ReplyDecoder(self.decode, EventDecoder())
        return EventDecoder()

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/models", b"", bearer_headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body)


# --- messages -------------------------------------------------------------------------------------------------------


def _items(message: Message, index: int) -> Iterator[Any]:
    """The items of a message: one, or that of its text and one for each call, or what the provider wants back."""
    if message.role == "tool":
        if message.tool_call_id is None:
            raise _invalid(index, "a tool message needs the tool_call_id of the call that it answers")
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": _content(message, index)}
    elif message.role != "assistant":
        yield {"type": "message", "role": message.role, "content": _content(message, index)}
    elif (items := (message.provider_data or {}).get(CODEC_NAME)) is not None:
        if not isinstance(items, list):
            raise _invalid(index, f"provider_data[{CODEC_NAME!r}] is not a list of items")
        yield from items
    else:
        # The list, because llama.cpp takes no plain text of an assistant.
        parts = message.parts or ([] if message.tool_calls else [TextPart(text="")])
        if parts:
            content = [_output_text(part, index) for part in parts]
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
        raise _invalid(index, f"there is no {part.type} on this wire")
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_file", "filename": file_name(part), "file_data": part.any_url}


def _output_text(part: Part, index: int) -> dict[str, Any]:
    if not isinstance(part, TextPart):
        raise _invalid(index, f"an assistant message has text only on this wire, no {part.type}")
    return {"type": "output_text", "text": part.text}


def _invalid(index: int, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"messages[{index}]: {reason}", argument="messages")


# --- options --------------------------------------------------------------------------------------------------------


def _tool(tool: Tool, rules: SchemaRules | None) -> dict[str, Any]:
    """A tool, flat. Unlike elsewhere, `strict` is on where it is not sent: that would reject many a schema."""
    return {
        "type": "function",
        **given(name=tool.name, description=tool.description, parameters=tool.fitted_parameters(rules)),
        "strict": bool(tool.strict),
    }


def _tool_choice(choice: str | None) -> Any:
    return choice if choice is None or choice in TOOL_CHOICES else {"type": "function", "name": choice}


def _format(response_format: ResponseFormat | None, rules: SchemaRules | None) -> dict[str, Any] | None:
    if response_format is None:
        return None
    if response_format.json_schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", **schema_payload(response_format, rules)}


def _included(request: ChatRequest, options: OpenAIResponsesOptions) -> Iterator[str]:
    """What an answer holds only when asked for."""
    encrypted = options.encrypted_reasoning
    if encrypted is None:
        encrypted = not options.store and (request.reasoning_effort is not None or options.summary is not None)
    if encrypted:
        yield "reasoning.encrypted_content"
    if request.logprobs or (request.logprobs is None and request.top_logprobs is not None):
        yield "message.output_text.logprobs"
