"""Decoders of Cohere's replies, streams and errors (docs/protocols/cohere.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from llmclients.codecs.base import decode_json, is_json
from llmclients.codecs.bodies import ReplyDecoder, last_chunks
from llmclients.codecs.call_arguments import CallArguments
from llmclients.codecs.cohere.names import CODEC_NAME
from llmclients.codecs.errors import STATUS_BY_CODE, error_event, error_message, status_error
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import (
    get_int,
    get_list,
    get_optional_str,
    get_str,
    optional,
    parse_logprob,
    unexpected_type,
)
from llmclients.errors import APIResponseError, APIStatusError, StreamInterruptedError
from llmclients.types.limits import check_call_count
from llmclients.types.response import (
    Chunk,
    FinishReason,
    OtherPart,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_text_chunk,
    make_usage,
)

__all__ = ["decode_error", "decode_reply", "make_decoder"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. The value itself is in `raw`."""

_CALL_MEMBERS = frozenset({"id", "type", "function", "index"})

_FAILURES = {"ERROR": 500, "TIMEOUT": 504}
"""The finish reasons of an answer that failed, and the HTTP status that each would have been."""


# --- errors ---------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an HTTP status. A rate limit tells when it ends."""
    is_limit = status == 429 and not headers.keys() & {"retry-after", "retry-after-ms"}
    return status_error(status, headers, body, retry_after=_until_reset(headers) if is_limit else None)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds from the reply's `Date` to its `x-ratelimit-reset`, a Unix time."""
    try:
        seconds = int(headers["x-ratelimit-reset"]) - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


# --- replies --------------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> Chunk:
    """A whole reply.

    Raises:
        APIStatusError: the provider says that the answer failed.
        APIResponseError: the body is no reply.
    """
    payload = decode_json(body)
    message = payload.get("message")
    if payload.get("error") or type(message) is str:
        raise error_event(payload)
    if type(message) is not dict:
        raise unexpected_type("message", message)
    calls = [_call(entry, index, no_arguments="{}") for index, entry in enumerate(get_list(message, "tool_calls"))]
    reason = _finish_reason(payload, payload, called=bool(calls))
    text, reasoning, others = _parse_content(message)
    return make_chunk(
        text,
        "assistant",
        reasoning,
        calls,
        reason,
        _parse_usage(payload.get("usage")),
        id=get_optional_str(payload, "id"),
        raw=payload,
        logprobs=optional(_logprobs, payload.get("logprobs")) or (),
        other_parts=others,
    )


def _parse_content(message: dict[str, Any]) -> tuple[str, str | None, list[OtherPart]]:
    """Text and reasoning of a message, and what else it has: its plan comes before its thinking."""
    texts, thoughts = [], [get_optional_str(message, "tool_plan") or ""]
    others: list[OtherPart] = []
    for block in get_list(message, "content"):
        if type(block) is not dict:
            raise unexpected_type("message.content[]", block)
        texts.append(get_str(block, "text"))
        thoughts.append(get_optional_str(block, "thinking") or "")
        others += _other_parts(block)
    return "".join(texts), "".join(thoughts) or None, others


def _other_parts(block: dict[str, Any]) -> list[OtherPart]:
    """The block itself, if it is neither text nor thinking."""
    kind = get_optional_str(block, "type")
    return [OtherPart(kind=kind, raw=block)] if kind not in ("text", "thinking", None) else []


def _whole_calls(entries: list[Any]) -> list[ToolCallDelta]:
    """The calls of a whole reply."""
    check_call_count(len(entries))
    return [_call(entry, index, no_arguments="{}") for index, entry in enumerate(entries)]


def _call(entry: Any, index: int, *, no_arguments: str = "") -> ToolCallDelta:
    """A call, or the start of one, which has no arguments yet."""
    if type(entry) is not dict:
        raise unexpected_type("tool_calls", entry)
    function = entry.get("function")
    if type(function) is not dict:
        raise unexpected_type("tool_calls.function", function)
    return ToolCallDelta(
        index=index,
        id=get_optional_str(entry, "id") or f"call_{index}",
        name=get_str(function, "name"),
        arguments=get_str(function, "arguments") or no_arguments,
        provider_data=_unknown_members(entry),
    )


