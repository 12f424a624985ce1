"""Decoders of Ollama's replies, streams and errors (docs/protocols/ollama.md, "Replies and streams")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmclients.codecs.base import decode_json
from llmclients.codecs.bodies import is_beginning
from llmclients.codecs.errors import error_event
from llmclients.codecs.framing import MAX_EVENT_BYTES, LineDecoder
from llmclients.codecs.json_fields import (
    get_int,
    get_list,
    get_optional_str,
    get_str,
    optional,
    parse_logprob,
    unexpected_type,
)
from llmclients.codecs.ollama.names import CODEC_NAME
from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError
from llmclients.types.limits import check_call_count
from llmclients.types.response import (
    Chunk,
    FinishReason,
    OtherPart,
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
    "length": "length",
    "tool_calls": "tool_calls",  # not one of Ollama's own
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. The value itself is in `raw`.

So are `load` and `unload`: the model was only loaded, or removed, and has not answered.
"""

_CALL_MEMBERS = frozenset({"id", "type", "function", "index"})

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


@dataclass(frozen=True, slots=True)
class _Call:
    """A call as it came; the same call twice is equal.

    Attributes:
        id: the server's; None where it has none.
        place: `index` of its function, where the server has one.
        name: the function's.
        canonical: its arguments as JSON text, the members in order.
        arguments: as they came.
        members: what else it has.
    """

    id: str | None
    place: Any
    name: str
    canonical: str
    arguments: str = field(compare=False)
    members: dict[str, Any] = field(compare=False)

    @classmethod
    def read(cls, entry: Any) -> _Call:
        """The call that an entry is.

        Raises:
            APIResponseError: it is none.
        """
        function = entry.get("function") if type(entry) is dict else None
        if type(function) is not dict:
            raise unexpected_type("tool_calls[].function", function)
        arguments = function.get("arguments")
        if arguments is None or arguments == []:  # an empty object, as PHP writes it
            arguments = {}
        if type(arguments) is not dict:
            raise unexpected_type("tool_calls[].function.arguments", arguments)
        place = function.get("index")
        return cls(
            id=get_optional_str(entry, "id"),
            place=place if type(place) is int else None,
            name=get_str(function, "name"),
            canonical=json.dumps(arguments, sort_keys=True),
            arguments=json.dumps(arguments, ensure_ascii=False),
            members={name: value for name, value in entry.items() if name not in _CALL_MEMBERS and value is not None},
        )


