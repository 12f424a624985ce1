"""`openai-responses` from the server's side: the requests of the Responses API.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".

`input` is a flat list of items. What the library has as one assistant message are several items in a row on this wire:
reasoning, messages, function calls. They are joined. Encrypted, they are also kept as they are, for an upstream of the
same wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import check_known, check_no_op, decode_json, get_field, get_objects
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.openai_chat_reply import error_body
from llmclients.relay.codecs.openai_responses_reply import PROVIDER_DATA_KEY, ResponseEncoder, is_opaque, reply_body
from llmclients.relay.codecs.openai_tools import FunctionTools, function_name, plain_item
from llmclients.relay.codecs.request import CallOptions, parse_message, parse_response_format, parse_tools
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.request import TOOL_CHOICES
from llmclients.types.response import ChatResponse

__all__ = ["IGNORED_FIELDS", "OpenAIResponsesServerCodec"]

IGNORED_FIELDS = frozenset(
    {
        "client_metadata",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
    }
)
"""Fields about bookkeeping, cost and speed, never about what the answer says: read by nobody here. So are
`prompt_cache_breakpoint` on parts, and `reasoning.context`: which of the earlier reasoning the wire's own server reads
again."""

# Options that have the library's names on this wire, and values of the same form.
_OPTIONS = frozenset({"temperature", "top_p"})
_PARSED_FIELDS = frozenset(
    {
        *("include", "input", "instructions", "max_output_tokens", "model", "reasoning", "stream", "text"),
        *("parallel_tool_calls", "tool_choice", "tools", "top_logprobs"),
    }
)
_KNOWN_FIELDS = _OPTIONS | _PARSED_FIELDS | IGNORED_FIELDS
# Values that ask for nothing that would not happen anyway.
_NO_OP_VALUES: dict[str, tuple[Any, ...]] = {"background": (False,), "truncation": ("disabled",)}
# Fields that refer to what the wire's own server keeps between requests.
_STORED = ("background", "conversation", "previous_response_id", "prompt")
_ADDED_TOOLS = "additional_tools"
"""The type of an item of the input that is no message: it brings further tools."""
# Values of `include`.
_LOGPROBS, _ENCRYPTED = "message.output_text.logprobs", "reasoning.encrypted_content"
# What errors name as wrong: where the wire has the library's options.
_WIRE_NAMES = {
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
# Fields that the reply has again.
_MIRRORED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
)


class OpenAIResponsesServerCodec(ServerCodec):
    """The Responses API, without what its own server keeps between requests, and without the tools it has itself."""

    name: ClassVar[str] = "openai-responses"
    prefix: ClassVar[str] = "/openai/v1"
    path: ClassVar[str] = "/responses"
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    reply_type: ClassVar[str] = "application/json"
    id_prefix: ClassVar[str] = "resp_"
    unread_fields: ClassVar[frozenset[str]] = IGNORED_FIELDS

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        tools = _tools(payload)
        options = _options(payload, tools)
        return RelayedCall(
            messages=list(_messages(payload)),
            model=get_field(payload, "model", str, "") or None,
            stream=get_field(payload, "stream", bool, False),
            mirrored={name: payload[name] for name in _MIRRORED if name in payload},
            tools=tools.tools,
            **options.call_fields(),
        )

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response, meta)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> ResponseEncoder:
        return ResponseEncoder(meta)

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(replace(failure, param=_WIRE_NAMES.get(failure.param or "", failure.param)))

    def encode_count(self, tokens: int) -> bytes:
        return encode_json({"object": "response.input_tokens", "input_tokens": tokens})


# --- options --------------------------------------------------------------------------------------------------------


def _tools(payload: Mapping[str, Any]) -> FunctionTools:
    """The request's tools: those in their place, and those among the items of its input."""
    tools = FunctionTools()
    tools.add(get_objects(payload, "tools", optional=True))
    entries = payload.get("input")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and entry.get("type") == _ADDED_TOOLS:
            check_known(entry, {"type", "role", "tools", "id"}, f"input[{index}]", argument="input")
            tools.add(get_objects(entry, "tools"), f"input[{index}].tools")
    return tools


