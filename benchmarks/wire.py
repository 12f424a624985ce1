"""What the canned server sends, rendered once: every runner of a workload gets the same bytes."""

from __future__ import annotations

import json
from typing import Any

__all__ = [
    "MODEL",
    "PROMPT",
    "burst",
    "chat_reply",
    "closing",
    "content_events",
    "event",
    "opening",
    "paced_event",
    "texts",
]

MODEL = "gpt-4.1-mini"
PROMPT = [{"role": "user", "content": "Tell me a story."}]

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nx-request-id: req_1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_USAGE = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
_MARK = "@@"


def texts(count: int) -> list[str]:
    """The new text of each of a reply's chunks."""
    return [f"tok{index} " for index in range(count)]


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    """One event, as OpenAI sends it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _data(_payload([choice], None))


def _payload(choices: list[Any], usage: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-A1b2C3",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": MODEL,
        "choices": choices,
        "usage": usage,
    }


def _data(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunked(part: bytes) -> bytes:
    """`part` as one HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(part), part)


def opening() -> bytes:
    """The head of a streamed answer, and the event that only names the role."""
    return _STREAM_HEAD + chunked(event({"role": "assistant", "content": ""}))


def closing() -> bytes:
    """The events after the last text, and the end of the body."""
    parts = (event({}, "stop"), _data(_payload([], _USAGE)), b"data: [DONE]\n\n")
    return b"".join(map(chunked, parts)) + b"0\r\n\r\n"


def content_events(count: int, per_chunk: int = 1) -> bytes:
    """Events with text, so many in an HTTP chunk."""
    events = [event({"content": text}) for text in texts(count)]
    parts = (b"".join(events[start : start + per_chunk]) for start in range(0, count, per_chunk))
    return b"".join(map(chunked, parts))


def burst(count: int, per_chunk: int) -> bytes:
    """A whole streamed answer."""
    return opening() + content_events(count, per_chunk) + closing()


_BEFORE, _AFTER = event({"content": _MARK}).split(_MARK.encode())


def paced_event(index: int, now: float) -> bytes:
    """An event whose text says when it was sent, as an HTTP chunk."""
    return chunked(b"%s%d:%.6f%s" % (_BEFORE, index, now, _AFTER))


def chat_reply() -> bytes:
    """A whole answer that is no stream."""
    message = {"role": "assistant", "content": "Once upon a time there was a wire. " * 8, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**_payload([choice], _USAGE), "object": "chat.completion"}).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_1\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
