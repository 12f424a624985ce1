"""Anthropic Messages in: replies, streams and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from pydantic_core import from_json

from llmclients.codecs.anthropic.blocks import Block, Blocks, TokenCounts
from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import error_message, excerpt, status_error
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_optional_str, get_str, unexpected_type
from llmclients.codecs.openai_chat.reply import ReplyDecoder
from llmclients.errors import APIResponseError, APIStatusError, StreamInterruptedError, status_error_class
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    ToolCallDelta,
    make_chunk,
    make_text_chunk,
)

__all__ = ["decode_reply", "make_decoder", "refused"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # the caller goes on by sending the answer back
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. Its word stays in `raw`."""

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


# --- errors in ------------------------------------------------------------------------------------------------------


def refused(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an error status; its body may name the request."""
    error = status_error(status, headers, body)
    error.request_id = _request_id(error.body)
    return error


def _request_id(payload: Any) -> str | None:
    found = payload.get("request_id") if isinstance(payload, dict) else None
    return found if isinstance(found, str) and found else None


def _raise_error_event(payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200; its type tells whether trying again can help."""
    error = payload.get("error")
    kind = (error if isinstance(error, dict) else payload).get("type")
    status = _STATUS_OF_TYPE.get(kind, 200) if isinstance(kind, str) else 200
    message = error_message(payload) or excerpt(json.dumps(payload).encode())
    raise status_error_class(status)(
        f"the provider reported an error: {message}",
        status_code=status,
        body=payload,
        request_id=_request_id(payload),
    )


# --- replies in -----------------------------------------------------------------------------------------------------


def decode_reply(body: bytes, *, echo_as: str) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    if payload.get("type") == "error" or payload.get("error"):
        _raise_error_event(payload)
    content = payload.get("content")
    if type(content) is not list:
        raise unexpected_type("content", content)
    blocks = Blocks()
    text, reasoning, calls = [], [], []
    for index, entry in enumerate(content):
        block = blocks.start(index, entry)
        text.append(block.whole_text())
        reasoning.append(get_str(entry, "thinking") if block.kind == "thinking" else "")
        if block.is_call:
            calls.append(ToolCall(id=block.id, name=block.name, arguments=block.whole_input() or "{}"))
    return ChatResponse(
        text="".join(text),
        reasoning="".join(reasoning) or None,
        tool_calls=calls,
        finish_reason=_finish_reason(payload.get("stop_reason"), blocks),
        usage=TokenCounts().take(payload.get("usage")),
        model=get_optional_str(payload, "model"),
        id=get_optional_str(payload, "id"),
        raw=payload,
        provider_data=None if (provider_data := blocks.provider_data()) is None else {echo_as: provider_data},
    )


def make_decoder(content_type: str, *, echo_as: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a reply to `"stream": true`: an error may be one plain JSON body all the same."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return ReplyDecoder(partial(decode_reply, echo_as=echo_as))
    return EventDecoder(echo_as)


class EventDecoder:
    """A stream of events to chunks: one for each event that brings something, none for pings and ends of blocks."""

    def __init__(self, echo_as: str) -> None:
        self.done = False
        self._echo_as = echo_as
        self._events = SSEDecoder()
        self._blocks = Blocks()
        self._counts = TokenCounts()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for kind, event in () if self.done else self._events.feed(data):
            try:
                payload = from_json(event)
            except ValueError as error:
                if not event:
                    continue
                raise APIResponseError(f"an event of the stream is not JSON ({error}): {excerpt(event)}") from None
            if type(payload) is not dict:
                raise APIResponseError(f"an event of the stream is not a JSON object: {excerpt(event)}")
            if kind == "error":
                _raise_error_event(payload)
            kind = payload.get("type") or kind
            if kind == "content_block_delta":
                delta = payload.get("delta")
                if type(delta) is dict and delta.get("type") == "text_delta":
                    text = delta.get("text")
                    if type(text) is str:  # nearly every event of every stream
                        self._blocks.at(payload.get("index")).add(text)
                        yield make_text_chunk(text, None, None, payload)
                        continue
                yield self._delta(payload, delta)
            elif kind == "message_stop":
                self.done = True
                return
            elif (chunk := self._other(kind, payload)) is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, message_stop")
        return iter(())

    def _delta(self, payload: dict[str, Any], delta: Any) -> Chunk:
        if type(delta) is not dict:
            raise unexpected_type("delta", delta)
        block = self._blocks.at(payload.get("index"))
        kind = delta.get("type")
        text, reasoning = "", ""
        calls: Sequence[ToolCallDelta] = ()
        if kind == "input_json_delta":
            piece = get_str(delta, "partial_json")
            block.add(piece)
            if block.is_answer:
                text = piece
            elif block.is_call:
                calls = (ToolCallDelta(index=block.call_index, arguments=piece),)
        elif kind == "thinking_delta":
            reasoning = get_str(delta, "thinking")
            block.add(reasoning)
        elif kind == "text_delta":
            raise unexpected_type("delta.text", delta.get("text"))
        else:
            self._blocks.amend(block, delta)
        return make_chunk(text, None, reasoning or None, calls, raw=payload)

    def _other(self, kind: Any, payload: dict[str, Any]) -> Chunk | None:
        """The chunk of an event that is no delta of a block, where it brings something."""
        if kind == "content_block_start":
            block = self._blocks.start(payload.get("index"), payload.get("content_block"))
            calls = (ToolCallDelta(index=block.call_index, id=block.id, name=block.name),) if block.is_call else ()
            # The input of a call that starts is a place-holder, unless nothing comes after it.
            text = "" if block.is_answer else block.whole_text()
            return make_chunk(text, None, block.thinking or None, calls, raw=payload)
        if kind == "content_block_stop":
            return self._ended(self._blocks.at(payload.get("index")), payload)
        if kind == "message_start":
            message = payload.get("message")
            if type(message) is not dict:
                raise unexpected_type("message", message)
            usage = self._counts.take(message.get("usage"))
            return make_chunk(
                "",
                "assistant",
                usage=usage,
                model=get_optional_str(message, "model"),
                id=get_optional_str(message, "id"),
                raw=payload,
            )
        if kind == "message_delta":
            delta = payload.get("delta")
            if type(delta) is not dict:
                raise unexpected_type("delta", delta)
            reason = _finish_reason(delta.get("stop_reason"), self._blocks)
            provider_data = self._blocks.provider_data() if reason is not None else None
            return make_chunk(
                finish_reason=reason,
                usage=self._counts.take(payload.get("usage")),
                raw=payload,
                provider_data={self._echo_as: provider_data} if provider_data is not None else None,
            )
        if kind == "error" or (kind == "message" and payload.get("error")):
            _raise_error_event(payload)
        return None

    def _ended(self, block: Block, payload: dict[str, Any]) -> Chunk | None:
        """The whole input of a call that came with its start, after all."""
        whole = block.end()
        if not whole or not (block.is_answer or block.is_call):
            return None
        if block.is_answer:
            return make_chunk(whole, raw=payload)
        return make_chunk(tool_calls=(ToolCallDelta(index=block.call_index, arguments=whole),), raw=payload)


# --- the members of a reply -----------------------------------------------------------------------------------------


def _finish_reason(word: Any, blocks: Blocks) -> FinishReason | None:
    """The finish reason; None where the wire has none yet. The call of the answer's own tool is no call."""
    if word is None:
        return None
    if type(word) is not str:
        raise unexpected_type("stop_reason", word)
    reason = FINISH_REASONS.get(word, "error")
    return "stop" if reason == "tool_calls" and blocks.answered else reason
