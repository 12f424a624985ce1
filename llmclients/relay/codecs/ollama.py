"""`ollama` from the server's side: the requests of Ollama's chat, and of its older completion of one prompt.

The wire: docs/protocols/ollama.md, "Ollama". Requests stream unless they say otherwise. Options of a model's own server
(its memory, its context, how long it stays loaded) go on to an upstream provider that is an Ollama, too; to another one
they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.call_ids import CallIds
from llmclients.relay.codecs.json_fields import check_known, decode_json, get_field, get_name, get_objects
from llmclients.relay.codecs.ollama_reply import (
    CHAT,
    GENERATE,
    AnswerLayout,
    LineEncoder,
    error_body,
    loaded_body,
    loaded_models_body,
    model_body,
    models_body,
    reply_body,
)
from llmclients.relay.codecs.request import CallOptions, UncheckedFormat, parse_message, parse_tools
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

__all__ = ["OllamaGenerateCodec", "OllamaLoadedCodec", "OllamaServerCodec"]

_OPTION_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""The library's names of sampling options, by the wire's."""
_MACHINE_OPTIONS = frozenset(
    {
        "f16_kv",
        "low_vram",
        "main_gpu",
        "num_batch",
        "num_gpu",
        "num_keep",
        "num_thread",
        "numa",
        "use_mlock",
        "use_mmap",
    }
    | {"logits_all", "vocab_only"}
)
"""Options of `options` about the machine that a model runs on: read by nobody here."""
_NO_LIMIT = (-1, -2)
"""The values of `num_predict` that set no limit."""
_URLENCODED = "application/x-www-form-urlencoded"
_OF_PAGES = frozenset({"origin", "referer", "sec-fetch-mode", "sec-fetch-site"})
"""Headers that browsers add to a page's requests, and programs do not."""
_SHARED = frozenset(
    {"model", "stream", "options", "format", "think", "keep_alive", "logprobs", "top_logprobs", "truncate", "shift"}
)


