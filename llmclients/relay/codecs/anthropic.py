"""`anthropic` from the server's side: the requests of Anthropic Messages.

The wire: docs/protocols/anthropic.md, "Anthropic Messages".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.anthropic_reply import (
    PROVIDER_DATA_KEY,
    MessageEncoder,
    error_body,
    model_entry,
    models_body,
    reply_body,
)
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import check_known, decode_json, get_field, get_objects
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.request import (
    CallOptions,
    UncheckedFormat,
    effort_of_budget,
    parse_message,
    parse_tools,
)
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["IGNORED_FIELDS", "AnthropicServerCodec", "is_anthropic"]

IGNORED_FIELDS = frozenset(
    {"cache_control", "context_management", "diagnostics", "metadata", "service_tier", "speed", "user_profile_id"}
)
"""Fields about bookkeeping, cost and speed, never about what is asked: read by nobody here. So are `cache_control` on
blocks and tools, and `eager_input_streaming` of a tool. `context_management` says what the wire's own server may leave
out of a long conversation to save tokens: here all of it goes on."""

# Options that have the library's names on this wire, and values of the same form.
_OPTIONS = frozenset({"temperature", "top_k", "top_p"})
_PARSED_FIELDS = frozenset(
    {
        *("max_tokens", "messages", "model", "output_config", "output_format", "stop_sequences", "stream"),
        *("system", "thinking", "thread", "tool_choice", "tools"),
    }
)
_KNOWN_FIELDS = _OPTIONS | _PARSED_FIELDS | IGNORED_FIELDS


class AnthropicServerCodec(ServerCodec):
    """Messages. The model that is named is the model that is asked for."""

    name: ClassVar[str] = "anthropic"
    prefix: ClassVar[str] = "/anthropic"
    path: ClassVar[str] = "/v1/messages"
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    reply_type: ClassVar[str] = "application/json"
    id_prefix: ClassVar[str] = "msg_"
    request_id_header: ClassVar[str] = "request-id"
    unread_fields: ClassVar[frozenset[str]] = IGNORED_FIELDS

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        options = _options(payload)
        return RelayedCall(
            messages=_messages(payload),
            model=get_field(payload, "model", str, "") or None,
            stream=get_field(payload, "stream", bool, False),
            **options.call_fields(),
        )

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response, meta)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> MessageEncoder:
        return MessageEncoder(meta)

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)

    def encode_models(self, names: Iterable[str]) -> bytes:
        return models_body(names)

    def encode_model(self, name: str, abilities: Iterable[str]) -> bytes:
        return encode_json(model_entry(name))


def is_anthropic(headers: Mapping[str, str]) -> bool:
    """Whether a request at a path that several wires have is of this one: its clients all name its version."""
    return "anthropic-version" in headers


# --- options --------------------------------------------------------------------------------------------------------


def _options(payload: Mapping[str, Any]) -> CallOptions:
    check_known(payload, _KNOWN_FIELDS, "")
    _check_no_thread(payload)
    options = CallOptions({name: payload[name] for name in _OPTIONS if name in payload})
    options.add("max_tokens", payload.get("max_tokens"))
    options.add_stop(get_field(payload, "stop_sequences", list, []))
    tools = [_tool(entry, index) for index, entry in enumerate(get_objects(payload, "tools", optional=True))]
    options.add_tools(parse_tools(tools), *_tool_choice(get_field(payload, "tool_choice", dict, {})))
    output = get_field(payload, "output_config", dict, {})
    check_known(output, {"effort", "format"}, "output_config", argument="output_config")
    # Its beta form stood beside the others; some programs still send that.
    options.add("response_format", _response_format(output.get("format") or payload.get("output_format")))
    _add_thinking(options, get_field(payload, "thinking", dict, {}), output.get("effort"))
    return options


def _check_no_thread(payload: Mapping[str, Any]) -> None:
    """Raise RequestRejected for a conversation that the wire's own server is to keep.

    In the form by which the wire's SDK sees that it has to send the whole conversation instead (anthropic 2.14.0,
    `lib/threads/_thread_state.py`).
    """
    if "thread" in payload:
        raise RequestRejected(
            Failure(
                400,
                "thread: the relay keeps nothing: send the whole conversation as messages",
                param="thread",
                details={"error_code": "thread_unsupported_request"},
            )
        )


def _tool(entry: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A tool in chat completions' form, flat."""
    where = f"tools[{index}]"
    if entry.get("type", "custom") not in ("custom", None):
        raise UnsupportedOptionError(
            f"{where}: the relay carries tools of the client's own only, not {entry['type']!r}", argument="tools"
        )
    callers = entry.get("allowed_callers")
    ignored = {"type", "cache_control", "eager_input_streaming"} | (
        {"allowed_callers"} if callers == ["direct"] else set()
    )
    if entry.get("defer_loading") is False:
        ignored.add("defer_loading")
    known = {"name", "description", "input_schema", "strict"}
    check_known(entry, known | ignored, where, argument="tools")
    if not isinstance(entry.get("input_schema"), dict):
        raise InvalidRequestError(f"{where}: there is no input_schema", argument="tools")
    tool = {name: entry.get(name) for name in ("name", "description", "strict")}
    return {"type": "function", **tool, "parameters": entry["input_schema"]}