def _options(payload: Mapping[str, Any], tools: FunctionTools) -> CallOptions:
    for name in _STORED:
        if payload.get(name):
            raise UnsupportedOptionError(
                f"{name}: the relay keeps nothing: send the whole conversation as input", argument=name
            )
    options = CallOptions({name: payload[name] for name in _OPTIONS if name in payload})
    for name, value in payload.items():
        if name == "truncation" and value != "disabled":
            options.add("truncation", value)  # for an upstream provider that has it
        elif name not in _KNOWN_FIELDS:
            check_no_op(name, value, _NO_OP_VALUES)
    options.add("max_tokens", payload.get("max_output_tokens"))
    options.dropped += tools.dropped
    choice = _tool_choice(payload.get("tool_choice"))
    options.add_tools(parse_tools(tools.functions), choice, payload.get("parallel_tool_calls"))
    options.tolerated.add("parallel_tool_calls")
    _add_text(options, get_field(payload, "text", dict, {}))
    reasoning = get_field(payload, "reasoning", dict, {})
    check_known(reasoning, {"context", "effort", "summary"}, "reasoning", argument="reasoning")
    options.add("reasoning_effort", reasoning.get("effort"), tolerated=True)
    # What reasoning there is to read is sent in any case.
    options.add("summary", reasoning.get("summary"), droppable=True)
    _add_included(options, payload)
    return options


def _tool_choice(choice: Any) -> str | None:
    is_tool = isinstance(choice, dict) and choice.get("type") in ("function", "custom")
    if is_tool and isinstance(choice.get("name"), str):
        return function_name(choice["name"], choice.get("namespace"))
    if choice is None or (isinstance(choice, str) and choice in TOOL_CHOICES):
        return choice
    raise InvalidRequestError(
        "tool_choice: the relay carries none, auto, required, or a function with its name", argument="tool_choice"
    )


def _add_text(options: CallOptions, text: Mapping[str, Any]) -> None:
    check_known(text, {"format", "verbosity"}, "text", argument="text")
    if text.get("format") is not None:
        options.add("response_format", parse_response_format(text["format"], "text.format", nested=False))
    if text.get("verbosity") not in (None, "medium"):
        options.add("verbosity", text["verbosity"], tolerated=True)


def _add_included(options: CallOptions, payload: Mapping[str, Any]) -> None:
    include = get_field(payload, "include", list, [])
    for name in include:
        if name not in (_LOGPROBS, _ENCRYPTED):
            raise UnsupportedOptionError(f"include: the relay has no {name}", argument="include")
    if _ENCRYPTED in include:  # elsewhere there is no such thing to include
        options.add("encrypted_reasoning", True, droppable=True)
    options.add("top_logprobs", payload.get("top_logprobs") or None)
    if _LOGPROBS in include or "top_logprobs" in options:
        options.add("logprobs", True)


# --- messages -------------------------------------------------------------------------------------------------------


def _messages(payload: Mapping[str, Any]) -> Iterator[Message]:
    if instructions := get_field(payload, "instructions", str, ""):
        yield parse_message({"role": "system", "content": instructions}, "instructions")
    if isinstance(text := payload.get("input"), str):
        yield parse_message({"role": "user", "content": text}, "input")
        return
    entries = [
        plain_item(entry, f"input[{index}]")
        for index, entry in enumerate(get_objects(payload, "input"))
        if entry.get("type") != _ADDED_TOOLS
    ]
    if not entries:
        raise InvalidRequestError("input is empty: there is nothing to answer", argument="input")
    answer: list[dict[str, Any]] = []  # items in a row that are one message here
    for index, entry in enumerate(entries):
        where = f"input[{index}]"
        if _is_assistants(entry):
            answer.append(entry)
            continue
        if answer:
            yield _assistant(answer, f"input[{index - 1}]")
            answer = []
        yield parse_message(_other(entry, where), where)
    if answer:
        yield _assistant(answer, f"input[{len(entries) - 1}]")


def _is_assistants(entry: Mapping[str, Any]) -> bool:
    """Whether an item is of an answer."""
    type_ = entry.get("type", "message")
    return type_ in ("reasoning", "function_call") or (type_ == "message" and entry.get("role") == "assistant")


