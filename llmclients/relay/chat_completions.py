"""Chat completions from the server's side: what `openai` and `ylokh` have in common (PROTOCOLS 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmclients.errors import UnsupportedOptionError
from llmclients.models import ChatResponse, Chunk, FinishReason, ToolCallDelta, Usage
from llmclients.relay.failures import Failure
from llmclients.relay.wire import RelayedCall, Stamp, dump

__all__ = ["OPTIONS", "EventEncoder", "error_body", "models_body", "read_options", "reply_body"]

OPTIONS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)
_READ_ELSEWHERE = frozenset({"messages", "model", "stream", "stream_options"})
# They are about bookkeeping and speed, never about what the answer says.
_IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
# Values that ask for nothing that would not happen anyway.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
}


def read_options(payload: dict[str, Any], own: Iterable[str] = ()) -> dict[str, Any]:
    """The request's options, by the library's names. Whatever would change the answer is carried or refused.

    Args:
        payload: the request.
        own: options that the wire has besides the usual ones.

    Raises:
        UnsupportedOptionError: naming the member that cannot be carried.
    """
    carried = {*OPTIONS, *own}
    options = {}
    for name, value in payload.items():
        if name in carried:
            options[name] = value
        elif name not in _READ_ELSEWHERE and name not in _IGNORED and name != "max_completion_tokens":
            _check_neutral(name, value)
    if "max_completion_tokens" in payload:  # the newer name counts
        options["max_tokens"] = payload["max_completion_tokens"]
    return options


def _check_neutral(name: str, value: Any) -> None:
    if name not in _NEUTRAL:
        raise UnsupportedOptionError(f"the relay does not know the member {name}", argument=name)
    # The type counts: True equals 1.
    if not any(value == one and type(value) is type(one) for one in _NEUTRAL[name]):
        raise UnsupportedOptionError(f"the relay cannot carry this value of {name}", argument=name)


def error_payload(failure: Failure) -> dict[str, Any]:
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return {"error": error}


def error_body(failure: Failure) -> bytes:
    """The body of an error status."""
    return dump(error_payload(failure))


def models_body(names: Iterable[str]) -> bytes:
    """The answer to the question which models there are."""
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": "llmclients"} for name in names]
    return dump({"object": "list", "data": entries})


def reply_body(response: ChatResponse, stamp: Stamp) -> bytes:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": response.text}
    if response.reasoning:
        message["reasoning_content"] = response.reasoning
    if response.tool_calls:
        message["content"] = response.text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
            for call in response.tool_calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_word(response.finish_reason),
    }
    payload: dict[str, Any] = {
        "id": stamp.id,
        "object": "chat.completion",
        "created": stamp.created,
        "model": response.model or stamp.model,
        "choices": [choice],
    }
    if response.usage is not None:
        payload["usage"] = usage_payload(response.usage)
    return dump(payload)


class EventEncoder:
    """A stream of events. The finish reason is held until the backing answer has really come to its end."""

    def __init__(self, call: RelayedCall, stamp: Stamp) -> None:
        self._stamp = stamp
        self._include_usage = call.include_usage
        self._model = ""
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None

    def feed(self, chunk: Chunk) -> bytes:
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        events = b""
        if not self._model:
            self._model = chunk.model or self._stamp.model
            events = self._event({"role": "assistant", "content": ""})
        delta: dict[str, Any] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            delta["tool_calls"] = [_piece(piece) for piece in chunk.tool_calls]
        return events + self._event(delta) if delta else events

    def finish(self) -> bytes:
        last = self._event({}, _finish_word(self._finish_reason))
        if self._include_usage and self._usage is not None:
            last += _data({**self._head(), "choices": [], "usage": usage_payload(self._usage)})
        return last + b"data: [DONE]\n\n"

    def fail(self, failure: Failure) -> bytes:
        return _data(error_payload(failure))

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._stamp.id,
            "object": "chat.completion.chunk",
            "created": self._stamp.created,
            "model": self._model or self._stamp.model,
        }

    def _event(self, delta: dict[str, Any], finish_word: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_word}
        usage = {"usage": None} if self._include_usage else {}
        return _data({**self._head(), "choices": [choice], **usage})


def _data(payload: dict[str, Any]) -> bytes:
    return b"data: " + dump(payload) + b"\n\n"


def _piece(piece: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": piece.arguments}
    if piece.name is not None:
        function = {"name": piece.name, **function}
    opening = {} if piece.id is None else {"id": piece.id, "type": "function"}
    return {"index": piece.index, **opening, "function": function}


def _finish_word(reason: FinishReason | None) -> str:
    """The library's words are this wire's; of a complete answer that names no reason, `stop` is what can be said."""
    return reason or "stop"


def usage_payload(usage: Usage) -> dict[str, Any]:
    """The counts that are known."""
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
