"""`cohere`: Cohere's second chat API (PROTOCOLS 13)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    bearer_headers,
    decode_json,
    encode_json,
)
from llmclients.codecs.cohere.reply import EventDecoder, decode_reply
from llmclients.codecs.errors import status_error
from llmclients.codecs.openai_chat.reply import ReplyDecoder
from llmclients.codecs.payloads import tool_payload
from llmclients.errors import APIResponseError, APIStatusError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.content import ImagePart, Part, TextPart
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES, ChatRequest, Positive
from llmclients.types.response import ChatResponse

__all__ = ["CohereCodec", "CohereOptions"]

_SAME_NAMES = ("temperature", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "logprobs")

_BUDGETS: Mapping[str, int | None] = {"minimal": 512, "low": 1024, "medium": 4096, "high": None}
"""Tokens of thinking for a `reasoning_effort`; None: as many as the model likes. The wire knows no words for it."""


class CohereOptions(CodecOptions):
    """Cohere's own options.

    Args:
        top_k: sample from this many likeliest tokens; 0: from all.
        thinking_budget: tokens of thinking at most, in place of what `reasoning_effort` stands for.
        safety_mode: which safety instruction the model gets.
    """

    top_k: int | None = None
    thinking_budget: Positive | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None


class CohereCodec(Codec):
    """Messages like chat completions', replies in typed blocks; a failed answer is an error, not a finish reason."""

    name: ClassVar[str] = "cohere"
    fields = frozenset(
        {*_SAME_NAMES, "top_p", "stop", "tools", "tool_choice", "response_format", "reasoning_effort"},
    )
    parts: Mapping[str, PartRule] = {"image": PartRule()}
    options: ClassVar[type[CodecOptions]] = CohereOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, CohereOptions)
        options = context.options
        payload: dict[str, Any] = {
            "model": context.model,
            "messages": [_message(index, message) for index, message in enumerate(request.messages)],
        }
        members = {name: getattr(request, name) for name in _SAME_NAMES}
        members |= {"p": request.top_p, "k": options.top_k, "safety_mode": options.safety_mode}
        members["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else request.stop
        members |= {"thinking": _thinking(request, options), **_tools(request), **_format(request)}
        payload |= {name: value for name, value in members.items() if value is not None}
        payload["stream"] = context.stream
        headers = (("Content-Type", "application/json"), *bearer_headers(context))
        return EncodedRequest("/v2/chat", encode_json(payload | (request.extra or {})), headers)

    def decode(self, body: bytes) -> ChatResponse:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return ReplyDecoder(decode_reply)
        return EventDecoder()

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        error = status_error(status, headers, body)
        if status == 429 and not headers.keys() & {"retry-after", "retry-after-ms"}:
            error.retry_after = _until_reset(headers)
        return error

    def encode_models(self, context: Context) -> EncodedRequest:
        # A page has at most a thousand models: all there are.
        return EncodedRequest("/v1/models?page_size=1000&endpoint=chat", b"", bearer_headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        entries = decode_json(body).get("models")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
            raise APIResponseError("the list of models has no models[].name: not what the protocol says")
        return [str(entry["name"]) for entry in entries]


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
        payload["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
            for call in message.tool_calls
        ]
    return payload


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
    detail = {} if part.detail is None else {"detail": part.detail}
    return {"type": "image_url", "image_url": {"url": part.any_url, **detail}}


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
    return {
        "tools": [tool_payload(tool.model_copy(update={"strict": None})) for tool in request.tools],
        "strict_tools": stricts.pop() if stricts else None,
        "tool_choice": choice.upper() if choice in ("required", "none") else None,
    }


def _format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None:
        return {}
    if request.tools:
        raise UnsupportedOptionError(
            "Cohere cannot carry a response_format together with tools", argument="response_format"
        )
    schema = {} if form.json_schema is None else {"json_schema": form.json_schema}
    return {"response_format": {"type": "json_object", **schema}}


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


# --- errors in -----------------------------------------------------------------------------------------------------


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds from the reply's `Date` to its `x-ratelimit-reset`, a Unix time."""
    try:
        seconds = int(headers["x-ratelimit-reset"]) - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
