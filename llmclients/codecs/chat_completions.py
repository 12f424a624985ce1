"""Chat completions, as OpenAI and all who copy it speak it: replies, streams and errors in (PROTOCOLS 8)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from pydantic_core import from_json

from llmclients.codecs.base import decode_json, error_message, excerpt, status_error
from llmclients.codecs.chat_members import read_content, read_logprobs
from llmclients.codecs.chat_members import wrong as _wrong
from llmclients.codecs.framing import SSEDecoder
from llmclients.errors import APIResponseError, APIStatusError, OverloadedError, StreamInterruptedError
from llmclients.models import (
    ChatResponse,
    Chunk,
    FinishReason,
    ToolCall,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_text_chunk,
)

__all__ = ["ReplyDecoder", "decode_reply", "decoder_for", "refused"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. Its word stays in `raw`."""

_INTERRUPTIONS = frozenset({"insufficient_system_resource"})
"""No finish at all: the server gave the answer up half-way, and may well complete it when it is asked again."""

_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_error": 500,
    "api_error": 500,
}
"""The HTTP status that an error event inside a 200 would have had, from its `code` or `type`."""


_NO_DELTA: tuple[str, str | None, str | None, Sequence[ToolCallDelta], FinishReason | None] = ("", None, None, (), None)


# --- errors in ------------------------------------------------------------------------------------------------------


