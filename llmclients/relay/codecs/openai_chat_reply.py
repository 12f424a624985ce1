"""Chat completions' replies, streams and errors from the server's side.

The wire: docs/protocols/openai-chat.md, "OpenAI chat completions".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llmclients.relay.codecs.base import RelayedCall, ReplyMeta
from llmclients.relay.codecs.blocks import PendingCall
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.errors import Failure
from llmclients.types.choice import weightier_reason
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

__all__ = [
    "PROVIDER_DATA_KEY",
    "EventEncoder",
    "error_body",
    "error_payload",
    "reply_body",
    "token_bytes",
]

PROVIDER_DATA_KEY = "openai"
"""Under this name a message's `provider_data` has the fields that chat completions want back unchanged."""

_MAX_MODEL_NAME = 256  # each event has it again
_MARK = '"'  # behind the text, an event has nothing that JSON writes the same


# --- errors ---------------------------------------------------------------------------------------------------------


def error_payload(failure: Failure) -> dict[str, Any]:
    """An error, as the body of an error status and the event inside a stream have it."""
    error = {"message": failure.message, "type": failure.error_type, "param": failure.param, "code": failure.code}
    return {"error": error}


def error_body(failure: Failure) -> bytes:
    """The JSON body of an error status."""
    return encode_json(error_payload(failure))


# --- a whole reply --------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, meta: ReplyMeta) -> bytes:
    """A whole reply, as JSON."""
    message: dict[str, Any] = {"role": "assistant", "content": response.text}
    if response.reasoning:
        message["reasoning_content"] = response.reasoning
    if response.tool_calls:
        message["content"] = response.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_text},
                **_call_members(call.provider_data),
            }
            for call in response.tool_calls
        ]
    message |= _provider_data_fields(response.provider_data)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(response.logprobs) if response.logprobs else None,
        "finish_reason": _finish_reason(response.finish_reason),
    }
    payload: dict[str, Any] = {
        "id": meta.id,
        "object": "chat.completion",
        "created": meta.created,
        "model": response.model or meta.model,
        "choices": [choice],
    }
    if response.usage is not None:
        payload["usage"] = usage_payload(response.usage)
    return encode_json(payload)


def _provider_data_fields(provider_data: dict[str, Any] | None) -> dict[str, Any]:
    """What another server of this wire wants back with the next turn: signed or encrypted reasoning."""
    fields = (provider_data or {}).get(PROVIDER_DATA_KEY)
    return {"reasoning_details": fields["reasoning_details"]} if fields and "reasoning_details" in fields else {}


def _call_members(provider_data: dict[str, Any] | None) -> dict[str, Any]:
    """What another server of this wire wants back with a call."""
    members = (provider_data or {}).get(PROVIDER_DATA_KEY)
    return {name: members[name] for name in members if name != "function"} if isinstance(members, dict) else {}


def _logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    content = [_logprob(entry) | {"top_logprobs": [_logprob(other) for other in entry.top]} for entry in entries]
    return {"content": content, "refusal": None}


def _logprob(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.token, "logprob": entry.logprob, "bytes": token_bytes(entry)}


def token_bytes(entry: TokenLogprob) -> list[int] | None:
    """A token's bytes; None for one that is a part of a character: it has no text, and its bytes are not known."""
    try:
        return None if "\ufffd" in entry.token else list(entry.token.encode())
    except UnicodeEncodeError:
        return None


def _finish_reason(reason: FinishReason | None) -> str:
    """The library's words are this wire's. A complete answer that names no reason can only be said to have stopped.

    A paused one is not complete, and `length` is what the wire has for that.
    """
    return "length" if reason == "pause" else reason or "stop"


def usage_payload(usage: Usage) -> dict[str, Any]:
    """The token counts that are known: none is an estimate."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return {name: value for name, value in counts.items() if value is not None}


# --- a stream -------------------------------------------------------------------------------------------------------


class EventEncoder:
    """A stream of events, each a chunk of chat completions; `[DONE]` comes last.

    The finish reason is held until `finish`: clients take it for the end of a good answer, and the upstream's stream
    may still break off after it. So are the token counts, which have an event of their own.
    """

    def __init__(self, call: RelayedCall, meta: ReplyMeta) -> None:
        self._meta = meta
        self._include_usage = call.include_usage
        self._model: str | None = None  # until the first chunk
        self._around_text = (b"", b"")  # the same in each event of nothing but text, which most are
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._begun_calls: set[int] = set()  # their indexes
        self._pending_calls: dict[int, PendingCall] = {}  # by index

    def feed(self, chunk: Chunk) -> bytes:
        self._finish_reason = weightier_reason(self._finish_reason, chunk.finish_reason)
        self._usage = chunk.usage or self._usage
        events = b""
        if self._model is None:
            self._model = (chunk.model or self._meta.model)[:_MAX_MODEL_NAME]
            events = self._event({"role": "assistant", "content": ""})
            before, _, after = self._event({"content": _MARK}).rpartition(encode_json(_MARK))
            self._around_text = before, after
        if chunk.text and not (chunk.reasoning or chunk.tool_calls or chunk.provider_data or chunk.logprobs):
            before, after = self._around_text
            return b"%b%b%b%b" % (events, before, encode_json(chunk.text), after)
        delta: dict[str, Any] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if calls := [_call_delta(piece) for call in chunk.tool_calls for piece in self._ready(call)]:
            delta["tool_calls"] = calls
        if chunk.provider_data is not None:
            delta |= _provider_data_fields(chunk.provider_data)
        return events + self._event(delta, logprobs=chunk.logprobs) if delta else events

    def finish(self) -> bytes:
        calls = [_call_delta(pending.whole()) for pending in self._pending_calls.values()]
        events = self._event({"tool_calls": calls}) if calls else b""
        events += self._event({}, _finish_reason(self._finish_reason))
        if self._include_usage and self._usage is not None:
            events += _data({**self._head(), "choices": [], "usage": usage_payload(self._usage)})
        return events + b"data: [DONE]\n\n"

    def fail(self, failure: Failure) -> bytes:
        return _data(error_payload(failure))

    def _ready(self, delta: ToolCallDelta) -> Iterator[ToolCallDelta]:
        """What can go out: the delta, or with it what had to wait for the call's id and name, or nothing."""
        if delta.index in self._begun_calls:
            yield ToolCallDelta(index=delta.index, arguments=delta.arguments, provider_data=delta.provider_data)
        elif self._pending_calls.setdefault(delta.index, PendingCall(delta.index)).add(delta):
            self._begun_calls.add(delta.index)
            yield self._pending_calls.pop(delta.index).whole()

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._meta.id,
            "object": "chat.completion.chunk",
            "created": self._meta.created,
            "model": self._model or self._meta.model,
        }

    def _event(
        self, delta: dict[str, Any], finish_reason: str | None = None, logprobs: Sequence[TokenLogprob] = ()
    ) -> bytes:
        payload = _logprobs(logprobs) if logprobs else None
        choice = {"index": 0, "delta": delta, "logprobs": payload, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return _data({**self._head(), "choices": [choice], **usage})


def _call_delta(delta: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": delta.arguments}
    if delta.name is not None:
        function = {"name": delta.name, **function}
    opening = {} if delta.id is None else {"id": delta.id, "type": "function"}
    return {"index": delta.index, **opening, "function": function, **_call_members(delta.provider_data)}


def _data(payload: dict[str, Any]) -> bytes:
    return b"data: " + encode_json(payload) + b"\n\n"
