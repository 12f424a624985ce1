"""Anthropic Messages from the server's side: answers, streams and errors out (PROTOCOLS 11.2 to 11.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import Stamp, dump
from llmclients.relay.codecs.blocks import Block, BlockEncoder, Kind
from llmclients.relay.errors import Failure
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = ["ECHO", "MessageEncoder", "error_body", "models_body", "reply_body"]

ECHO = "anthropic"
"""Under this name a message's `provider_data` has its content blocks as this wire has them."""

_STOP_REASONS: dict[FinishReason | None, str] = {
    None: "end_turn",  # of a complete answer that names none, it is what can be said
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

_TYPE_OF_STATUS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


# --- errors and models ----------------------------------------------------------------------------------------------


def error_payload(failure: Failure) -> dict[str, Any]:
    usual = "api_error" if failure.status >= 500 else "invalid_request_error"
    error = {"type": _TYPE_OF_STATUS.get(failure.status, usual), "message": failure.message}
    return {"type": "error", "error": error, "request_id": failure.request_id}


def error_body(failure: Failure) -> bytes:
    """The body of an error status."""
    return dump(error_payload(failure))


def models_body(names: Iterable[str]) -> bytes:
    """The answer to the question which models there are. When one was made is not known: the wire's word is 1970."""
    entries = [
        {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"} for name in names
    ]
    first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
    return dump({"data": entries, "has_more": False, "first_id": first, "last_id": last})


# --- a whole answer -------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, stamp: Stamp) -> bytes:
    """A whole answer.

    Raises:
        APIResponseError: it ended in an error, or the arguments of a call are no JSON object: the wire cannot say so.
    """
    payload = _message(stamp, response.model or stamp.model)
    return dump(
        payload
        | {
            "content": (response.provider_data or {}).get(ECHO) or _content(response),
            "stop_reason": _stop_reason(response.finish_reason),
            "usage": usage_payload(response.usage),
        }
    )


def _message(stamp: Stamp, model: str) -> dict[str, Any]:
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {},
    }


def _content(response: ChatResponse) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if response.reasoning:
        # Nobody but Anthropic signs thinking: the empty signature is what the wire itself begins with.
        content.append({"type": "thinking", "thinking": response.reasoning, "signature": ""})
    if response.text:
        content.append({"type": "text", "text": response.text})
    calls = response.tool_calls
    if calls and response.finish_reason == "length" and not _is_whole(calls[-1]):
        calls = calls[:-1]  # `max_tokens` says that the answer was cut; half a call nobody could make
    content.extend({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in calls)
    return content


def _is_whole(call: ToolCall) -> bool:
    try:
        call.arguments  # noqa: B018
    except APIResponseError:
        return False
    return True


def _stop_reason(reason: FinishReason | None) -> str:
    if reason == "error":
        raise APIResponseError("the backing answer ended in an error")
    return _STOP_REASONS[reason]


def usage_payload(usage: Usage | None) -> dict[str, Any]:
    """The counts. Where the provider tells none, the wire wants a number all the same: 0."""
    usage = usage or Usage()
    cached = usage.cached_tokens
    counts: dict[str, Any] = {
        "input_tokens": max((usage.input_tokens or 0) - (cached or 0), 0),  # here without those from the cache
        "output_tokens": usage.output_tokens or 0,
    }
    if cached is not None:
        counts["cache_read_input_tokens"] = cached
    if usage.reasoning_tokens is not None:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


# --- a stream -------------------------------------------------------------------------------------------------------


class MessageEncoder(BlockEncoder):
    """A stream of events.

    What only this wire has, such as the signatures of thinking and redacted thinking, passes on where the backing
    provider speaks it, too: its own events, which chunks have as `raw`, say where it belongs.
    """

    own: Any = None
    """The block of the wire's own that begins."""

    def head(self) -> bytes:
        message = _message(self.stamp, self.model) | {"usage": usage_payload(self.usage)}
        return _event({"type": "message_start", "message": message})

    def begin(self, block: Block, chunk: Chunk | None) -> bytes:
        start: dict[str, Any] = {"type": "text", "text": ""}
        if block.kind == "reasoning":
            start = {"type": "thinking", "thinking": "", "signature": ""}
        elif block.kind == "opaque":
            start = self.own
        elif block.kind == "call":
            start = {"type": "tool_use", "id": block.call_id, "name": block.name, "input": {}}
        return _start(block.index, start)

    def piece(self, block: Block, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        if block.kind == "text":
            return _delta(block.index, {"type": "text_delta", "text": text})
        if block.kind == "reasoning":
            return _delta(block.index, {"type": "thinking_delta", "thinking": text})
        return _delta(block.index, {"type": "input_json_delta", "partial_json": text})

    def end(self, block: Block, *, cut: bool) -> bytes:
        return _stop(block.index)

    def before(self, chunk: Chunk) -> bytes:
        if chunk.raw.get("type") == "content_block_start":
            return self._started(chunk.raw.get("content_block"))
        if chunk.raw.get("type") == "content_block_delta" and isinstance(delta := chunk.raw.get("delta"), dict):
            return self._other_delta(delta)
        return b""

    def _started(self, entry: Any) -> bytes:
        """The backing provider has begun a block. One with text or a call begins here with what it brings."""
        data = self.close()
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind == "thinking":
            return data + self.open("reasoning", None)
        if kind is None or kind in ("text", "tool_use"):
            return data
        self.own = entry
        return data + self.open("opaque", None)

    def _other_delta(self, delta: dict[str, Any]) -> bytes:
        """A delta that brings neither text nor reasoning nor arguments of a call, as it is."""
        kind = delta.get("type")
        if kind in ("text_delta", "thinking_delta", "input_json_delta") and not self.is_open("opaque"):
            return b""
        usual: Kind = "reasoning" if kind == "signature_delta" else "text"
        data = b"" if self.is_open(usual) or self.is_open("opaque") else self.open(usual, None)
        return data + _delta(self.blocks[-1].index, delta)

    def tail(self) -> bytes:
        delta = {"stop_reason": _stop_reason(self.finish_reason), "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": usage_payload(self.usage)}
        return _event(last) + _event({"type": "message_stop"})

    def fail(self, failure: Failure) -> bytes:
        return _event(error_payload(failure))


def _event(payload: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (payload["type"].encode(), dump(payload))


def _start(index: int, block: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})
