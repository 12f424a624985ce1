"""`openai` from the server's side: chat completions' requests, for `ylokh` and `ai365vip` as well.

The wire: docs/protocols/openai-chat.md, "OpenAI chat completions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import (
    CACHE_MARK,
    check_no_op,
    decode_json,
    get_field,
    get_objects,
    without_cache_mark,
)
from llmclients.relay.codecs.openai_chat_reply import PROVIDER_DATA_KEY, EventEncoder, error_body, reply_body
from llmclients.relay.codecs.request import CallOptions, parse_response_format, parse_tools
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message, as_messages
from llmclients.types.request import TOOL_CHOICES
from llmclients.types.response import ChatResponse

__all__ = ["IGNORED_FIELDS", "OpenAIServerCodec", "parse_messages", "parse_options"]

IGNORED_FIELDS = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Fields about bookkeeping, cost and speed, never about what the answer says: read by nobody here. So is
`stream_options.include_obfuscation`, and `cache_control` on messages, parts and tools."""

# Options that have the library's names on this wire, and values of the same form.
_OPTIONS = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "reasoning_effort",
        "top_k",
    }
)
_PARSED_FIELDS = frozenset(
    {
        *("messages", "model", "stream", "stream_options"),
        *("max_completion_tokens", "top_logprobs", "response_format"),
        *("parallel_tool_calls", "stop", "tool_choice", "tools"),
    }
)
# Values that ask for nothing that would not happen anyway.
_NO_OP_VALUES: dict[str, tuple[Any, ...]] = {
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "verbosity": ("medium",),
}
# Fields of an assistant's message that mean nothing when clients send it back with their history.
_REPLY_ONLY_FIELDS = frozenset({"annotations", "audio"})


class OpenAIServerCodec(ServerCodec):
    """Chat completions. The model that is named is the model that is asked for."""

    name: ClassVar[str] = "openai"
    prefix: ClassVar[str] = "/openai/v1"
    path: ClassVar[str] = "/chat/completions"
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    reply_type: ClassVar[str] = "application/json"
    unread_fields: ClassVar[frozenset[str]] = IGNORED_FIELDS

    def decode(self, body: bytes) -> RelayedCall:
        payload = decode_json(body)
        stream = get_field(payload, "stream", bool, False)
        include_usage = bool(get_field(payload, "stream_options", dict, {}).get("include_usage"))
        options = parse_options(payload)
        return RelayedCall(
            messages=parse_messages(payload),
            model=get_field(payload, "model", str, "") or None,
            stream=stream,
            include_usage=stream and include_usage,
            **options.call_fields(),
        )

    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        return reply_body(response, meta)

    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> EventEncoder:
        return EventEncoder(call, meta)

    def encode_error(self, failure: Failure) -> bytes:
        return error_body(failure)


# --- options --------------------------------------------------------------------------------------------------------


def parse_options(payload: Mapping[str, Any], wire_options: Iterable[str] = ()) -> CallOptions:
    """The request's options, by the library's names. Whatever would change the answer is carried or rejected.

    Args:
        payload: the request.
        wire_options: options that the wire has besides the usual ones.

    Raises:
        UnsupportedOptionError: naming the field that cannot be carried.
        InvalidRequestError: naming the field that is wrong.
    """
    carried = _OPTIONS.union(wire_options)
    known = carried | _PARSED_FIELDS | IGNORED_FIELDS
    options = CallOptions({name: value for name, value in payload.items() if name in carried})
    for name, value in payload.items():
        if name == "logprobs" and value is True:
            options.add("logprobs", True)
        elif (name == "verbosity" and value != "medium") or (name == "logit_bias" and value != {}):
            options.add(name, value)  # for an upstream provider that has it
        elif name not in known:
            check_no_op(name, value, _NO_OP_VALUES)
    options.add_stop(payload.get("stop"))
    options.add("max_tokens", payload.get("max_completion_tokens"))  # the newer name counts
    options.add("top_logprobs", payload.get("top_logprobs") or None)
    tools = parse_tools([without_cache_mark(tool) for tool in get_objects(payload, "tools", optional=True)])
    options.add_tools(tools, _tool_choice(payload.get("tool_choice")), payload.get("parallel_tool_calls"))
    if "response_format" in payload:
        value = payload["response_format"]
        options.add("response_format", parse_response_format(value, "response_format", nested=True))
    return options


def _tool_choice(choice: Any) -> str | None:
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("function"), dict):
        choice = choice["function"].get("name")
        if isinstance(choice, str) and choice:
            return choice
    elif choice is None or (isinstance(choice, str) and choice in TOOL_CHOICES):
        return choice
    raise InvalidRequestError(
        "tool_choice: the relay carries none, auto, required, or a function with its name", argument="tool_choice"
    )


# --- messages -------------------------------------------------------------------------------------------------------


def parse_messages(payload: Mapping[str, Any]) -> list[Message]:
    """The request's messages.

    Raises:
        InvalidRequestError: there are none, or one of them cannot be sent.
    """
    return as_messages([_message(entry) for entry in get_objects(payload, "messages")])


def _message(entry: dict[str, Any]) -> dict[str, Any]:
    """A message as the library reads one: without fields that are null, an assistant's with its reasoning."""
    message = {name: value for name, value in entry.items() if value is not None and name != CACHE_MARK}
    if isinstance(content := message.get("content"), list):
        message["content"] = [without_cache_mark(part) for part in content]
    if message.get("role") != "assistant":
        return message
    for name in _REPLY_ONLY_FIELDS:
        message.pop(name, None)
    # Servers write either name.
    reasoning = [message.pop(name, "") for name in ("reasoning_content", "reasoning")]
    if found := next(filter(None, reasoning), None):
        message["reasoning"] = found
    if "reasoning_details" in message:  # signed or encrypted, where the upstream provider has this wire, too
        message["provider_data"] = {PROVIDER_DATA_KEY: {"reasoning_details": message.pop("reasoning_details")}}
    declined = message.pop("refusal", None)
    if declined and not message.get("content"):
        message["content"] = declined
    if isinstance(content := message.get("content"), list):
        message["content"] = [_assistant_part(part) for part in content]
    return message


def _assistant_part(part: Any) -> Any:
    """A part of an assistant's content. A refusal is text here."""
    if isinstance(part, dict) and part.get("type") == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    return part