class _Reader:
    """Objects of one answer to chunks: a whole reply is one of them, a stream has one on each line."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._ids: set[str] = set()  # that have gone out
        self._begun = False

    def read(self, payload: dict[str, Any]) -> Chunk:
        """The chunk that an object is.

        Raises:
            APIStatusError: it is an error.
            APIResponseError: it is nothing that the protocol knows.
        """
        message, model = payload.get("message"), get_optional_str(payload, "model")
        if payload.get("error"):  # newer servers may name its `status_code` beside it
            raise error_event(payload, default=500)
        if message is None and self._begun and payload.get("done") is True:  # only the end
            message = {}
        if type(message) is not dict:
            raise unexpected_type("message", message)
        self._begun = True
        if len(message) == 2 and message.get("role") == "assistant" and payload.keys() == _PLAIN_MEMBERS:
            text = message.get("content")
            if type(text) is str and payload["done"] is False:  # nearly every line of every stream
                return make_chunk(text, "assistant", None, (), None, None, model, None, payload)
        finished = payload.get("done") is True
        images = message.get("images")
        entries = get_list(message, "tool_calls")
        calls = self._new_calls(entries, last=finished) if entries else ()
        return make_chunk(
            get_str(message, "content"),
            get_optional_str(message, "role"),
            get_optional_str(message, "thinking"),
            calls,
            self._finish_reason(payload) if finished else None,
            _parse_usage(payload) if finished else None,
            model,
            None,
            payload,
            optional(_logprobs, payload) or (),
            other_parts=[OtherPart(kind="image", raw=image) for image in images] if type(images) is list else (),
        )

    def _new_calls(self, entries: list[Any], *, last: bool) -> list[ToolCallDelta]:
        """The calls of an object, without those that have come before.

        Calls come whole. One with the id, the name and the arguments of one before is that one. Without ids, nothing
        tells; but some servers end with all calls of the answer again, which are then exactly those before.
        """
        check_call_count(len(self._calls) + len(entries))
        found = [_Call.read(entry) for entry in entries]
        if last and found and found == self._calls:
            return []
        seen = {call for call in self._calls if call.id is not None}
        return [self._begin(call) for call in found if call not in seen]

    def _begin(self, call: _Call) -> ToolCallDelta:
        """A new call. Older servers give it no id; whoever answers needs one, and no two the same."""
        index = number = len(self._ids)
        id = call.id
        while id is None or id in self._ids:
            id = f"call_{number}"
            number += 1
        self._ids.add(id)
        self._calls.append(call)
        members = {CODEC_NAME: call.members} if call.members else None
        return ToolCallDelta(index=index, id=id, name=call.name, arguments=call.arguments, provider_data=members)

    def _finish_reason(self, payload: dict[str, Any]) -> FinishReason:
        """Why the answer ended. Calls count for more than a `stop`."""
        reason = FINISH_REASONS.get(get_str(payload, "done_reason"), "error")
        if self._ids:
            return "tool_calls" if reason == "stop" else reason
        return "error" if reason == "tool_calls" else reason


class LineStreamDecoder:
    """Lines of JSON to chunks: one for each line.

    Some proxies make events of the lines: `data:` before a line is dropped, and so are the other lines of an event. A
    body whose first line is no JSON by itself is read as a whole: a page, or one value on several lines.
    """

    def __init__(self) -> None:
        self.done = False
        self._lines = LineDecoder()
        self._reader = _Reader()
        self._begun = False
        self._whole: list[bytes] | None = None  # the lines of a body that is no stream
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for line in () if self.done else self._lines.feed(data):
            if line and not line.isspace():
                payload = self._payload(line)
                if payload is None:
                    continue
                chunk = self._reader.read(payload)
                if payload.get("done") is True:
                    self.done = True
                    yield chunk
                    return
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        """The last line may have no end. Only the beginning of one is a cut, not garbage."""
        last = self._lines.unfinished
        if not self.done and last and not last.isspace() and not is_beginning(last.removeprefix(b"data:")):
            payload = self._payload(last)
            if payload is not None:
                chunk = self._reader.read(payload)
                self.done = payload.get("done") is True
                yield chunk
        if self._whole is not None and not is_beginning(body := b"\n".join(self._whole)):
            chunk = decode_reply(body)
            self.done = True
            yield chunk
        if not self.done:
            raise StreamInterruptedError('the stream ended without its end mark, "done": true')

    def _payload(self, line: bytes) -> dict[str, Any] | None:
        """The object on a line; None for a line that brings none."""
        if self._whole is None and line[:1] != b"{":
            if line.startswith(b"data:"):
                line = line[5:]
                if line.strip() == b"[DONE]":
                    return None
            elif line.startswith((b":", b"event:", b"id:", b"retry:")):
                return None
        if self._whole is None:
            try:
                payload = decode_json(line, "line")
            except APIResponseError:
                if self._begun or line.lstrip()[:1] not in (b"{", b"[", b"<"):
                    raise
                self._whole = []
            else:
                self._begun = True
                return payload
        self._size += len(line)
        if self._size > MAX_EVENT_BYTES:
            raise ResponseTooLargeError(f"a reply is larger than {MAX_EVENT_BYTES} bytes")
        self._whole.append(line)
        return None


def _parse_usage(payload: dict[str, Any]) -> Usage | None:
    input_tokens, output_tokens = get_int(payload, "prompt_eval_count"), get_int(payload, "eval_count")
    if input_tokens is None and output_tokens is None:
        return None
    total = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
    return make_usage(input_tokens, output_tokens, total)


def _logprobs(payload: dict[str, Any]) -> list[TokenLogprob]:
    return [_logprob(entry) for entry in get_list(payload, "logprobs")]


def _logprob(entry: Any) -> TokenLogprob:
    """A token, and the likeliest in its place."""
    if type(entry) is not dict:
        raise unexpected_type("logprobs[]", entry)
    logprob = parse_logprob(entry.get("logprob"), "logprobs[].logprob")
    top = [_logprob(other) for other in get_list(entry, "top_logprobs")]
    return TokenLogprob(token=get_str(entry, "token"), logprob=logprob, top=top)
