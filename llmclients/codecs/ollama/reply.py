"""Decoders of Ollama's replies, streams and errors (docs/protocols/ollama.md, "Replies and streams")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import error_event
from llmclients.codecs.framing import LineDecoder
from llmclients.codecs.json_fields import get_int, get_list, get_optional_str, get_str, parse_logprob, unexpected_type
from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError
from llmclients.types.response import (
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_usage,
)

__all__ = ["LineStreamDecoder", "decode_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "": "stop",
    "stop": "stop",
    "load": "stop",
    "unload": "stop",
    "length": "length",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. The value itself is in `raw`."""

_PLAIN_MEMBERS = {"model", "created_at", "message", "done"}
"""Those of a line that has new text and nothing else."""


def decode_reply(body: bytes) -> Chunk:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    chunk = _Reader().read(decode_json(body))
    return chunk.model_copy(update={"role": "assistant"})  # which some servers leave out


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
        if payload.get("error"):  # newer servers may name its `status_code` beside it
            raise error_event(payload, default=500)
        if type(message) is not dict:
            raise unexpected_type("message", message)
        if len(message) == 2 and message.get("role") == "assistant" and payload.keys() == _PLAIN_MEMBERS:
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
            _parse_usage(payload) if finished else None,
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


class LineStreamDecoder:
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
        """The last line may have no end. Only the beginning of one is a cut, not garbage."""
        last = self._lines.unfinished
        if not self.done and last and not last.isspace():
            try:
                payload = decode_json(last, "line")
            except ResponseTooLargeError:
                raise
            except APIResponseError:
                if not last.lstrip().startswith(b"{"):
                    raise
            else:
                chunk = self._reader.read(payload)
                self.done = payload.get("done") is True
                yield chunk
        if not self.done:
            raise StreamInterruptedError('the stream ended without its end mark, "done": true')


def _parse_usage(payload: dict[str, Any]) -> Usage | None:
    input_tokens, output_tokens = get_int(payload, "prompt_eval_count"), get_int(payload, "eval_count")
    if input_tokens is None and output_tokens is None:
        return None
    total = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
    return make_usage(input_tokens, output_tokens, total)


def _logprob(entry: Any) -> TokenLogprob:
    """A token, and the likeliest in its place."""
    if type(entry) is not dict:
        raise unexpected_type("logprobs[]", entry)
    logprob = parse_logprob(entry.get("logprob"), "logprobs[].logprob")
    top = [_logprob(other) for other in get_list(entry, "top_logprobs")]
    return TokenLogprob(token=get_str(entry, "token"), logprob=logprob, top=top)
