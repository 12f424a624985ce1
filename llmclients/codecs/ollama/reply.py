"""`ollama`: replies and streams in (PROTOCOLS 14.2 and 14.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import error_message
from llmclients.codecs.framing import LineDecoder
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
)

__all__ = ["StreamDecoder", "decode_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "": "stop",
    "stop": "stop",
    "load": "stop",
    "unload": "stop",
    "length": "length",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one."""

_NOTHING_ELSE = {"model", "created_at", "message", "done"}


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    chunk = _Reader().read(decode_json(body))
    return ChatResponse(
        text=chunk.text,
        reasoning=chunk.reasoning,
        tool_calls=[
            ToolCall(id=call.id or "", name=call.name or "", arguments=call.arguments) for call in chunk.tool_calls
        ],
        finish_reason=chunk.finish_reason,
        usage=chunk.usage,
        model=chunk.model,
        raw=chunk.raw,
        logprobs=list(chunk.logprobs) or None,
    )


class _Reader:
    """Objects of one answer to chunks: a whole reply is one of them, a stream has one on each line."""

    def __init__(self) -> None:
        self._ids: set[str] = set()  # of the calls so far

    def read(self, payload: dict[str, Any]) -> Chunk:
        """The chunk that an object is.

        Raises:
            APIStatusError: it is an error.
            APIResponseError: it is nothing that the protocol knows.
        """
        message, model = payload.get("message"), get_optional_str(payload, "model")
        if payload.get("error"):
            _raise_error(payload)
        if type(message) is not dict:
            raise unexpected_type("message", message)
        if len(message) == 2 and message.get("role") == "assistant" and payload.keys() == _NOTHING_ELSE:
            text = message.get("content")
            if type(text) is str and payload["done"] is False:  # nearly every line of every stream
                return make_chunk(text, "assistant", None, (), None, None, model, None, payload)
        calls = [self._call(entry) for entry in get_list(message, "tool_calls")]
        finished = payload.get("done") is True
        return make_chunk(
            get_str(message, "content"),
            get_optional_str(message, "role"),
            get_str(message, "thinking") or None,
            calls,
            self._finish_reason(payload) if finished else None,
            _usage(payload) if finished else None,
            model,
            None,
            payload,
            [_logprob(entry) for entry in get_list(payload, "logprobs")],
        )

    def _call(self, entry: Any) -> ToolCallDelta:
        """A call, which comes whole. Older servers give it no id; whoever answers needs one, and no two the same."""
        function = entry.get("function") if type(entry) is dict else None
        if type(function) is not dict:
            raise unexpected_type("tool_calls[].function", function)
        arguments = function.get("arguments")
        if arguments is None:
            arguments = {}
        if type(arguments) is not dict:
            raise unexpected_type("tool_calls[].function.arguments", arguments)
        index = number = len(self._ids)
        id = get_optional_str(entry, "id")
        while id is None or id in self._ids:
            id = f"call_{number}"
            number += 1
        self._ids.add(id)
        text = json.dumps(arguments, ensure_ascii=False)
        return ToolCallDelta(index=index, id=id, name=get_str(function, "name"), arguments=text)

    def _finish_reason(self, payload: dict[str, Any]) -> FinishReason:
        """Why the answer ended. Calls count for more than a `stop`."""
        reason = FINISH_REASONS.get(get_str(payload, "done_reason"), "error")
        return "tool_calls" if reason == "stop" and self._ids else reason


class StreamDecoder:
    """Lines of JSON to chunks: one for each line."""

    def __init__(self) -> None:
        self.done = False
        self._lines = LineDecoder()
        self._reader = _Reader()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for line in () if self.done else self._lines.feed(data):
            if line and not line.isspace():
                payload = decode_json(line, "line")
                chunk = self._reader.read(payload)
                if payload.get("done") is True:
                    self.done = True
                    yield chunk
                    return
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        """The last line may have no end. Half a line is a cut, not garbage."""
        last = self._lines.unfinished
        if not self.done and last and not last.isspace():
            try:
                payload = decode_json(last, "line")
            except APIResponseError:
                if not last.lstrip().startswith(b"{"):
                    raise
            else:
                chunk = self._reader.read(payload)
                self.done = payload.get("done") is True
                yield chunk
        if not self.done:
            raise StreamInterruptedError('the stream ended without its end mark, "done": true')


def _raise_error(payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200. Newer servers may name its status."""
    status = payload.get("status_code")
    if type(status) is not int or not 400 <= status < 600:
        status = 500
    words = error_message(payload)
    raise status_error_class(status)(
        f"the provider reported an error: {words}" if words else "the provider reported an error",
        status_code=status,
        body=payload,
    )


def _usage(payload: dict[str, Any]) -> Usage | None:
    read, written = get_int(payload, "prompt_eval_count"), get_int(payload, "eval_count")
    if read is None and written is None:
        return None
    total = None if read is None or written is None else read + written
    return Usage(input_tokens=read, output_tokens=written, total_tokens=total)


def _logprob(entry: Any) -> TokenLogprob:
    if type(entry) is not dict:
        raise unexpected_type("logprobs[]", entry)
    value: Any = entry.get("logprob")
    if type(value) not in (int, float) or not abs(value) < 1e9:  # no NaN either
        raise APIResponseError("logprobs[].logprob is no log probability: not what the protocol says")
    top = [_logprob(one) for one in get_list(entry, "top_logprobs")]
    return TokenLogprob(token=get_str(entry, "token"), logprob=value, top=top)
