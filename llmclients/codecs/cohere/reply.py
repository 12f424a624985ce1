"""`cohere`: replies and streams in (PROTOCOLS 13.2 and 13.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmclients.codecs.base import decode_json
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_int, get_list, get_optional_str, get_str, unexpected_type
from llmclients.errors import APIResponseError, StreamInterruptedError, status_error_class
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_text_chunk,
)

__all__ = ["EventDecoder", "decode_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one."""

_STATUS_OF_FAILURE = {"ERROR": 500, "TIMEOUT": 504}
"""The finish reasons of an answer that failed, and the HTTP status that each would have been."""


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: the provider says that the answer failed.
        APIResponseError: the body is no reply.
    """
    payload = decode_json(body)
    message = payload.get("message")
    if type(message) is not dict:
        raise unexpected_type("message", message)
    reason = _finish_reason(payload, payload)
    text, reasoning = _texts(message)
    calls = [_call(entry) for entry in get_list(message, "tool_calls")]
    entries = get_list(payload, "logprobs")
    return ChatResponse(
        text=text,
        reasoning=reasoning,
        tool_calls=[ToolCall(id=id, name=name, arguments=arguments or "{}") for id, name, arguments in calls],
        finish_reason=reason,
        usage=_usage(payload.get("usage")),
        id=get_optional_str(payload, "id"),
        raw=payload,
        logprobs=[_logprob(entry) for entry in entries] if entries else None,
    )


def _texts(message: dict[str, Any]) -> tuple[str, str | None]:
    """Text and reasoning of a message: its plan comes before its thinking."""
    texts, thoughts = [], [get_str(message, "tool_plan")]
    for block in get_list(message, "content"):
        if type(block) is not dict:
            raise unexpected_type("message.content[]", block)
        texts.append(get_str(block, "text"))
        thoughts.append(get_str(block, "thinking"))
    return "".join(texts), "".join(thoughts) or None


def _call(entry: Any) -> tuple[str, str, str]:
    """Id, name and arguments of a call, or of the start of one."""
    if type(entry) is not dict:
        raise unexpected_type("tool_calls", entry)
    function = entry.get("function")
    if type(function) is not dict:
        raise unexpected_type("tool_calls.function", function)
    return get_str(entry, "id"), get_str(function, "name"), get_str(function, "arguments")


def _finish_reason(holder: dict[str, Any], payload: dict[str, Any]) -> FinishReason:
    """The finish reason. A failure is raised: text that broke off must not pass for an answer."""
    word, error = holder.get("finish_reason"), holder.get("error")
    if not isinstance(word, str | None):
        raise unexpected_type("finish_reason", word)
    if error or word in _STATUS_OF_FAILURE:
        status = _STATUS_OF_FAILURE.get(word or "", 500)
        raise status_error_class(status)(
            f"the provider reported an error: {word or 'ERROR'}" + (f": {error}" if error else ""),
            status_code=status,
            body=payload,
        )
    return FINISH_REASONS.get(word or "", "error")


def _usage(usage: Any) -> Usage | None:
    """What the model saw; what is billed, where nothing else is said."""
    if usage is None:
        return None
    if type(usage) is not dict:
        raise unexpected_type("usage", usage)
    sources = [source for source in (usage.get("tokens"), usage.get("billed_units")) if type(source) is dict]
    counts = [
        next((found for source in sources if (found := get_int(source, name)) is not None), None)
        for name in ("input_tokens", "output_tokens")
    ]
    read, written = counts
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=None if read is None or written is None else read + written,
        cached_tokens=get_int(usage, "cached_tokens"),
    )


def _logprob(entry: Any) -> TokenLogprob:
    """A piece of text of one token or several: its probability is their product."""
    if type(entry) is not dict:
        raise unexpected_type("logprobs", entry)
    values = get_list(entry, "logprobs")
    if not all(type(value) in (int, float) and abs(value) < 1e9 for value in values):  # no NaN either
        raise APIResponseError("logprobs has something that is no log probability: not what the protocol says")
    return TokenLogprob(token=get_str(entry, "text"), logprob=sum(values))


# --- streams --------------------------------------------------------------------------------------------------------


class EventDecoder:
    """A chunk for each event that says something new; `message-end` is the end, `[DONE]` after it only manners."""

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder()
        self._call = -1
        self._calls: dict[int | None, int] = {}  # by the wire's index, which may go on from that of the content

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for kind, event in () if self.done else self._events.feed(data):
            if self.done:
                return
            if event.startswith(b"[DONE]"):
                raise StreamInterruptedError("the stream says [DONE], but no message-end came: the answer was cut")
            if not event:
                continue
            payload = decode_json(event, "event")
            kind = payload.get("type") or kind
            if kind == "content-delta" or kind == "content-start":
                chunk = _content(payload)
            else:
                chunk = self._other(kind, payload)
            if chunk is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, message-end")
        return iter(())

    def _other(self, kind: Any, payload: dict[str, Any]) -> Chunk | None:
        if kind == "tool-call-delta":
            return self._more_of_a_call(payload)
        if kind == "tool-call-start":
            id, name, arguments = _call(_inside(payload, "tool_calls"))
            self._call += 1
            self._calls[_key(payload)] = self._call
            delta = ToolCallDelta(index=self._call, id=id, name=name, arguments=arguments)
            return make_chunk(tool_calls=[delta], raw=payload)
        if kind == "tool-plan-delta":
            plan = _inside(payload, "tool_plan")
            if type(plan) is not str:
                raise unexpected_type("delta.message.tool_plan", plan)
            return make_chunk(reasoning=plan, raw=payload)
        if kind == "message-start":
            return make_chunk(role="assistant", id=get_optional_str(payload, "id"), raw=payload)
        if kind == "message-end":
            end = payload.get("delta")
            if type(end) is not dict:
                raise unexpected_type("delta", end)
            chunk = make_chunk(
                finish_reason=_finish_reason(end, payload),
                usage=_usage(end.get("usage")),
                id=get_optional_str(payload, "id"),
                raw=payload,
            )
            self.done = True
            return chunk
        return None

    def _more_of_a_call(self, payload: dict[str, Any]) -> Chunk:
        entry = _inside(payload, "tool_calls")
        function = entry.get("function") if type(entry) is dict else None
        index = self._calls.get(_key(payload))
        if type(function) is not dict or index is None:
            raise APIResponseError("a tool-call-delta belongs to no call: not what the protocol says")
        arguments = get_str(function, "arguments")
        return make_chunk(tool_calls=[ToolCallDelta(index=index, arguments=arguments)], raw=payload)


def _content(payload: dict[str, Any]) -> Chunk | None:
    """New text or thinking; None for the start of an empty block."""
    content = _inside(payload, "content")
    if type(content) is not dict:
        raise unexpected_type("delta.message.content", content)
    text, thinking, logprobs = content.get("text"), content.get("thinking"), payload.get("logprobs")
    if thinking is None and logprobs is None and type(text) is str:  # nearly every event of every stream
        return make_text_chunk(text, None, None, payload) if text else None
    text, thinking = get_str(content, "text"), get_str(content, "thinking")
    if not text and not thinking and logprobs is None:
        return None
    tokens = () if logprobs is None else [_logprob(logprobs)]
    return make_chunk(text, reasoning=thinking or None, raw=payload, logprobs=tokens)


def _inside(payload: dict[str, Any], name: str) -> Any:
    """`delta.message.NAME` of an event."""
    try:
        return payload["delta"]["message"][name]
    except (KeyError, TypeError):
        raise APIResponseError(
            f"an event of type {payload.get('type')} has no delta.message.{name}: not what the protocol says"
        ) from None


def _key(payload: dict[str, Any]) -> int | None:
    index = payload.get("index")
    if not isinstance(index, int | None):
        raise unexpected_type("index", index)
    return index