def _other(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Any other item as a message: a user's, a system text, the result of a call."""
    type_ = entry.get("type", "message")
    if type_ == "message":
        check_known(entry, {"type", "role", "content", "id", "status"}, where, argument="input")
        return {"role": entry.get("role"), "content": _content(entry.get("content"), where)}
    if type_ == "function_call_output":
        check_known(entry, {"type", "call_id", "output", "id", "status"}, where, argument="input")
        if not isinstance(entry.get("call_id"), str):
            raise InvalidRequestError(f"{where}: there is no call_id", argument="input")
        output = entry.get("output")
        return {"role": "tool", "tool_call_id": entry["call_id"], "content": _content(output or "", where)}
    reason = "the relay keeps nothing" if type_ == "item_reference" else "the relay does not carry it"
    raise UnsupportedOptionError(f"{where}: an item of type {type_!r}: {reason}", argument="input")


def _content(content: Any, where: str) -> Any:
    if isinstance(content, list):
        return [_part(part, where) for part in content]
    return content


def _part(part: Any, where: str) -> dict[str, Any]:
    """A part in the library's own form, or in chat completions'."""
    type_ = part.get("type") if isinstance(part, dict) else None
    known = {
        "input_text": {"text"},
        "input_image": {"image_url", "detail"},
        "input_file": {"file_data", "file_url", "filename"},
        "input_audio": {"input_audio"},
    }.get(str(type_))
    if known is None:
        raise UnsupportedOptionError(f"{where}: the relay does not carry a part of type {type_!r}", argument="input")
    check_known(part, known | {"type", "prompt_cache_breakpoint"}, f"{where}: {type_}", argument="input")
    if type_ == "input_text":
        return {"type": "text", "text": part.get("text")}
    if type_ == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url"), "detail": part.get("detail")}}
    if type_ == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    if part.get("file_url") is not None:
        return {"type": "file", "url": part["file_url"], "name": part.get("filename")}
    return {"type": "file", "file": {"file_data": part.get("file_data"), "filename": part.get("filename")}}


def _assistant(items: list[dict[str, Any]], where: str) -> Message:
    """The items of an answer as one message."""
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in items:
        type_ = item.get("type", "message")
        if type_ == "reasoning":
            parts = _list(item, "summary", where) + _list(item, "content", where)
            reasoning += [_part_text(part, ("summary_text", "reasoning_text"), where) for part in parts]
        elif type_ == "function_call":
            known = {"type", "id", "call_id", "name", "arguments", "status"}
            check_known(item, known, where, argument="input")
            calls.append({"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")})
        else:
            check_known(item, {"type", "role", "content", "id", "status", "phase"}, where, argument="input")
            content = item.get("content")
            parts = (
                [{"type": "output_text", "text": content}]
                if isinstance(content, str)
                else _list(item, "content", where)
            )
            texts += [_part_text(part, ("output_text", "refusal", "input_text"), where) for part in parts]
    message: dict[str, Any] = {"role": "assistant", "tool_calls": calls or None}
    message["reasoning"] = "\n\n".join(reasoning) or None
    message["content"] = [{"type": "text", "text": text} for text in texts] if len(texts) > 1 else "".join(texts)
    if calls and not texts:
        message["content"] = None
    if is_opaque(items):
        message["provider_data"] = {PROVIDER_DATA_KEY: items}
    return parse_message(message, where)


def _list(item: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = item.get(name) or []
    if not isinstance(value, list):
        raise InvalidRequestError(f"{where}: {name} is no list", argument="input")
    return value


def _part_text(part: Any, types: tuple[str, ...], where: str) -> str:
    """The text of a part of an answer's item, which is of one of these types."""
    type_ = part.get("type") if isinstance(part, dict) else None
    if type_ not in types:
        raise UnsupportedOptionError(
            f"{where}: the relay does not carry a part of type {type_!r} of an answer", argument="input"
        )
    return str(get_field(part, "refusal" if type_ == "refusal" else "text", str, ""))