def _unknown_members(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What a call has that is not known here: it goes back as it came."""
    members = {name: value for name, value in entry.items() if name not in _CALL_MEMBERS and value is not None}
    return {CODEC_NAME: members} if members else None


def _finish_reason(holder: dict[str, Any], payload: dict[str, Any], *, called: bool) -> FinishReason:
    """The finish reason that `holder` has: the reply, or the `delta` of an event.

    Args:
        holder: what has it.
        payload: the whole of what came, for an error.
        called: whether there were calls: they count for more than `COMPLETE`, or no word at all.

    Raises:
        APIStatusError: the answer failed. Text that broke off must not pass for an answer.
    """
    value, error = holder.get("finish_reason"), holder.get("error")
    if not isinstance(value, str | None):
        raise unexpected_type("finish_reason", value)
    if error or (value and value.upper() in _FAILURES):
        failure = {"code": value and value.upper(), "error": value, "message": error_message(error)}
        raise error_event(payload, failure, statuses=STATUS_BY_CODE | _FAILURES, default=500)
    reason = FINISH_REASONS.get((value or "").upper(), "error")
    return "tool_calls" if called and (not value or reason == "stop") else reason


def _parse_usage(usage: Any) -> Usage | None:
    """The tokens that the model saw; those that are billed, where nothing else is there."""
    if type(usage) is not dict:
        return None
    sources = [source for source in (usage.get("tokens"), usage.get("billed_units")) if type(source) is dict]
    input_tokens, output_tokens = (
        next((count for source in sources if (count := get_int(source, name)) is not None), None)
        for name in ("input_tokens", "output_tokens")
    )
    total = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
    return make_usage(input_tokens, output_tokens, total, cached_tokens=get_int(usage, "cached_tokens"))


def _logprobs(entries: Any) -> list[TokenLogprob]:
    """Those of a whole reply, a list, or of an event, one entry."""
    return [_logprob(entry) for entry in (entries if type(entries) is list else [entries])]


def _logprob(entry: Any) -> TokenLogprob:
    """A piece of text of one token or several: its probability is their product."""
    if type(entry) is not dict:
        raise unexpected_type("logprobs", entry)
    values = [parse_logprob(value, "logprobs[]") for value in get_list(entry, "logprobs")]
    return TokenLogprob(token=get_str(entry, "text"), logprob=parse_logprob(sum(values), "the sum of logprobs"))


# --- streams --------------------------------------------------------------------------------------------------------


def make_decoder(content_type: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a reply to `"stream": true`, which may be one plain JSON body all the same."""
    return ReplyDecoder(decode_reply, EventDecoder()) if is_json(content_type) else EventDecoder()


class EventDecoder:
    """A stream of events to chunks: one for each event that brings something new.

    `message-end` is the end. A `[DONE]` after it is ignored; before it, the answer was cut.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder()
        self._calls: list[tuple[ToolCallDelta, CallArguments]] = []
        self._call_indexes: dict[int | None, int] = {}  # by the wire's index, which may go on from that of the content

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for event_type, event in () if self.done else self._events.feed(data):
            if event.startswith(b"[DONE]"):
                raise StreamInterruptedError("the stream says [DONE], but no message-end came: the answer was cut")
            if not event:
                continue
            payload = decode_json(event, "event")
            event_type = payload.get("type") or event_type
            if event_type == "content-delta" or event_type == "content-start":
                chunk = _content(payload)
            else:
                chunk = self._other(event_type, payload)
            if chunk is not None:
                yield chunk
            if self.done:
                return

    def finish(self) -> Iterator[Chunk]:
        yield from last_chunks(self, self._events, decode_reply)
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, message-end")

    def _other(self, event_type: Any, payload: dict[str, Any]) -> Chunk | None:
        """The chunk of an event that has no new text, where it brings something."""
        if event_type == "tool-call-delta":
            return self._more_of_a_call(payload)
        if event_type == "tool-call-start":
            return self._start_of_a_call(payload)
        if event_type == "tool-call-end":
            return self._end_of_a_call(payload)
        if event_type == "tool-plan-delta":
            plan = _inside(payload, "tool_plan")
            return make_chunk(reasoning=plan if type(plan) is str else None, raw=payload)
        if event_type == "message-start":
            return make_chunk(role="assistant", id=get_optional_str(payload, "id"), raw=payload)
        if event_type == "message-end":
            end = payload.get("delta")
            if type(end) is not dict:
                raise unexpected_type("delta", end)
            chunk = make_chunk(
                finish_reason=_finish_reason(end, payload, called=bool(self._calls)),
                usage=_parse_usage(end.get("usage")),
                id=get_optional_str(payload, "id"),
                raw=payload,
            )
            self.done = True
            return chunk
        return None

    def _start_of_a_call(self, payload: dict[str, Any]) -> Chunk | None:
        """A call starts. One that starts again, with its index, id and name, is the same call, told twice."""
        index = len(self._calls)
        delta = _call(_inside(payload, "tool_calls"), index)
        before = self._call_indexes.get(_wire_index(payload))
        if before is not None:
            started = self._calls[before][0]
            if (started.id, started.name) == (delta.id, delta.name):
                return self._more(before, delta.arguments, payload)
        check_call_count(index + 1)
        self._calls.append((delta, CallArguments()))
        self._call_indexes[_wire_index(payload)] = index
        delta.arguments = self._calls[index][1].add(delta.arguments) or ""
        return make_chunk(tool_calls=[delta], raw=payload)

    def _more_of_a_call(self, payload: dict[str, Any]) -> Chunk | None:
        """The next piece of a call's arguments."""
        entry = _inside(payload, "tool_calls")
        function = entry.get("function") if type(entry) is dict else None
        index = self._call_indexes.get(_wire_index(payload))
        if type(function) is not dict or index is None:
            raise APIResponseError("a tool-call-delta belongs to no call: not what the protocol says")
        return self._more(index, get_str(function, "arguments"), payload)

    def _end_of_a_call(self, payload: dict[str, Any]) -> Chunk | None:
        """What was held back of a call's arguments."""
        index = self._call_indexes.get(_wire_index(payload))
        rest = "" if index is None else self._calls[index][1].end()
        return make_chunk(tool_calls=[ToolCallDelta(index=index or 0, arguments=rest)], raw=payload) if rest else None

    def _more(self, index: int, arguments: str, payload: dict[str, Any]) -> Chunk | None:
        new = self._calls[index][1].add(arguments)
        if new is None:
            raise APIResponseError(
                f"the arguments of a call of {self._calls[index][0].name} come twice, and are not the same"
            )
        return make_chunk(tool_calls=[ToolCallDelta(index=index, arguments=new)], raw=payload)


def _content(payload: dict[str, Any]) -> Chunk | None:
    """New text or thinking; None for the start of an empty block."""
    content = _inside(payload, "content")
    if type(content) is not dict:
        raise unexpected_type("delta.message.content", content)
    text, thinking, logprobs = content.get("text"), content.get("thinking"), payload.get("logprobs")
    if thinking is None and logprobs is None and type(text) is str:  # nearly every event of every stream
        return make_text_chunk(text, None, None, payload) if text else None
    text, reasoning = get_str(content, "text"), get_optional_str(content, "thinking")
    others = _other_parts(content)
    if not (text or reasoning or others) and logprobs is None:
        return None
    tokens = optional(_logprobs, logprobs) or ()
    return make_chunk(text, reasoning=reasoning, raw=payload, logprobs=tokens, other_parts=others)


def _inside(payload: dict[str, Any], name: str) -> Any:
    """`delta.message.NAME` of an event."""
    try:
        return payload["delta"]["message"][name]
    except (KeyError, TypeError):
        raise APIResponseError(
            f"an event of type {payload.get('type')} has no delta.message.{name}: not what the protocol says"
        ) from None


def _wire_index(payload: dict[str, Any]) -> int | None:
    """The wire's index of a call."""
    index = payload.get("index")
    if not isinstance(index, int | None):
        raise unexpected_type("index", index)
    return index
