"""The codec `cohere`: version 2 of Cohere's chat API (docs/protocols/cohere.md, "Cohere")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    bearer_headers,
    given,
    model_names,
)
from llmclients.codecs.cohere.names import CODEC_NAME
from llmclients.codecs.cohere.reply import decode_error, decode_reply, make_decoder
from llmclients.codecs.payloads import tool_payload
from llmclients.errors import APIStatusError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.content import ImagePart, Part, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import POSITIVE, TOOL_CHOICES, ChatRequest, ThinkingBudget, TopK
from llmclients.types.response import Chunk
from llmclients.types.schema_rules import COHERE

__all__ = ["CohereCodec", "CohereOptions"]

_SAME_NAMES = ("temperature", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "logprobs")

_BUDGETS: Mapping[str, int | None] = {"minimal": 512, "low": 1024, "medium": 4096, "high": None}
"""Tokens of thinking for a `reasoning_effort`, which the wire does not have; None: as the model decides."""


class CohereOptions(CodecOptions):
    """What only this wire has.

    Args:
        top_k: how many of the likeliest tokens are sampled from; 0: all.
        thinking_budget: tokens of thinking at most, in place of `reasoning_effort`.
        safety_mode: which safety instruction the model gets.
    """

    top_k: TopK | None = None
    thinking_budget: Annotated[ThinkingBudget, POSITIVE] | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None


class CohereCodec(Codec):
    """Messages like chat completions', replies in typed blocks; a failed answer is an error, not a finish reason."""

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = "/v2(/chat)?|/v1(/chat|/models)?|/compatibility/v1(/chat/completions)?"
    fields = frozenset(
        {*_SAME_NAMES, "top_p", "stop", "tools", "tool_choice", "response_format", "reasoning_effort"},
    )
    parts: Mapping[str, PartRule] = {"image": PartRule()}
    options: ClassVar[type[CodecOptions]] = CohereOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, CohereOptions)
        options = context.options
        payload = given(
            model=context.model,
            messages=[_message(index, message) for index, message in enumerate(request.messages)],
            **{name: getattr(request, name) for name in _SAME_NAMES},
            p=request.top_p,
            k=options.top_k,
            safety_mode=options.safety_mode,
            stop_sequences=[request.stop] if isinstance(request.stop, str) else request.stop,
            thinking=_thinking(request, options),
            **_tools(request),
            **_format(request),
            stream=context.stream,
        )
        return EncodedRequest.from_payload("/v2/chat", payload, request, bearer_headers(context))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return make_decoder(content_type)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return decode_error(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest:
        # One page is all: it holds a thousand models at most, and there are far fewer.
        return EncodedRequest("/v1/models?page_size=1000&endpoint=chat", b"", bearer_headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body, "models", "name", bare_list=False)


# --- requests -------------------------------------------------------------------------------------------------------


def _message(index: int, message: Message) -> dict[str, Any]:
    if message.role == "assistant":
        return _assistant(index, message)
    if message.role == "tool":
        if message.tool_call_id is None:
            raise InvalidRequestError(f"messages[{index}]: a tool message needs a tool_call_id", argument="messages")
        # As documents, which the model can cite; each has its text as `data`.
        texts = [_text(index, message, part) for part in message.parts]
        documents = [{"type": "document", "document": {"data": text}} for text in texts]
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": documents}
    content: Any = message.content
    if isinstance(content, list):
        content = [
            _image(part) if isinstance(part, ImagePart) and message.role == "user" else _block(index, message, part)
            for part in content
        ]
    return {"role": "system" if message.role == "developer" else message.role, "content": content}


def _assistant(index: int, message: Message) -> dict[str, Any]:
    """Reasoning goes back as the plan of the calls, or as a block of thinking."""
    payload: dict[str, Any] = {"role": "assistant"}
    if message.tool_calls and message.reasoning:
        payload["tool_plan"] = message.reasoning
    elif message.reasoning:
        blocks = [_block(index, message, part) for part in message.parts]
        payload["content"] = [{"type": "thinking", "thinking": message.reasoning}, *blocks]
    if "content" not in payload and (message.content or not message.tool_calls):
        content = message.content
        payload["content"] = (
            [_block(index, message, part) for part in content] if isinstance(content, list) else content
        )
    if message.tool_calls:
        payload["tool_calls"] = [_call(call) for call in message.tool_calls]
    return payload


def _call(call: ToolCall) -> dict[str, Any]:
    """A call, with the members that came with it and are not known here."""
    members = (call.provider_data or {}).get(CODEC_NAME)
    known = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
    return {**members, **known} if isinstance(members, dict) else known


def _text(index: int, message: Message, part: Part) -> str:
    if not isinstance(part, TextPart):
        raise InvalidRequestError(
            f"messages[{index}]: Cohere takes {part.type} parts only in user messages, not in one of the role "
            f"{message.role}",
            argument="messages",
        )
    return part.text


def _block(index: int, message: Message, part: Part) -> dict[str, Any]:
    return {"type": "text", "text": _text(index, message, part)}


def _image(part: ImagePart) -> dict[str, Any]:
    return {"type": "image_url", "image_url": given(url=part.any_url, detail=part.detail)}


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    stricts = {tool.strict for tool in request.tools} - {None}
    if len(stricts) > 1:
        raise InvalidRequestError("tools: Cohere has one `strict` for all tools, not one each", argument="tools")
    choice = request.tool_choice
    if choice is not None and choice not in TOOL_CHOICES:
        raise UnsupportedOptionError(
            f"Cohere cannot be told to call one tool, {choice!r}: give it that tool alone and tool_choice='required'",
            argument="tool_choice",
        )
    strict = stricts.pop() if stricts else None
    tools = [tool.model_copy(update={"strict": strict}) for tool in request.tools]
    return {
        "tools": [tool_payload(tool, COHERE, with_strict=False) for tool in tools],
        "strict_tools": strict,
        "tool_choice": choice.upper() if choice in ("required", "none") else None,
    }


def _format(request: ChatRequest) -> dict[str, Any]:
    response_format = request.response_format
    if response_format is None:
        return {}
    if request.tools:
        raise UnsupportedOptionError(
            "Cohere cannot carry a response_format together with tools", argument="response_format"
        )
    return {"response_format": given(type="json_object", json_schema=response_format.fitted(COHERE)[0])}


def _thinking(request: ChatRequest, options: CohereOptions) -> dict[str, Any] | None:
    effort, budget = request.reasoning_effort, options.thinking_budget
    if effort == "none":
        if budget is not None:
            raise InvalidRequestError("thinking_budget contradicts reasoning_effort='none'", argument="thinking_budget")
        return {"type": "disabled"}
    if effort is not None and effort not in _BUDGETS:
        raise InvalidRequestError(
            f"reasoning_effort: Cohere's is none, {', '.join(_BUDGETS)} (or give thinking_budget=), not {effort!r}",
            argument="reasoning_effort",
        )
    if budget is None and effort is not None:
        budget = _BUDGETS[effort]
    if budget is not None:
        return {"type": "enabled", "token_budget": budget}
    return None if effort is None else {"type": "enabled"}
