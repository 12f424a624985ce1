"""Chat completions, as OpenAI and all who copy it speak it: replies and streams in (PROTOCOLS 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import excerpt
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_list, get_optional_str, unexpected_type
from llmclients.codecs.openai_chat.errors import is_error, raise_error_event
from llmclients.codecs.openai_chat.fields import (
    first_choice,
    parse_finish_reason,
    parse_text,
    parse_usage,
    read_logprobs,
)
from llmclients.codecs.openai_chat.tool_calls import ToolCalls
from llmclients.errors import APIResponseError, StreamInterruptedError
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    ToolCallDelta,
    make_chunk,
    make_text_chunk,
)

__all__ = ["ReplyDecoder", "decode_reply", "make_decoder"]

_NO_DELTA: tuple[str, str | None, str | None, Sequence[ToolCallDelta], FinishReason | None] = ("", None, None, (), None)


# --- replies in -----------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    if is_error(payload):
        raise_error_event(payload)
    choice = first_choice(payload)
    if choice is None:
        raise APIResponseError(f"the reply has no choices: {excerpt(body)}")
    if choice.get("error"):
        raise_error_event(choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise unexpected_type("choices[0].message", message)
    text, reasoning, refusal = parse_text(message)
    calls = ToolCalls()
    pieces = [  # each is a whole call, whatever index it names
        piece
        for place, entry in enumerate(get_list(message, "tool_calls"))
        for piece in calls.take({**entry, "index": place} if type(entry) is dict else entry)
    ]
    reason = parse_finish_reason(choice, called=bool(pieces), refused=refusal)
    return ChatResponse.model_construct(
        text=text,
        reasoning=reasoning,
        tool_calls=[
            ToolCall(id=piece.id or "", name=piece.name or "", arguments=piece.arguments or "{}") for piece in pieces
        ],
        finish_reason=reason or ("tool_calls" if pieces else None),  # some servers give an empty one
        usage=parse_usage(payload.get("usage")),
        model=get_optional_str(payload, "model"),
        id=get_optional_str(payload, "id"),
        raw=payload,
        logprobs=read_logprobs(choice.get("logprobs")) or None,
    )


def make_decoder(
    content_type: str, *, finish_reason_required: bool = True, done_required: bool = True
) -> EventDecoder | ReplyDecoder:
    """The decoder for a reply to `"stream": true`: some servers answer with one plain JSON body all the same."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return ReplyDecoder()
    return EventDecoder(finish_reason_required=finish_reason_required, done_required=done_required)


class ReplyDecoder:
    """A plain JSON reply where a stream was asked for, as one chunk. `read`: what decodes such a reply."""

    def __init__(self, read: Callable[[bytes], ChatResponse] = decode_reply) -> None:
        self.done = False
        self._read = read
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Chunk]:
        self._body.append(data)
        return iter(())

    def finish(self) -> Iterator[Chunk]:
        response = self._read(b"".join(self._body))
        self.done = True
        deltas = [
            ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments_text)
            for index, call in enumerate(response.tool_calls)
        ]
        yield make_chunk(
            text=response.text,
            role="assistant",
            reasoning=response.reasoning,
            tool_calls=deltas,
            finish_reason=response.finish_reason,
            usage=response.usage,
            model=response.model,
            id=response.id,
            raw=response.raw,
            logprobs=response.logprobs or (),
            provider_data=response.provider_data,
        )