def refused(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an error status. A used-up quota comes as 429, too, but waiting does not refill it."""
    return status_error(status, headers, body, retryable=False if b"insufficient_quota" in body else None)


def _raise_error_event(payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200."""
    error = payload.get("error")
    words = error if isinstance(error, dict) else payload
    status = 200
    for value in (words.get("status_code"), words.get("code"), words.get("type"), words.get("error_type")):
        if isinstance(value, str):
            value = (
                int(value) if value.isdecimal() and value.isascii() and len(value) == 3 else _STATUS_OF_WORD.get(value)
            )
        if isinstance(value, int) and 400 <= value < 600:
            status = value
            break
    body = json.dumps(payload).encode()
    found = refused(status, {}, body)
    message = error_message(payload) or excerpt(body)
    raise type(found)(
        f"the provider reported an error: {message}",
        status_code=status,
        body=payload,
        retryable=found.retryable,
    )


def _is_error(payload: dict[str, Any]) -> bool:
    return bool(payload.get("error") or payload.get("error_message")) or payload.get("object") == "error"


# --- replies in -----------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    if _is_error(payload):
        _raise_error_event(payload)
    choice = _first_choice(payload)
    if choice is None:
        raise APIResponseError(f"the reply has no choices: {excerpt(body)}")
    if choice.get("error"):
        _raise_error_event(choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _wrong("choices[0].message", message)
    text, reasoning, refusal = _texts(message)
    calls = _ToolCalls()
    pieces = [
        piece
        for place, entry in enumerate(_list(message, "tool_calls"))  # each is a whole call, whatever index it names
        for piece in calls.take({**entry, "index": place} if type(entry) is dict else entry)
    ]
    reason = _finish_reason(choice, called=bool(pieces), refused=refusal)
    return ChatResponse.model_construct(
        text=text,
        reasoning=reasoning,
        tool_calls=[
            ToolCall(id=piece.id or "", name=piece.name or "", arguments=piece.arguments or "{}") for piece in pieces
        ],
        finish_reason=reason or ("tool_calls" if pieces else None),  # some servers give an empty one
        usage=_usage(payload.get("usage")),
        model=_word(payload, "model"),
        id=_word(payload, "id"),
        raw=payload,
        logprobs=read_logprobs(choice.get("logprobs")) or None,
    )


def decoder_for(
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
            echo=response.echo,
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
        self._calls: _ToolCalls | None = None

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
            model, id = _word(payload, "model"), _word(payload, "id")
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
        if payload.get("error") or kind == "error" or ("choices" not in payload and _is_error(payload)):
            _raise_error_event(payload)
        choice = _first_choice(payload)
        text, role, reasoning, calls, reason = _NO_DELTA
        logprobs = read_logprobs(choice["logprobs"]) if choice is not None and choice.get("logprobs") else ()
        if choice is not None:
            text, role, reasoning, calls = self._read_delta(choice)
            if choice.get("finish_reason") is not None:
                reason = _finish_reason(choice, called=self._calls is not None, refused=self._refused)
                self._finished = self._finished or reason is not None
        usage = payload.get("usage")
        return make_chunk(
            text,
            role,
            reasoning,
            calls,
            reason,
            None if usage is None else _usage(usage),
            _word(payload, "model"),
            _word(payload, "id"),
            payload,
            logprobs,
        )

    def _read_delta(self, choice: dict[str, Any]) -> tuple[str, str | None, str | None, Sequence[ToolCallDelta]]:
        """Text, role, reasoning and pieces of tool calls in a choice."""
        if choice.get("error"):
            _raise_error_event(choice)
        delta = choice.get("delta")
        if delta is None:
            return "", None, None, ()
        if type(delta) is not dict:
            raise _wrong("choices[0].delta", delta)
        text, reasoning, refusal = _texts(delta)
        self._refused = self._refused or refusal
        calls: Sequence[ToolCallDelta] = ()
        if delta.get("tool_calls"):
            self._calls = self._calls or _ToolCalls()
            calls = [piece for entry in _list(delta, "tool_calls") for piece in self._calls.take(entry)]
        return text, _word(delta, "role"), reasoning, calls


# --- the members of a reply -----------------------------------------------------------------------------------------


def _first_choice(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The choice with index 0. With `n` above 1 the others stay in `raw`."""
    choices = payload.get("choices")
    if not choices:
        if choices is None or type(choices) is list:
            return None
        raise _wrong("choices", choices)
    if type(choices) is not list:
        raise _wrong("choices", choices)
    for choice in choices:
        if type(choice) is not dict:
            raise _wrong("choices[]", choice)
        if not choice.get("index"):
            return choice
    return None


def _texts(message: dict[str, Any]) -> tuple[str, str | None, bool]:
    """Text, reasoning, and whether the text is a refusal, of a message or delta."""
    text, thoughts = message.get("content") or "", None
    if type(text) is list:
        text, thoughts = read_content(text)
    if type(text) is not str:
        raise _wrong("content", text)
    reasoning = message.get("reasoning_content") or message.get("reasoning") or thoughts
    if reasoning is not None and type(reasoning) is not str:
        raise _wrong("reasoning", reasoning)
    refusal = message.get("refusal")
    if refusal:
        if type(refusal) is not str:
            raise _wrong("refusal", refusal)
        return text + refusal, reasoning, True
    return text, reasoning, False


def _finish_reason(choice: dict[str, Any], *, called: bool, refused: bool) -> FinishReason | None:
    """The finish reason; None where the wire has none yet. Calls and refusals count for more than a `stop`."""
    word = choice.get("finish_reason")
    if word is None or word == "":
        return None
    if type(word) is not str:
        raise _wrong("finish_reason", word)
    if word in _INTERRUPTIONS:
        raise OverloadedError(f"the provider gave the answer up half-way: {word}", status_code=529, body=choice)
    reason = FINISH_REASONS.get(word, "error")
    if reason == "stop" and refused:
        return "content_filter"
    if reason == "stop" and called:
        return "tool_calls"
    return reason


class _ToolCalls:
    """Gives each piece of a tool call its index, whatever the server left out (PROTOCOLS 8.3)."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # of the calls so far; their own index is their place
        self._named: set[int] = set()
        self._by_wire_index: dict[int, int] = {}

    def take(self, entry: Any) -> Iterator[ToolCallDelta]:
        if type(entry) is not dict:
            raise _wrong("tool_calls[]", entry)
        function = entry.get("function") or {}
        if type(function) is not dict:
            raise _wrong("tool_calls[].function", function)
        name, arguments = function.get("name") or None, function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if not isinstance(name, str | None) or not isinstance(arguments, str | None):
            raise _wrong("tool_calls[].function", function)
        wire_id = entry.get("id")
        wire_id = wire_id if isinstance(wire_id, str) and wire_id not in ("", "null") else None
        index, is_new = self._place(entry.get("index"), wire_id, name)
        if index in self._named:
            name = None
        elif name:
            self._named.add(index)
        yield ToolCallDelta(index=index, id=self._ids[index] if is_new else None, name=name, arguments=arguments or "")

    def _place(self, wire_index: Any, wire_id: str | None, name: str | None) -> tuple[int, bool]:
        """Which call a piece belongs to, and whether it opens it."""
        wire_index = wire_index if type(wire_index) is int else None
        known = self._by_wire_index.get(wire_index) if wire_index is not None else len(self._ids) - 1
        if known is None or known < 0:
            pass
        elif wire_id is None:
            # Without an index, a name is all that can open a second call.
            if wire_index is not None or name is None:
                return known, False
        elif wire_id == self._ids[known]:
            return known, False
        elif wire_id in self._ids:  # several calls share an index, or have none, and an earlier one goes on
            index = self._ids.index(wire_id)
            if wire_index is not None:
                self._by_wire_index[wire_index] = index
            return index, False
        self._ids.append(wire_id or f"call_{len(self._ids)}")
        index = len(self._ids) - 1
        if wire_index is not None:
            self._by_wire_index[wire_index] = index
        return index, True


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    if type(usage) is not dict:
        raise _wrong("usage", usage)
    completion, prompt = usage.get("completion_tokens_details"), usage.get("prompt_tokens_details")
    return Usage.model_construct(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        total_tokens=_count(usage.get("total_tokens")),
        reasoning_tokens=_count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
        cached_tokens=_count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
    )


def _count(value: Any) -> int | None:
    if value is None or type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise _wrong("usage", value)


def _word(payload: dict[str, Any], name: str) -> str | None:
    """A member that only describes: of another type, or empty, it is as good as absent."""
    value = payload.get(name)
    return value if type(value) is str and value else None


def _list(payload: dict[str, Any], name: str) -> list[Any]:
    value = payload.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise _wrong(name, value)
    return value