def _tool_choice(choice: Mapping[str, Any]) -> tuple[str | None, bool | None]:
    """The library's `tool_choice` and `parallel_tool_calls`."""
    if not choice:
        return None, None
    check_known(choice, {"type", "name", "disable_parallel_tool_use"}, "tool_choice", argument="tool_choice")
    type_, name = choice.get("type"), choice.get("name")
    one_only = get_field(choice, "disable_parallel_tool_use", bool, False)
    if type_ == "tool" and isinstance(name, str):
        found: str | None = name
    else:
        found = {"auto": "auto", "any": "required", "none": "none"}.get(type_) if isinstance(type_, str) else None
    if found is None:
        raise InvalidRequestError(
            "tool_choice: its type is auto, any, none, or tool with a name", argument="tool_choice"
        )
    return found, False if one_only else None


def _response_format(value: Any) -> UncheckedFormat | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") != "json_schema" or not isinstance(value.get("schema"), dict):
        raise InvalidRequestError("output_config.format: a json_schema with its schema", argument="output_config")
    check_known(value, {"type", "schema"}, "output_config.format", argument="output_config")
    return UncheckedFormat(json_schema=value["schema"], strict=True)  # this wire has no other schemas


def _add_thinking(options: CallOptions, thinking: Mapping[str, Any], effort: Any) -> None:
    """Set what concerns reasoning: `thinking`, and `effort` of `output_config`."""
    check_known(thinking, {"type", "budget_tokens", "display"}, "thinking", argument="thinking")
    options.add("thinking_display", thinking.get("display"), tolerated=True)
    options.add("reasoning_effort", effort, tolerated=True)
    type_ = thinking.get("type", "")
    if type_ == "enabled":
        budget = get_field(thinking, "budget_tokens", int, 0)
        options.add("thinking", budget, tolerated=True)
        options.alternatives["thinking"] = ("reasoning_effort", effort_of_budget(budget))
    elif type_ == "adaptive":  # the model decides, as any does without the option
        options.add("thinking", "adaptive", droppable=True)
    elif type_ == "disabled":
        if effort is None:
            options.add("reasoning_effort", "none", droppable=True)
    elif type_:
        raise InvalidRequestError("thinking: its type is enabled, adaptive or disabled", argument="thinking")


# --- messages -------------------------------------------------------------------------------------------------------


def _messages(payload: Mapping[str, Any]) -> list[Message]:
    """The system text, and the turns: each is one message, or several where a user's turn has results of tools."""
    messages = []
    system = payload.get("system")
    if system:
        messages.append(parse_message({"role": "system", "content": _content(system, "system", ("text",))}, "system"))
    for index, entry in enumerate(get_objects(payload, "messages")):
        where = f"messages[{index}]"
        check_known(entry, {"role", "content"}, where, argument="messages")
        split = {"user": _user, "assistant": _assistant, "system": _system}.get(str(entry.get("role")))
        if split is None:
            raise InvalidRequestError(f"{where}: its role is user or assistant", argument="messages")
        messages.extend(parse_message(message, where) for message in split(entry.get("content"), where))
    if not messages or not payload["messages"]:
        raise InvalidRequestError("messages is empty: there is nothing to answer", argument="messages")
    return messages