class EventDecoder:
    """A stream of events to chunks: one chunk for each event but the last, `[DONE]`.

    Args:
        finish_reason_required: `[DONE]` without a finish reason before it is a cut answer.
        done_required: so is the end of the body without `[DONE]`.
    """

    def __init__(self, *, finish_reason_required: bool = True, done_required: bool = True) -> None:
        self.done = False
        self._events = SSEDecoder(error_field=True)
        self._finish_reason_required = finish_reason_required
        self._done_required = done_required
        self._finished = False
        self._refused = False
        self._calls: ToolCalls | None = None

    def feed(self, data: bytes) -> Iterator[Chunk]:
        if self.done:
            return
        plain = self._events.feed_plain(data)
        if plain is not None:
            for event in plain:
                chunk = self._chunk(event)
                if chunk is not None:
                    yield chunk
                if self.done:
                    return
            return
        for kind, event in self._events.feed(data):
            chunk = self._chunk(event, kind)
            if chunk is not None:
                yield chunk
            if self.done:
                return

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            if self._done_required or not self._finished:
                raise StreamInterruptedError("the stream ended without its end mark, data: [DONE]")
            self.done = True
        return iter(())

    def _chunk(self, event: bytes, kind: str = "message") -> Chunk | None:
        """The chunk of an event; None for an empty one, and for an end mark after a finish reason."""
        try:
            payload = from_json(event, cache_strings="keys")
        except ValueError as error:
            return self._no_json(event, error)
        # Nearly every event of every stream is new text and nothing else. The types on the way to it need no look: JSON
        # has no other values that bear all three steps.
        try:
            choice = payload["choices"][0]
            delta = choice["delta"]
            text = delta["content"]
        except (LookupError, TypeError):
            return self._other_chunk(payload, event, kind)
        if (
            type(text) is not str
            or len(delta) != 1
            or choice.get("index")
            or choice.get("finish_reason") is not None
            or payload.get("usage") is not None
            or "error" in choice
            or choice.get("logprobs")
            or "error" in payload
            or kind == "error"
        ):
            return self._other_chunk(payload, event, kind)
        model, id = payload.get("model"), payload.get("id")
        if type(model) is not str or type(id) is not str:
            model, id = get_optional_str(payload, "model"), get_optional_str(payload, "id")
        return make_text_chunk(text, model or None, id or None, payload)

    def _no_json(self, event: bytes, error: ValueError) -> Chunk | None:
        """What an event means that is not JSON: the end, or nothing, or it is an error."""
        if event.startswith(b"[DONE]"):
            if self._finish_reason_required and not self._finished:
                raise StreamInterruptedError(
                    "the stream says [DONE], but no finish reason came: the answer was cut"
                ) from None
            self.done = True
            return None if self._finished else make_chunk(finish_reason="tool_calls" if self._calls else "stop")
        if event:
            raise APIResponseError(f"an event of the stream is not JSON ({error}): {excerpt(event)}") from None
        return None

    def _other_chunk(self, payload: Any, event: bytes, kind: str) -> Chunk:
        """The chunk of an event that may be anything."""
        if type(payload) is not dict:
            raise APIResponseError(f"an event of the stream is not a JSON object: {excerpt(event)}")
        if payload.get("error") or kind == "error" or ("choices" not in payload and is_error(payload)):
            raise_error_event(payload)
        choice = first_choice(payload)
        text, role, reasoning, calls, reason = _NO_DELTA
        logprobs = read_logprobs(choice["logprobs"]) if choice is not None and choice.get("logprobs") else ()
        if choice is not None:
            text, role, reasoning, calls = self._read_delta(choice)
            if choice.get("finish_reason") is not None:
                reason = parse_finish_reason(choice, called=self._calls is not None, refused=self._refused)
                self._finished = self._finished or reason is not None
        usage = payload.get("usage")
        return make_chunk(
            text,
            role,
            reasoning,
            calls,
            reason,
            None if usage is None else parse_usage(usage),
            get_optional_str(payload, "model"),
            get_optional_str(payload, "id"),
            payload,
            logprobs,
        )

    def _read_delta(self, choice: dict[str, Any]) -> tuple[str, str | None, str | None, Sequence[ToolCallDelta]]:
        """Text, role, reasoning and pieces of tool calls in a choice."""
        if choice.get("error"):
            raise_error_event(choice)
        delta = choice.get("delta")
        if delta is None:
            return "", None, None, ()
        if type(delta) is not dict:
            raise unexpected_type("choices[0].delta", delta)
        text, reasoning, refusal = parse_text(delta)
        self._refused = self._refused or refusal
        calls: Sequence[ToolCallDelta] = ()
        if delta.get("tool_calls"):
            self._calls = self._calls or ToolCalls()
            calls = [piece for entry in get_list(delta, "tool_calls") for piece in self._calls.take(entry)]
        return text, get_optional_str(delta, "role"), reasoning, calls
