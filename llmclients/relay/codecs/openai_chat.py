"""Chat completions from the server's side: what `openai` and `ylokh` have in common (PROTOCOLS 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import CHAT_ECHO, RelayedCall, Stamp, dump, read_entries
from llmclients.relay.codecs.blocks import CallBeginning
from llmclients.relay.codecs.options import Options, check_neutral, read_format, read_tools
from llmclients.relay.errors import Failure
from llmclients.types.request import TOOL_CHOICES
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

__all__ = ["HINTS", "OPTIONS", "EventEncoder", "error_body", "error_payload", "read_options", "reply_body"]

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
_TOOLS_AND_FORMS = frozenset(
    {"max_completion_tokens", "parallel_tool_calls", "response_format", "tool_choice", "tools", "top_logprobs"}
)
HINTS = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Members about bookkeeping, cost and speed, never about what the answer says: read by nobody here. So is
`stream_options.include_obfuscation`."""

# Values that ask for nothing that would not happen anyway.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "verbosity": ("medium",),
}


def read_options(payload: dict[str, Any], own: Iterable[str] = ()) -> Options:
    """The request's options, by the library's names. Whatever would change the answer is carried or refused.

    Args:
        payload: the request.
        own: options that the wire has besides the usual ones.

    Raises:
        UnsupportedOptionError: naming the member that cannot be carried.
        InvalidRequestError: naming the member that is wrong.
    """
    carried = {*OPTIONS, *own}
    options = Options({name: value for name, value in payload.items() if name in carried})
    for name, value in payload.items():
        if name == "logprobs" and value is True:
            options.add("logprobs", True)
        elif name == "verbosity" and value != "medium":
            options.add("verbosity", value)  # for a backing provider that has it
        elif name not in carried | _READ_ELSEWHERE | _TOOLS_AND_FORMS | HINTS:
            check_neutral(name, value, _NEUTRAL)
    options.add("max_tokens", payload.get("max_completion_tokens"))  # the newer name counts
    options.add("top_logprobs", payload.get("top_logprobs") or None)
    tools = read_tools(read_entries(payload, "tools") if "tools" in payload else [])
    options.add_tools(tools, _choice(payload.get("tool_choice")), payload.get("parallel_tool_calls"))
    if "response_format" in payload:
        options.add("response_format", read_format(payload["response_format"], "response_format", nested=True))
    return options


def _choice(choice: Any) -> str | None:
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("function"), dict):
        choice = choice["function"].get("name")
        if isinstance(choice, str) and choice:
            return choice
    elif choice is None or (isinstance(choice, str) and choice in TOOL_CHOICES):
        return choice
    raise InvalidRequestError(
        "tool_choice: the relay carries none, auto, required, or a function with its name", argument="tool_choice"
    )


def error_payload(failure: Failure) -> dict[str, Any]:
    """What went wrong, as a status' body and an event say it."""
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return {"error": error}


def error_body(failure: Failure) -> bytes:
    """The body of an error status."""
    return dump(error_payload(failure))


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
    message |= _echoed(response.provider_data)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(response.logprobs) if response.logprobs else None,
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
        self._calls: set[int] = set()  # those that have begun
        self._beginnings: dict[int, CallBeginning] = {}

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
        if pieces := [_piece(piece) for call in chunk.tool_calls for piece in self._pieces(call)]:
            delta["tool_calls"] = pieces
        if chunk.provider_data is not None:
            delta |= _echoed(chunk.provider_data)
        return events + self._event(delta, logprobs=chunk.logprobs) if delta else events

    def finish(self) -> bytes:
        calls = [_piece(beginning.whole()) for beginning in self._beginnings.values()]
        last = self._event({"tool_calls": calls}) if calls else b""
        last += self._event({}, _finish_word(self._finish_reason))
        if self._include_usage and self._usage is not None:
            last += _data({**self._head(), "choices": [], "usage": usage_payload(self._usage)})
        return last + b"data: [DONE]\n\n"

    def fail(self, failure: Failure) -> bytes:
        return _data(error_payload(failure))

    def _pieces(self, delta: ToolCallDelta) -> Iterator[ToolCallDelta]:
        """A piece of a call, and what had to wait for the call's id and name."""
        if delta.index in self._calls:
            yield ToolCallDelta(index=delta.index, arguments=delta.arguments)
        elif self._beginnings.setdefault(delta.index, CallBeginning(delta.index)).take(delta):
            self._calls.add(delta.index)
            yield self._beginnings.pop(delta.index).whole()

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._stamp.id,
            "object": "chat.completion.chunk",
            "created": self._stamp.created,
            "model": self._model or self._stamp.model,
        }

    def _event(
        self, delta: dict[str, Any], finish_word: str | None = None, logprobs: Sequence[TokenLogprob] = ()
    ) -> bytes:
        found = _logprobs(logprobs) if logprobs else None
        choice = {"index": 0, "delta": delta, "logprobs": found, "finish_reason": finish_word}
        usage = {"usage": None} if self._include_usage else {}
        return _data({**self._head(), "choices": [choice], **usage})


def _data(payload: dict[str, Any]) -> bytes:
    return b"data: " + dump(payload) + b"\n\n"


def _echoed(provider_data: dict[str, Any] | None) -> dict[str, Any]:
    """What another server of this wire wants back with the next turn."""
    members = (provider_data or {}).get(CHAT_ECHO)
    return {"reasoning_details": members["reasoning_details"]} if members and "reasoning_details" in members else {}


def _piece(piece: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": piece.arguments}
    if piece.name is not None:
        function = {"name": piece.name, **function}
    opening = {} if piece.id is None else {"id": piece.id, "type": "function"}
    return {"index": piece.index, **opening, "function": function}


def _logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    content = [_logprob(entry) | {"top_logprobs": [_logprob(other) for other in entry.top]} for entry in entries]
    return {"content": content, "refusal": None}


def _logprob(entry: TokenLogprob) -> dict[str, Any]:
    # A token that is a part of a character has no text, and its bytes are not known.
    found = None if "\ufffd" in entry.token else list(entry.token.encode())
    return {"token": entry.token, "logprob": entry.logprob, "bytes": found}


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
