"""Reads chat completions' replies and streams, as OpenAI and all who copy it send them, to chunks.

The wire: docs/protocols/openai-chat.md, "OpenAI chat completions".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.base import decode_json, no_object, read_torn_event
from llmclients.codecs.bodies import last_chunks
from llmclients.codecs.errors import error_event, error_message, excerpt
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_object, get_optional_str, optional, unexpected_type
from llmclients.codecs.openai_chat.call_pieces import call_entries, read_piece
from llmclients.codecs.openai_chat.fields import (
    first_choice,
    get_message,
    is_error,
    other_choices,
    other_parts,
    parse_finish_reason,
    parse_logprobs,
    parse_text,
    parse_usage,
    says_something,
)
from llmclients.codecs.openai_chat.old_logprobs import parse_one_logprob
from llmclients.codecs.openai_chat.provider_data import KeptMembers
from llmclients.codecs.openai_chat.tool_calls import CUT_REASONS, ToolCalls, whole_calls
from llmclients.errors import APIError, APIResponseError, StreamInterruptedError
from llmclients.types.limits import MAX_UNCHECKED_BYTES, check_choice_count, check_json_values
from llmclients.types.response import (
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    make_chunk,
    make_text_chunk,
)

__all__ = ["EventDecoder", "decode_reply"]

_NO_DELTA: tuple[str, str | None, str | None, Sequence[ToolCallDelta], FinishReason | None] = ("", None, None, (), None)


def decode_reply(body: bytes, provider_data_field: str | None = None) -> Chunk:
    """A whole reply, as one chunk.

    Args:
        body: the reply.
        provider_data_field: the member of the message to keep for the next turn, if there is one.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    if is_error(payload):
        raise error_event(payload)
    choice = first_choice(payload, whole=True)
    if choice is None:
        raise APIResponseError(f"the reply has no choices: {excerpt(body)}")
    chunk = _decode_choice(choice, provider_data_field)
    members = chunk.__dict__
    members["usage"] = parse_usage(payload)
    members["model"] = get_optional_str(payload, "model")
    members["id"] = get_optional_str(payload, "id")
    members["raw"] = payload
    if len(payload["choices"]) > 1:
        members["other_choices"] = [
            _as_piece(_decode_choice(other, provider_data_field, index), index, other)
            for index, other in other_choices(payload, choice).items()
        ]
    return chunk


def _decode_choice(choice: dict[str, Any], provider_data_field: str | None, index: int = 0) -> Chunk:
    """One choice of a whole reply, without what is said of all of them."""
    if choice.get("error"):
        raise error_event(choice)
    message = get_message(choice, "message", "delta")
    if message is None:
        raise unexpected_type(f"choices[{index}].message", None)
    text, reasoning, declined = parse_text(message)
    entries = call_entries(message)
    called = any(not read_piece(entry).is_empty for entry in entries)  # some servers send one with nothing in it
    reason = parse_finish_reason(choice, called=called, declined=declined)
    deltas = whole_calls(entries, cut=reason in CUT_REASONS)
    kept = KeptMembers(provider_data_field)
    kept.add_message(message)
    return make_chunk(
        text,
        "assistant",
        reasoning,
        deltas,
        reason or ("tool_calls" if deltas else None),  # some servers give an empty one
        logprobs=optional(parse_logprobs, choice.get("logprobs")) or (),
        provider_data=kept.provider_data(),
        other_parts=other_parts(message),
    )


def _as_piece(chunk: Chunk, index: int, choice: dict[str, Any]) -> Chunk:
    """The chunk as one of `other_choices`."""
    members = chunk.__dict__
    members["index"] = index
    members["raw"] = choice
    return chunk


