"""Decoders of Anthropic's replies, streams and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.anthropic.blocks import Block, Blocks, TokenCounts
from llmclients.codecs.base import decode_json, is_json, no_object, read_torn_event
from llmclients.codecs.bodies import ReplyDecoder, last_chunks
from llmclients.codecs.errors import STATUS_BY_CODE, error_event, parse_error_body, status_error
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_optional_str, get_str, unexpected_type
from llmclients.errors import APIStatusError, StreamInterruptedError
from llmclients.types.limits import MAX_UNCHECKED_BYTES, check_json_values
from llmclients.types.response import Chunk, FinishReason, ToolCallDelta, make_chunk, make_text_chunk

__all__ = ["decode_error", "decode_reply", "make_decoder"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "compaction": "pause",  # of the beta API: the older messages became a summary, and the answer is yet to come
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "stop": "stop",  # this word and the next two are of chat completions, from which some gateways translate
    "length": "length",
    "tool_calls": "tool_calls",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. The value itself is in `raw`."""

_STATUSES = STATUS_BY_CODE | {"billing_error": 402, "request_too_large": 413, "timeout_error": 504}


# --- errors ---------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an HTTP status; its body may name the request."""
    return status_error(status, headers, body, request_id=_request_id(parse_error_body(body)))


def _error_event(payload: dict[str, Any]) -> APIStatusError:
    """The error that came inside a 200."""
    return error_event(payload, statuses=_STATUSES, request_id=_request_id(payload))


def _request_id(payload: Any) -> str | None:
    return get_optional_str(payload, "request_id") if isinstance(payload, dict) else None


# --- replies --------------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> Chunk:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    if payload.get("type") == "error" or payload.get("error"):
        raise _error_event(payload)
    content = payload.get("content")
    if type(content) is not list:
        raise unexpected_type("content", content)
    blocks = Blocks()
    started = [block for index, entry in enumerate(content) if (block := blocks.start(index, entry))]
    calls = [
        ToolCallDelta(index=block.call_index, id=block.id, name=block.name, arguments=block.initial_input or "{}")
        for block in started
        if block.is_call
    ]
    return make_chunk(
        "".join(block.initial_text for block in started),
        "assistant",
        "".join(block.initial_thinking for block in started) or None,
        calls,
        _finish_reason(payload.get("stop_reason"), blocks, whole=True),
        TokenCounts().take(payload.get("usage")),
        get_optional_str(payload, "model"),
        get_optional_str(payload, "id"),
        payload,
        provider_data=blocks.provider_data(),
        other_parts=[part for block in started for part in block.other_parts],
    )


def _finish_reason(value: Any, blocks: Blocks, *, whole: bool = False) -> FinishReason | None:
    """The finish reason; None where the wire has none yet. The call of the answer's own tool is no call.

    Calls count for more than `end_turn`.
    """
    if value is None:
        return "tool_calls" if whole and blocks.has_calls else None
    if type(value) is not str:
        raise unexpected_type("stop_reason", value)
    reason = FINISH_REASONS.get(value.lower(), "error")
    if reason == "tool_calls" and blocks.has_answer:
        return "stop"
    return "tool_calls" if reason == "stop" and blocks.has_calls and not blocks.has_answer else reason


# --- streams --------------------------------------------------------------------------------------------------------