def _blocks(content: Any, where: str) -> list[dict[str, Any]]:
    """A turn's content as blocks, also where it is plain text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise InvalidRequestError(f"{where}: the content is text or a list of blocks", argument=where.partition("[")[0])
    return content


def _system(content: Any, where: str) -> Iterator[dict[str, Any]]:
    yield {"role": "system", "content": _content(content, where, ("text",))}


def _user(content: Any, where: str) -> Iterator[dict[str, Any]]:
    """A user's turn: each result of a tool is a message of its own."""
    others: list[dict[str, Any]] = []
    for block in _blocks(content, where):
        if block.get("type") != "tool_result":
            others.append(block)
            continue
        if others:
            yield {"role": "user", "content": _content(others, where)}
            others = []
        known = {"type", "tool_use_id", "content", "is_error", "cache_control"}
        check_known(block, known, f"{where}: tool_result", argument="messages")
        result = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "is_error": block.get("is_error")}
        yield {**result, "content": _content(block.get("content") or "", where)}
    if others or not content:
        yield {"role": "user", "content": _content(others, where)}


def _assistant(content: Any, where: str) -> Iterator[dict[str, Any]]:
    """An answer, with its calls and its reasoning; signed, also as it is, for an upstream of the same wire."""
    texts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    thinking: list[str] = []
    signed = False
    blocks = _blocks(content, where)
    for block in blocks:
        type_ = block.get("type")
        if type_ == "tool_use":
            check_known(block, {"type", "id", "name", "input", "caller", "cache_control"}, where, argument="messages")
            if not isinstance(block.get("input"), dict):
                raise InvalidRequestError(f"{where}: the input of a tool_use is an object", argument="messages")
            calls.append({"id": block.get("id"), "name": block.get("name"), "arguments": block["input"]})
        elif type_ == "thinking":
            thinking.append(get_field(block, "thinking", str, ""))
            signed = signed or bool(block.get("signature"))
        elif type_ == "redacted_thinking":
            signed = True
        else:
            texts.append({name: value for name, value in block.items() if name != "citations"})
    message: dict[str, Any] = {"role": "assistant", "content": _content(texts, where, ("text",)) if texts else None}
    message |= {"tool_calls": calls or None, "reasoning": "".join(thinking) or None}
    if signed:  # Anthropic rejects unsigned thinking, which is another provider's
        message["provider_data"] = {PROVIDER_DATA_KEY: blocks}
    if not texts and not calls:
        message["content"] = ""
    yield message


def _content(content: Any, where: str, types: Sequence[str] = ("text", "image", "document")) -> Any:
    """Blocks as text, where they are only that, or as parts."""
    if isinstance(content, str):
        return content
    blocks = _blocks(content, where)
    for block in blocks:
        if block.get("type") not in types:
            raise UnsupportedOptionError(
                f"{where}: the relay does not carry a block of type {block.get('type')!r} there",
                argument=where.partition("[")[0],
            )
    parts = [_part(block, where) for block in blocks]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _part(block: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A block as a part in the library's form."""
    type_, argument = block["type"], where.partition("[")[0]
    if type_ == "text":
        check_known(block, {"type", "text", "cache_control"}, where, argument=argument)
        return {"type": "text", "text": block.get("text")}
    known = {"type", "source", "cache_control", *(("title",) if type_ == "document" else ())}
    if block.get("citations") == {"enabled": False}:
        known.add("citations")
    check_known(block, known, f"{where}: {type_}", argument=argument)
    source = get_field(block, "source", dict, {})
    source_type = source.get("type")
    part: dict[str, Any] = {"type": "image" if type_ == "image" else "file"}
    if block.get("title") is not None:
        part["name"] = block["title"]
    if source_type == "url":
        return part | {"url": source.get("url")}
    if source_type == "base64":
        return part | {"data": source.get("data"), "media_type": source.get("media_type")}
    if source_type == "text" and type_ == "document":
        return part | {"data": get_field(source, "data", str, "").encode(), "media_type": "text/plain"}
    raise UnsupportedOptionError(
        f"{where}: the relay does not carry a source of type {source_type!r}", argument=argument
    )