class OllamaServerCodec(ServerCodec):
    """Chats. The model that is named is the model that is asked for."""

    name: ClassVar[str] = "ollama"
    prefix: ClassVar[str] = "/ollama"
    path: ClassVar[str] = "/api/chat"
    stream_type: ClassVar[str] = "application/x-ndjson"
    reply_type: ClassVar[str] = "application/json; charset=utf-8"
    layout: ClassVar[AnswerLayout] = CHAT

    def plain_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Some of the wire's programs do not say that their body is JSON, and curl says that it is a form.

        A page could send such a request unasked; but a browser says of each request of a page's where that is from.
        """
        if headers.get("content-type", _URLENCODED) != _URLENCODED or not _OF_PAGES.isdisjoint(headers):
            return headers
        return {**headers, "content-type": "application/json"}

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        check_known(payload, _SHARED | {"messages", "tools"}, "")
        options = _options(payload)
        options.add_tools(parse_tools(get_objects(payload, "tools", optional=True)), None, None)
        entries = get_objects(payload, "messages", optional=True)
        return self._call(payload, options, list(_messages(entries)))

    def _call(self, payload: Mapping[str, Any], options: CallOptions, messages: list[Message]) -> RelayedCall:
        model = get_name(payload, "model")
        return RelayedCall(
            messages=messages,
            model=model,
            stream=get_field(payload, "stream", bool, True),
            ready=None if messages else loaded_body(self.layout, model, unloaded=payload.get("keep_alive") in (0, "0")),
            **options.call_fields(),
        )

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response, meta, self.layout)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> LineEncoder:
        return LineEncoder(meta, self.layout)

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)

    def encode_models(self, names: Iterable[str]) -> bytes:
        return models_body(names)

    def encode_model(self, name: str, abilities: Iterable[str]) -> bytes:
        return model_body(name, abilities)


class OllamaGenerateCodec(OllamaServerCodec):
    """One prompt, without a chat around it."""

    path: ClassVar[str] = "/api/generate"
    layout: ClassVar[AnswerLayout] = GENERATE

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        for name in ("context", "suffix", "template", "raw"):
            if payload.get(name):
                raise UnsupportedOptionError(
                    f"{name}: the relay carries a prompt and a system text only", argument=name
                )
        check_known(payload, _SHARED | {"prompt", "system", "images", "context", "suffix", "template", "raw"}, "")
        prompt, images = get_field(payload, "prompt", str, ""), get_field(payload, "images", list, [])
        messages = []
        if prompt or images:
            if system := get_field(payload, "system", str, ""):
                messages.append(parse_message({"role": "system", "content": system}, "system"))
            entry = {"role": "user", "content": prompt, "images": images}
            messages.append(parse_message({"role": "user", "content": _content(entry, "prompt")}, "prompt"))
        return self._call(payload, _options(payload), messages)


class OllamaLoadedCodec(OllamaServerCodec):
    """The list of the models that are loaded: here all, as no call of any of them has to wait for it."""

    def encode_models(self, names: Iterable[str]) -> bytes:
        return loaded_models_body(names)


# --- options --------------------------------------------------------------------------------------------------------


def _options(payload: Mapping[str, Any]) -> CallOptions:
    options = CallOptions()
    for name, value in get_field(payload, "options", dict, {}).items():
        if value is None or name in _MACHINE_OPTIONS:
            continue
        if name in _OPTION_NAMES:
            options.add(_OPTION_NAMES[name], value)
        elif name == "num_predict":
            options.add("max_tokens", None if value in _NO_LIMIT else value)
        elif name == "stop":
            options.add_stop(value)
        elif name == "num_ctx":
            options.add("num_ctx", value, droppable=True)
        else:
            raise UnsupportedOptionError(f"options: the relay does not know the member {name}", argument="options")
    options.add("keep_alive", payload.get("keep_alive"), droppable=True)
    options.add("response_format", _response_format(payload.get("format")))
    options.add("logprobs", payload.get("logprobs") or None)
    options.add("top_logprobs", payload.get("top_logprobs") or None)
    _add_thinking(options, payload.get("think"))
    return options


def _response_format(value: Any) -> UncheckedFormat | None:
    if value in (None, ""):
        return None
    if value == "json":
        return UncheckedFormat(json_schema=None)
    if not isinstance(value, dict):
        raise InvalidRequestError('format: "json", or a schema', argument="format")
    return UncheckedFormat(json_schema=value)


def _add_thinking(options: CallOptions, think: Any) -> None:
    if think is True:
        options.add("reasoning_effort", "medium")
    elif think is False:
        options.add("reasoning_effort", "none", droppable=True)
    elif isinstance(think, str) and think:
        options.add("reasoning_effort", think)
    elif think is not None:
        raise InvalidRequestError("think: true, false, or an effort such as low", argument="think")


# --- messages -------------------------------------------------------------------------------------------------------


def _messages(entries: Iterable[dict[str, Any]]) -> Iterator[Message]:
    ids = CallIds()
    for index, entry in enumerate(entries):
        where = f"messages[{index}]"
        known = {"role", "content", "images", "tool_calls", "thinking", "tool_name", "tool_call_id", "name"}
        check_known(entry, known, where, argument="messages")
        message = {"role": entry.get("role"), "content": _content(entry, where)}
        if message["role"] == "assistant":
            message["reasoning"] = entry.get("thinking") or None
            calls = entry.get("tool_calls") or []
            message["tool_calls"] = [_call(call, where, ids) for call in _list(calls, where)] or None
            if not message["content"]:
                message["content"] = None if message["tool_calls"] else ""
        elif message["role"] == "tool":
            name = entry.get("tool_name") or entry.get("name") or ""
            message["name"] = name or None
            message["tool_call_id"] = ids.answered(str(name), entry.get("tool_call_id"))
        yield parse_message(message, where)


def _content(entry: Mapping[str, Any], where: str) -> Any:
    """A message's text, with its images after it."""
    content, images = entry.get("content"), entry.get("images") or []
    if not images:
        return content
    parts = [{"type": "text", "text": content}] if content else []
    for image in _list(images, where):
        if not isinstance(image, str):
            raise InvalidRequestError(f"{where}: an image is base64", argument=where.partition("[")[0])
        parts.append({"type": "image", "data": image.partition(",")[2] if image.startswith("data:") else image})
    return parts


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidRequestError(f"{where}: images and tool_calls are lists", argument=where.partition("[")[0])
    return value


def _call(call: Any, where: str, ids: CallIds) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    fields = function if isinstance(function, dict) else {}
    if not isinstance(fields.get("name"), str) or not isinstance(fields.get("arguments"), dict | None):
        raise InvalidRequestError(
            f"{where}: a call has a function with its name, and an object of arguments", argument="messages"
        )
    name = fields["name"]
    return {"id": ids.begin(name, call.get("id")), "name": name, "arguments": fields.get("arguments") or {}}