class EventDecoder:
    """A stream of events to chunks: one chunk for each event but the last, `[DONE]`.

    Args:
        finish_reason_required: `[DONE]` without a finish reason before it is a cut answer.
        done_required: without `[DONE]`, the stream was cut. Where not, a finish reason is an end mark, too.
        provider_data_field: the member of deltas to keep for the next turn, if there is one.
    """

    def __init__(
        self,
        *,
        finish_reason_required: bool = True,
        done_required: bool = True,
        provider_data_field: str | None = None,
    ) -> None:
        self.done = False
        self._events = SSEDecoder(error_field=True)
        self._finish_reason_required = finish_reason_required
        self._done_required = done_required
        self._finished = False
        self._declined = False
        self._calls: ToolCalls | None = None
        self._place: str | None = None  # of the pieces in a choice, once one has come
        self._has_text = False  # whether some has come
        self._misplaced: list[str] = []  # the text that came in another place than `delta`
        self._complaint: str | None = None  # of an event without choices
        self._provider_data_field = provider_data_field
        self._kept = KeptMembers(provider_data_field)
        self._others: dict[int, EventDecoder] = {}  # of choices besides the first, by their index

    def feed(self, data: bytes) -> Iterator[Chunk]:
        if self.done:
            return iter(())
        plain_events = self._events.feed_plain(data)
        if plain_events is None:
            return self._chunks(data)
        if len(plain_events) > 1:
            return self._plain_chunks(plain_events)
        chunk = self._chunk(plain_events[0])  # one event in a read, as a model writes them: no generator for each
        return iter(() if chunk is None else (chunk,))

    def _plain_chunks(self, events: list[bytes]) -> Iterator[Chunk]:
        for event in events:
            chunk = self._chunk(event)
            if chunk is not None:
                yield chunk
            if self.done:
                return

    def _chunks(self, data: bytes) -> Iterator[Chunk]:
        """The chunks of a read that is not plain, as the first one never is."""
        for event_type, event in self._events.feed(data):
            chunk = self._chunk(event, event_type)
            if chunk is not None:
                yield chunk
            if self.done:
                return

    def finish(self) -> Iterator[Chunk]:
        yield from last_chunks(self, self._events, lambda body: decode_reply(body, self._provider_data_field))
        if not self.done:
            if self._done_required or not self._finished:
                raise self._no_end("the stream ended without its end mark, data: [DONE]")
            self.done = True

    def _no_end(self, what: str) -> APIError:
        """The error for a stream that is over, and not at its end: what it said in place of an answer, if it did."""
        if self._complaint is not None and not (self._has_text or self._place or self._calls):
            return APIResponseError(f"the stream has no choices: {self._complaint}")
        return StreamInterruptedError(what)

    def _chunk(self, event: bytes, event_type: str = "message") -> Chunk | None:
        """The chunk of an event; None for an empty one, and for an end mark after a finish reason."""
        if len(event) > MAX_UNCHECKED_BYTES:
            check_json_values(event, "event")
        try:
            payload = from_json(event, cache_strings="keys")
        except ValueError as error:
            return self._no_json(event, error, event_type)
        # Nearly every event of every stream is new text and nothing else. The types on the way to it need no look: JSON
        # has no other values that bear all three steps.
        try:
            (choice,) = payload["choices"]
            delta = choice["delta"]
            text = delta["content"]
        except (LookupError, TypeError, ValueError):
            return self._other_chunk(payload, event, event_type)
        if (
            type(text) is not str
            or len(delta) != 1
            or choice.get("index")
            or choice.get("finish_reason") is not None
            or payload.get("usage") is not None
            or "error" in choice
            or choice.get("logprobs") is not None
            or "error" in payload
            or event_type == "error"
        ):
            return self._other_chunk(payload, event, event_type)
        if text:
            self._has_text = True  # such a piece never gets to `_is_repeated`
        model, id = payload.get("model"), payload.get("id")
        if type(model) is not str or type(id) is not str:
            model, id = get_optional_str(payload, "model"), get_optional_str(payload, "id")
        return make_text_chunk(text, model or None, id or None, payload)

    def _no_json(self, event: bytes, error: ValueError, event_type: str) -> Chunk | None:
        """What an event means that is not JSON to the fast parser: the end, or nothing, or something odd."""
        if event.startswith(b"[DONE]"):
            if self._finish_reason_required and not self._finished:
                raise self._no_end("the stream says [DONE], but no finish reason came: the answer was cut") from None
            self.done = True
            if self._finished:
                return None
            calls = self._calls.finish() if self._calls else ()
            return make_chunk(tool_calls=calls, finish_reason="tool_calls" if self._calls else "stop")
        if event:
            return self._other_chunk(read_torn_event(event, error), event, event_type)
        return None

    def _other_chunk(self, payload: Any, event: bytes, event_type: str) -> Chunk:
        """The chunk of an event that may be anything."""
        if type(payload) is not dict:
            raise no_object(payload, event, "an event of the stream")
        if payload.get("error") or event_type == "error" or (payload.get("choices") is None and is_error(payload)):
            raise error_event(payload)
        if failure := get_object(payload, "x_groq").get("error"):  # "why a stream was stopped early", says its SDK
            raise error_event(payload, {"message": failure})
        choice = first_choice(payload)
        if self._complaint is None and payload.get("choices") is None and error_message(payload):
            self._complaint = excerpt(event)
        text, role, reasoning, calls, reason = _NO_DELTA
        logprobs: Sequence[TokenLogprob] = ()
        if choice is not None:
            logprobs = optional(parse_logprobs, choice.get("logprobs")) or ()
            text, role, reasoning, calls = self._read_delta(choice)
            if isinstance(choice.get("logprobs"), float | int):
                logprobs = parse_one_logprob(text, choice)
            if choice.get("finish_reason") is not None:
                reason = parse_finish_reason(choice, called=bool(self._calls), declined=self._declined)
                self._finished = self._finished or reason is not None
            if self._finished and self._calls is not None:
                calls = [*calls, *self._calls.finish(cut=reason in CUT_REASONS)]
        return make_chunk(
            text,
            role,
            reasoning,
            calls,
            reason,
            parse_usage(payload),
            get_optional_str(payload, "model"),
            get_optional_str(payload, "id"),
            payload,
            logprobs,
            self._kept.provider_data() if self._finished else None,
            () if choice is None else other_parts(choice.get("delta")),
            self._other_choices(payload, choice) if choice is None or len(payload["choices"]) > 1 else (),
        )

    def _other_choices(self, payload: dict[str, Any], first: dict[str, Any] | None) -> Sequence[Chunk]:
        """The pieces of the choices besides the first. Each choice is read as a stream of its own."""
        pieces = []
        for index, choice in other_choices(payload, first).items():
            reader = self._others.get(index)
            if reader is None:
                check_choice_count(len(self._others) + 2)
                reader = self._others[index] = EventDecoder(provider_data_field=self._provider_data_field)
            alone = {"choices": [{**choice, "index": 0}]}
            pieces.append(_as_piece(reader._other_chunk(alone, b"", "message"), index, choice))
        return pieces or ()

    def _read_delta(self, choice: dict[str, Any]) -> tuple[str, str | None, str | None, Sequence[ToolCallDelta]]:
        """Text, role, reasoning and pieces of tool calls in a choice."""
        if choice.get("error"):
            raise error_event(choice)
        delta = get_message(choice, "delta", "message")
        if delta is None:
            return "", None, None, ()
        calls: Sequence[ToolCallDelta] = ()
        if self._is_repeated(choice, delta):
            if not self._calls and (entries := call_entries(delta)):  # only the text came in pieces
                self._calls = ToolCalls()
                calls = self._calls.add(entries)
            text = "" if self._has_text else parse_text(delta)[0]  # or only the reasoning, or the calls
            self._has_text = self._has_text or bool(text)
            return text, None, None, calls
        text, reasoning, declined = parse_text(delta)
        self._declined = self._declined or declined
        if delta.get("tool_calls") or delta.get("function_call"):
            self._calls = self._calls or ToolCalls()
            calls = self._calls.add(call_entries(delta))
        self._kept.add_delta(delta)
        return text, get_optional_str(delta, "role"), reasoning, calls

    def _is_repeated(self, choice: dict[str, Any], delta: dict[str, Any]) -> bool:
        """Whether what stands in another place than `delta` is no new piece, but all that has come, once more."""
        if choice.get("delta") is delta:
            self._has_text = self._has_text or bool(delta.get("content"))
            if self._place is None and says_something(delta):
                self._place = "delta"
            return False
        self._place = self._place or ("delta" if self._has_text else "message")
        text = parse_text(delta)[0]
        if self._place == "delta" or (text and choice.get("finish_reason") and text == "".join(self._misplaced)):
            return True
        self._misplaced.append(text)
        self._has_text = self._has_text or bool(text)
        return False