def make_decoder(content_type: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a reply to `"stream": true`: an error may be one plain JSON body all the same."""
    return ReplyDecoder(decode_reply, EventDecoder()) if is_json(content_type) else EventDecoder()


class EventDecoder:
    """A stream of events to chunks: one for each event that brings something, none for pings and ends of blocks.

    `blocks.py` explains how blocks are put together.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder()
        self._blocks = Blocks()
        self._counts = TokenCounts()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for event_type, event in () if self.done else self._events.feed(data):
            if len(event) > MAX_UNCHECKED_BYTES:
                check_json_values(event, "event")
            try:
                payload = from_json(event)
            except ValueError as error:
                if not event:
                    continue
                payload = read_torn_event(event, error)
            if type(payload) is not dict:
                raise no_object(payload, event, "an event of the stream")
            if event_type == "error":
                raise _error_event(payload)
            event_type = payload.get("type") or event_type
            if event_type == "content_block_delta":
                delta = payload.get("delta")
                if type(delta) is dict and delta.get("type") == "text_delta":
                    text = delta.get("text")
                    if type(text) is str:  # nearly every event of every stream
                        self._blocks.at(payload.get("index")).add(text)
                        yield make_text_chunk(text, None, None, payload)
                        continue
                yield self._delta(payload, delta)
            elif event_type == "message_stop":
                self.done = True
                return
            elif (chunk := self._other(event_type, payload)) is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        yield from last_chunks(self, self._events, decode_reply)
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, message_stop")

    def _delta(self, payload: dict[str, Any], delta: Any) -> Chunk:
        """The chunk of a delta of any type."""
        if type(delta) is not dict:
            raise unexpected_type("delta", delta)
        block = self._blocks.at(payload.get("index"))
        delta_type = delta.get("type")
        text, reasoning = "", ""
        calls: Sequence[ToolCallDelta] = ()
        if delta_type == "input_json_delta":
            piece = get_str(delta, "partial_json")
            new = block.add_input(piece)
            if block.is_answer:
                text = new
            elif block.is_call:
                calls = (ToolCallDelta(index=block.call_index, arguments=new),)
        elif delta_type == "thinking_delta":
            reasoning = get_optional_str(delta, "thinking") or ""
            block.add(reasoning)
        elif delta_type == "text_delta":
            raise unexpected_type("delta.text", delta.get("text"))
        else:
            self._blocks.amend(block, delta)
        return make_chunk(text, None, reasoning or None, calls, raw=payload)

    def _other(self, event_type: Any, payload: dict[str, Any]) -> Chunk | None:
        """The chunk of an event that is no delta of a block, where it brings something."""
        if event_type == "content_block_start":
            block = self._blocks.start(payload.get("index"), payload.get("content_block"))
            return None if block is None else self._started(block, payload)
        if event_type == "content_block_stop":
            return self._ended(self._blocks.at(payload.get("index")), payload)
        if event_type == "message_start":
            message = payload.get("message")
            if type(message) is not dict:
                raise unexpected_type("message", message)
            return make_chunk(
                role="assistant",
                usage=self._counts.take(message.get("usage")),
                model=get_optional_str(message, "model"),
                id=get_optional_str(message, "id"),
                raw=payload,
            )
        if event_type == "message_delta":
            delta = payload.get("delta")
            if type(delta) is not dict:
                raise unexpected_type("delta", delta)
            reason = _finish_reason(delta.get("stop_reason"), self._blocks)
            return make_chunk(
                finish_reason=reason,
                usage=self._counts.take(payload.get("usage")),
                raw=payload,
                provider_data=self._blocks.provider_data() if reason is not None else None,
            )
        if event_type == "error" or (event_type == "message" and payload.get("error")):
            raise _error_event(payload)
        return None

    def _started(self, block: Block, payload: dict[str, Any]) -> Chunk:
        """What a block starts with. The input of a call is a place-holder, unless nothing comes after it."""
        calls = (ToolCallDelta(index=block.call_index, id=block.id, name=block.name),) if block.is_call else ()
        text = "" if block.is_answer else block.initial_text
        return make_chunk(text, None, block.initial_thinking or None, calls, raw=payload, other_parts=block.other_parts)

    def _ended(self, block: Block, payload: dict[str, Any]) -> Chunk | None:
        """The whole input of a call, where it came with the call's start after all."""
        whole = block.end()
        if not whole:
            return None
        if block.is_answer:
            return make_chunk(whole, raw=payload)
        return make_chunk(tool_calls=(ToolCallDelta(index=block.call_index, arguments=whole),), raw=payload)
