"""Bodies for each codec's decoder to run on alone: made without a server, and cut into reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import wire
from llmclients.codecs.base import Codec
from llmclients.providers.registry import find_provider, provider_names
from llmclients.types.response import Chunk

__all__ = ["EVENT_CODECS", "codecs", "count_chunks", "decode", "reads"]


@dataclass(frozen=True)
class _StreamFormat:
    """How a wire streams an answer: what comes before its texts, one of them, and what comes after."""

    text: Callable[[str], bytes]
    before: bytes = b""
    after: tuple[bytes, ...] = ()
    content_type: str = "text/event-stream"


def _named_event(name: str, **members: Any) -> bytes:
    """An event with a name, which its data repeats."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _json({"type": name, **members}))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _candidate(text: str, **members: Any) -> bytes:
    content = {"parts": [{"text": text}], "role": "model"}
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 34, "totalTokenCount": 46}
    payload = {
        "candidates": [{"content": content, **members, "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }
    return b"data: %s\r\n\r\n" % json.dumps(payload).encode()


def _line(text: str, **members: Any) -> bytes:
    payload = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00.123456789Z", "done": False}
    return _json(payload | {"message": {"role": "assistant", "content": text}} | members) + b"\n"


_CHAT = _StreamFormat(lambda text: wire.event({"content": text}), after=(wire.event({}, "stop"), b"data: [DONE]\n\n"))
_RAW = _StreamFormat(str.encode, content_type="text/plain")
_PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
_EVENTS: Mapping[str, _StreamFormat] = {
    "openai": _CHAT,
    "ylokh": _CHAT,
    "openai-responses": _StreamFormat(
        lambda text: _named_event("response.output_text.delta", sequence_number=7, **_PLACE, delta=text, logprobs=[]),
        _named_event("response.created", response={"id": "resp_1", "model": "gpt-5-mini", "status": "in_progress"}),
        (_named_event("response.completed", response={"id": "resp_1", "status": "completed", "output": []}),),
    ),
    "anthropic": _StreamFormat(
        lambda text: _named_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
        _named_event(
            "message_start", message={"id": "msg_1", "model": "claude-sonnet-4-5", "role": "assistant", "content": []}
        )
        + _named_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        (
            _named_event("content_block_stop", index=0),
            _named_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 34}),
            _named_event("message_stop"),
        ),
    ),
    "gemini": _StreamFormat(_candidate, after=(_candidate("", finishReason="STOP"),)),
    "cohere": _StreamFormat(
        lambda text: _named_event("content-delta", index=0, delta={"message": {"content": {"text": text}}}),
        _named_event(
            "message-start", id="c-1", delta={"message": {"role": "assistant", "content": [], "tool_calls": []}}
        )
        + _named_event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}}),
        (_named_event("content-end", index=0), _named_event("message-end", delta={"finish_reason": "COMPLETE"})),
    ),
    "ollama": _StreamFormat(
        _line, after=(_line("", done=True, done_reason="stop", eval_count=34),), content_type="application/x-ndjson"
    ),
}
EVENT_CODECS = frozenset(_EVENTS)
"""The codecs whose body is events; the others' is the text itself."""


def codecs() -> dict[str, Codec]:
    """Every codec that some provider uses, once."""
    loaded = (find_provider(name).load_codec() for name in provider_names())
    return {codec.name: codec for codec in loaded}


def reads(codec: str, count: int, per_read: int) -> list[bytes]:
    """A body of `count` texts as the network may bring it, `per_read` texts at a time."""
    stream_format = _EVENTS.get(codec, _RAW)
    parts = [stream_format.text(text) for text in wire.texts(count)]
    together = (b"".join(parts[start : start + per_read]) for start in range(0, count, per_read))
    return [*filter(None, (stream_format.before, *together)), *stream_format.after]


def decode(codec: Codec, parts: list[bytes]) -> Iterator[Chunk]:
    """The chunks of a body."""
    decoder = codec.stream_decoder(_EVENTS.get(codec.name, _RAW).content_type)
    for part in parts:
        yield from decoder.feed(part)
    yield from decoder.finish()


def count_chunks(codec: Codec, parts: list[bytes]) -> int:
    """How many there are. None is kept: that would be the garbage collector's time, not the decoder's."""
    count = 0
    for _ in decode(codec, parts):
        count += 1
    return count
