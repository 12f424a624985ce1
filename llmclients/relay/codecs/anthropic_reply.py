"""Anthropic Messages' replies, streams and errors from the server's side (docs/protocols/anthropic.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import ReplyMeta
from llmclients.relay.codecs.blocks import Block, BlockEncoder, BlockType
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.errors import Failure
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = ["PROVIDER_DATA_KEY", "MessageEncoder", "error_body", "model_entry", "models_body", "reply_body"]

PROVIDER_DATA_KEY = "anthropic"
"""Under this name a message's `provider_data` has its content blocks as this wire has them."""

_STOP_REASONS: dict[FinishReason | None, str] = {
    None: "end_turn",  # a complete answer that names no reason can only be said to have stopped
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
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
    """An error, as the body of an error status and the event inside a stream have it."""
    default = "api_error" if failure.status >= 500 else "invalid_request_error"
    error: dict[str, Any] = {"type": _TYPE_OF_STATUS.get(failure.status, default), "message": failure.message}
    if failure.details is not None:
        error["details"] = failure.details
    return {"type": "error", "error": error, "request_id": failure.request_id}


def error_body(failure: Failure) -> bytes:
    """The JSON body of an error status."""
    return encode_json(error_payload(failure))


def model_entry(name: str) -> dict[str, Any]:
    """One model. When it was made is not known; for that, the wire has the year 1970."""
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}


def models_body(names: Iterable[str]) -> bytes:
    """The list of models."""
    entries = [model_entry(name) for name in names]
    first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
    return encode_json({"data": entries, "has_more": False, "first_id": first, "last_id": last})


# --- a whole reply --------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, meta: ReplyMeta) -> bytes:
    """A whole reply, as JSON.

    Raises:
        APIResponseError: the answer ended in an error, or the arguments of a call are no JSON object: the wire has no
            form for either.
    """
    payload = _message(meta, response.model or meta.model)
    return encode_json(
        payload
        | {
            "content": (response.provider_data or {}).get(PROVIDER_DATA_KEY) or _content(response),
            "stop_reason": _stop_reason(response.finish_reason),
            "usage": usage_payload(response.usage),
        }
    )


def _message(meta: ReplyMeta, model: str) -> dict[str, Any]:
    return {
        "id": meta.id,
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
        calls = calls[:-1]  # `max_tokens` says that the answer was cut; nobody could make half a call
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
        raise APIResponseError("the upstream answer ended in an error")
    return _STOP_REASONS[reason]


def usage_payload(usage: Usage | None) -> dict[str, Any]:
    """The token counts. Where the upstream does not tell one, it is 0: the wire wants a number all the same."""
    usage = usage or Usage()
    cached = usage.cached_tokens
    counts: dict[str, Any] = {
        "input_tokens": max((usage.input_tokens or 0) - (cached or 0), 0),  # on this wire without those from the cache
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

    What only this wire has, such as the signatures of thinking and redacted thinking, passes on where the upstream
    provider has it, too: its events, which chunks have as `raw`, say where it belongs.
    """

    opaque_block: Any = None
    """The block that begins, as the upstream has it, where it is of a type that only this wire's own server has."""

    def head(self) -> bytes:
        message = _message(self.meta, self.model) | {"usage": usage_payload(self.usage)}
        return _event({"type": "message_start", "message": message})

    def begin(self, block: Block, chunk: Chunk | None) -> bytes:
        start: dict[str, Any] = {"type": "text", "text": ""}
        if block.type == "reasoning":
            start = {"type": "thinking", "thinking": "", "signature": ""}
        elif block.type == "opaque":
            start = self.opaque_block
        elif block.type == "call":
            start = {"type": "tool_use", "id": block.call_id, "name": block.name, "input": {}}
        return _start(block.index, start)

    def piece(self, block: Block, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        if block.type == "text":
            return _delta(block.index, {"type": "text_delta", "text": text})
        if block.type == "reasoning":
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
        """The upstream has begun a block. One of text or a call begins here with its first delta."""
        data = self.close()
        type_ = entry.get("type") if isinstance(entry, dict) else None
        if type_ == "thinking":
            return data + self.open("reasoning", None)
        if type_ is None or type_ in ("text", "tool_use"):
            return data
        self.opaque_block = entry
        return data + self.open("opaque", None)

    def _other_delta(self, delta: dict[str, Any]) -> bytes:
        """A delta that brings neither text nor reasoning nor arguments of a call, as it is."""
        type_ = delta.get("type")
        if type_ in ("text_delta", "thinking_delta", "input_json_delta") and not self.is_open("opaque"):
            return b""
        block_type: BlockType = "reasoning" if type_ == "signature_delta" else "text"
        data = b"" if self.is_open(block_type) or self.is_open("opaque") else self.open(block_type, None)
        return data + _delta(self.blocks[-1].index, delta)

    def tail(self) -> bytes:
        delta = {"stop_reason": _stop_reason(self.finish_reason), "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": usage_payload(self.usage)}
        return _event(last) + _event({"type": "message_stop"})

    def fail(self, failure: Failure) -> bytes:
        return _event(error_payload(failure))


def _event(payload: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (payload["type"].encode(), encode_json(payload))


def _start(index: int, block: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})
