"""`gemini` from the server's side: the requests of generateContent and streamGenerateContent.

The wire: docs/protocols/gemini.md, "Gemini". The model and whether the answer is a stream stand in the address, so
there is a codec for each kind of answer. Names are taken in camel case and with underscores, as the API takes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.call_ids import CallIds
from llmclients.relay.codecs.gemini_reply import (
    PROVIDER_DATA_KEY,
    ObjectEncoder,
    count_body,
    error_body,
    model_body,
    models_body,
    reply_body,
)
from llmclients.relay.codecs.gemini_schema import json_schema
from llmclients.relay.codecs.json_fields import check_known, check_no_op, decode_json, get_field, get_objects
from llmclients.relay.codecs.request import (
    CallOptions,
    UncheckedFormat,
    effort_of_budget,
    parse_message,
    parse_tools,
)
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["GeminiCountCodec", "GeminiEventsCodec", "GeminiListCodec", "GeminiServerCodec"]

IGNORED_FIELDS = frozenset({"labels", "model", "serviceTier", "store"})
"""Fields about bookkeeping, cost and speed, never about what is asked: read by nobody here."""
_KNOWN_FIELDS = IGNORED_FIELDS | {
    *("cachedContent", "contents", "generationConfig", "safetySettings", "systemInstruction", "toolConfig", "tools"),
}
_OPTION_NAMES = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_tokens",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
"""The library's names of the members of `generationConfig` whose values have the same form."""
_PARSED = frozenset(
    {"responseMimeType", "responseSchema", "responseJsonSchema", "stopSequences", "thinkingConfig", "mediaResolution"}
)
_NO_OP_VALUES: dict[str, tuple[Any, ...]] = {
    "candidateCount": (1,),
    "responseModalities": (["TEXT"], ["text"], []),
}
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}
_UNDERSCORE = re.compile(r"_([a-z])")


class GeminiServerCodec(ServerCodec):
    """Whole answers, or in a subclass streams."""

    name: ClassVar[str] = "gemini"
    prefix: ClassVar[str] = "/gemini"
    path: ClassVar[str] = "/v1beta/models/{model}:generateContent"
    stream_type: ClassVar[str] = "text/event-stream"
    reply_type: ClassVar[str] = "application/json; charset=utf-8"
    id_prefix: ClassVar[str] = ""
    unread_fields: ClassVar[frozenset[str]] = IGNORED_FIELDS
    is_stream: ClassVar[bool] = False
    has_events: ClassVar[bool] = True
    """Whether a stream is one of events; else it is one list of objects."""

    def plain_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The wire has a header of its own for the key."""
        key = headers.get("x-goog-api-key")
        return headers if key is None else {**headers, "x-api-key": key}

    def decode(self, body: bytes) -> RelayedCall:
        payload = _camel(decode_json(body))
        check_known(payload, _KNOWN_FIELDS, "")
        options = _options(payload)
        return RelayedCall(messages=_messages(payload), stream=self.is_stream, **options.call_fields())

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response, meta)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> ObjectEncoder:
        return ObjectEncoder(meta, events=self.has_events)

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)

    def encode_models(self, names: Iterable[str]) -> bytes:
        return models_body(names)

    def encode_model(self, name: str, abilities: Iterable[str]) -> bytes:
        return model_body(name)

    def encode_count(self, tokens: int) -> bytes:
        return count_body(tokens)


class GeminiEventsCodec(GeminiServerCodec):
    """Streams of events."""

    path: ClassVar[str] = "/v1beta/models/{model}:streamGenerateContent"
    is_stream: ClassVar[bool] = True


class GeminiListCodec(GeminiEventsCodec):
    """Streams that are one list."""

    stream_type: ClassVar[str] = GeminiServerCodec.reply_type
    has_events: ClassVar[bool] = False


class GeminiCountCodec(GeminiServerCodec):
    """A request to be counted: its contents, or all of it in a member of its own."""

    def decode(self, body: bytes) -> RelayedCall:
        payload = _camel(decode_json(body))
        inner = get_field(payload, "generateContentRequest", dict, payload)
        return super().decode(json.dumps(inner).encode())


def _camel(payload: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its members' names in camel case, without those that are null."""
    return {
        _UNDERSCORE.sub(lambda found: found[1].upper(), name): value
        for name, value in payload.items()
        if value is not None
    }


def _inner(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    return _camel(get_field(payload, name, dict, {}))


# --- options --------------------------------------------------------------------------------------------------------


def _options(payload: Mapping[str, Any]) -> CallOptions:
    config = _inner(payload, "generationConfig")
    options = CallOptions()
    for name, value in config.items():
        if name in _OPTION_NAMES:
            options.add(_OPTION_NAMES[name], value)
        elif name not in _PARSED:
            check_no_op(name, value, _NO_OP_VALUES)
    options.add_stop(get_field(config, "stopSequences", list, []))
    options.add("response_format", _response_format(config))
    options.add_tools(parse_tools(list(_functions(payload))), _tool_choice(payload), None)
    options.add("safety_settings", payload.get("safetySettings") or None, tolerated=True)
    options.add("cached_content", payload.get("cachedContent"))
    _add_thinking(options, _inner(config, "thinkingConfig"))
    return options


def _response_format(config: Mapping[str, Any]) -> UncheckedFormat | None:
    schema = config.get("responseJsonSchema")
    if schema is None and (subset := config.get("responseSchema")) is not None:
        schema = json_schema(subset)
    if schema is not None and not isinstance(schema, dict):
        raise InvalidRequestError("generationConfig: a schema is an object", argument="generationConfig")
    media_type = config.get("responseMimeType", "text/plain")
    if media_type == "application/json":
        return UncheckedFormat(json_schema=schema)
    if media_type != "text/plain":
        raise UnsupportedOptionError(
            "responseMimeType: the relay carries text/plain and application/json", argument="generationConfig"
        )
    return None


def _functions(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The declared functions, in chat completions' form."""
    for index, entry in enumerate(get_objects(payload, "tools", optional=True)):
        where = f"tools[{index}]"
        tool = _camel(entry)
        for name in tool.keys() - {"functionDeclarations"}:
            raise UnsupportedOptionError(f"{where}: only the wire's own server has {name}", argument="tools")
        for declared in get_objects(tool, "functionDeclarations", optional=True):
            function = _camel(declared)
            known = {"name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"}
            check_known(function, known | {"behavior"}, where, argument="tools")
            parameters = function.get("parametersJsonSchema") or json_schema(function.get("parameters"))
            found = {"name": function.get("name"), "description": function.get("description")}
            yield {"type": "function", **found, **({"parameters": parameters} if parameters else {})}


def _tool_choice(payload: Mapping[str, Any]) -> str | None:
    config = _inner(_inner(payload, "toolConfig"), "functionCallingConfig")
    names = get_field(config, "allowedFunctionNames", list, [])
    mode = config.get("mode")
    found = _MODES.get(mode.upper()) if isinstance(mode, str) else None
    if mode is not None and found is None:
        raise InvalidRequestError(f"toolConfig: its mode is one of {', '.join(_MODES)}", argument="toolConfig")
    if found == "required" and len(names) == 1 and isinstance(names[0], str):
        return str(names[0])
    if names:
        raise UnsupportedOptionError("toolConfig: the relay carries the name of one function", argument="toolConfig")
    return found


def _add_thinking(options: CallOptions, thinking: Mapping[str, Any]) -> None:
    check_known(thinking, {"includeThoughts", "thinkingBudget", "thinkingLevel"}, "thinkingConfig", argument="thinking")
    options.add("include_thoughts", thinking.get("includeThoughts"), droppable=True)
    level = get_field(thinking, "thinkingLevel", str, "").lower()
    budget = thinking.get("thinkingBudget")
    if level:
        options.add("reasoning_effort", level, tolerated=True)
    elif budget == 0:
        options.add("reasoning_effort", "none", droppable=True)
    elif budget is not None:
        tokens = get_field(thinking, "thinkingBudget", int, 0)
        options.add("thinking_budget", tokens, droppable=tokens < 0, tolerated=True)  # -1: as the model decides
        options.alternatives["thinking_budget"] = ("reasoning_effort", effort_of_budget(tokens))


# --- messages -------------------------------------------------------------------------------------------------------


def _messages(payload: Mapping[str, Any]) -> list[Message]:
    """The system text, and the turns: each is one message, or several where a user's turn has results of calls."""
    messages, ids = [], CallIds()
    system = payload.get("systemInstruction")
    if system is not None:
        parts = [{"text": system}] if isinstance(system, str) else _parts(system, "systemInstruction")
        text = "".join(str(part.get("text", "")) for part in parts)
        messages.append(parse_message({"role": "system", "content": text}, "systemInstruction"))
    entries = get_objects(payload, "contents")
    for index, entry in enumerate(entries):
        where = f"contents[{index}]"
        role = entry.get("role") or "user"
        parts = _parts(entry, where)
        if role == "model":
            messages.append(parse_message(_answer(parts, where, ids), where))
        elif role in ("user", "function", "tool"):
            messages.extend(parse_message(message, where) for message in _user(parts, where, ids))
        else:
            raise InvalidRequestError(f"{where}: its role is user or model", argument="contents")
    if not entries:
        raise InvalidRequestError("contents is empty: there is nothing to answer", argument="contents")
    return messages


def _parts(entry: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(entry, dict):
        raise InvalidRequestError(f"{where}: it is an object with parts", argument=where.partition("[")[0])
    return [_camel(part) for part in get_objects(entry, "parts", optional=True)]


def _user(parts: list[dict[str, Any]], where: str, ids: CallIds) -> Iterator[dict[str, Any]]:
    others: list[dict[str, Any]] = []
    for part in parts:
        if "functionResponse" not in part:
            others.append(_part(part, where))
            continue
        if others:
            yield {"role": "user", "content": others}
            others = []
        result = _inner(part, "functionResponse")
        known = {"id", "name", "response", "scheduling", "willContinue"}
        check_known(result, known, f"{where}: functionResponse", argument="contents")
        name = get_field(result, "name", str, "")
        yield {"role": "tool", "name": name, "tool_call_id": ids.answered(name, result.get("id")), **_result(result)}
    if others or not parts:
        yield {"role": "user", "content": others or ""}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a call has given: `output` or `error`, by custom, or any object."""
    response = get_field(result, "response", dict, {})
    error = response.get("error") if response.keys() == {"error"} else None
    value = error if error is not None else response.get("output") if response.keys() == {"output"} else response
    content = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"content": content, **({"is_error": True} if error is not None else {})}


def _answer(parts: list[dict[str, Any]], where: str, ids: CallIds) -> dict[str, Any]:
    """A model's turn, with its calls and its thoughts; signed, also as it is, for an upstream of the same wire."""
    text, thoughts = "", ""
    calls: list[dict[str, Any]] = []
    for part in parts:
        if "functionCall" in part:
            call = _inner(part, "functionCall")
            name = get_field(call, "name", str, "")
            calls.append({"id": ids.begin(name, call.get("id")), "name": name, "arguments": call.get("args") or {}})
        elif part.get("thought"):
            thoughts += get_field(part, "text", str, "")
        else:
            check_known(part, {"text", "thought", "thoughtSignature"}, where, argument="contents")
            text += get_field(part, "text", str, "")
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    message |= {"reasoning": thoughts or None, "tool_calls": calls or None}
    if any("thoughtSignature" in part for part in parts):
        message["provider_data"] = {PROVIDER_DATA_KEY: parts}
    return message


def _part(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A part of a user's turn in the library's form."""
    members = dict.fromkeys(part.keys() - {"thought", "thoughtSignature", "mediaResolution", "partMetadata"})
    if members.keys() == {"text"}:
        return {"type": "text", "text": part["text"]}
    if members.keys() not in ({"inlineData"}, {"fileData"}):
        raise UnsupportedOptionError(
            f"{where}: the relay does not carry a part of {', '.join(sorted(members)) or 'nothing'}",
            argument="contents",
        )
    data = _inner(part, *members)
    media_type = get_field(data, "mimeType", str, "")
    kind = media_type.partition("/")[0]
    found: dict[str, Any] = {"type": kind if kind in ("image", "audio") else "file", "media_type": media_type or None}
    if data.get("displayName") and found["type"] == "file":
        found["name"] = data["displayName"]
    if "inlineData" in members:
        return found | {"data": data.get("data")}
    return found | {"url": data.get("fileUri")}
