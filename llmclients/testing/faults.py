"""The catalogue of faults: functions that spoil a provider's good `Answer`, and return a script for `FaultServer`.

```python
answer = sse_answer({"choices": [{"index": 0, "delta": {"content": "Hello"}}]}, "[DONE]")
with FaultServer(FAULTS["cut inside a chunk"](answer)) as server: ...
```

`answer.script()` is the good answer itself. A port that refuses connections is `FaultServer(refuse=True)`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from llmclients.testing.script import EARLY, END, HOLD, RESET, Forever, Script, Step, chunked, drip, http

__all__ = [
    "ERROR_BODIES",
    "FAULTS",
    "Answer",
    "Fault",
    "early_end",
    "error_reply",
    "json_answer",
    "redirect",
    "sse_answer",
    "text_answer",
    "wrong_types",
]

PAUSE = 0.02
"""Seconds between the last bytes and a reset, so that the bytes arrive before it and are not dropped by it."""


@dataclass(frozen=True)
class Answer:
    """A provider's good answer.

    Attributes:
        pieces: the body, in the pieces that it is sent in.
        content_type: the header.
        headers: others, by name.
    """

    pieces: tuple[bytes, ...]
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.pieces)

    def head(self, *more: tuple[str, str], status: str = "200 OK") -> bytes:
        """The head, with further headers `more`; the body is chunked unless `more` has another framing."""
        framed = any(name in ("Content-Length", "Connection") for name, _ in more)
        framing = () if framed else (("Transfer-Encoding", "chunked"),)
        return http(status, (("Content-Type", self.content_type), *self.headers, *framing, *more), None)

    def script(self) -> Script:
        """The script that sends the answer, each piece in a chunk."""
        return [self.head(), chunked(*self.pieces)]

    def first(self, pieces: int) -> bytes:
        """The bytes of the head and of so many pieces, without an end."""
        return self.head() + chunked(*self.pieces[:pieces], last=False)

    def with_body(self, body: bytes, content_type: str | None = None) -> Script:
        """The script that sends another body under the same head."""
        answer = Answer((body,), content_type or self.content_type, self.headers)
        return [answer.head(), chunked(*filter(None, answer.pieces))]


def text_answer(*texts: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer in plain text, each text a piece."""
    return Answer(tuple(text.encode() for text in texts), headers=headers)


def json_answer(value: Any, headers: tuple[tuple[str, str], ...] = (), pieces: int = 3) -> Answer:
    """One JSON value, in about so many pieces."""
    body = json.dumps(value, ensure_ascii=False).encode()
    size = -(-len(body) // pieces)
    return Answer(tuple(body[at : at + size] for at in range(0, len(body), size)), "application/json", headers)


def sse_answer(*events: Any, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Server-sent events with these data: text as it is, anything else as JSON. Each event is a piece."""
    texts = (event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events)
    return Answer(tuple(f"data: {text}\n\n".encode() for text in texts), "text/event-stream", headers)


Fault = Callable[[Answer], Script]
"""What goes wrong with an answer: the script that sends it so."""


def early_end(answer: Answer, after: int = 1) -> Script:
    """The body ends after so many pieces, cleanly as far as HTTP can tell."""
    return [answer.first(after), chunked()]


def _cut_after(answer: Answer, pieces: int, end: str) -> Script:
    return [answer.first(pieces), PAUSE, end]


def _inside_head(answer: Answer) -> bytes:
    return answer.head()[:-20]


def _cut_chunk(answer: Answer, end: Step = END) -> Script:
    piece = answer.pieces[1]
    return [answer.first(1), b"%x\r\n" % len(piece) + piece[: len(piece) // 2], end]


def _cut_character(answer: Answer) -> Script:
    """The body ends cleanly after the first byte of its first character that is not ASCII."""
    size = next(index for index, byte in enumerate(answer.body) if byte > 127) + 1
    return answer.with_body(answer.body[:size])


def _malformed_json(answer: Answer) -> Script:
    first = answer.pieces[0]
    return [answer.head(), chunked(first.replace(b":", b"::", 2).replace(b'"', b"", 1), *answer.pieces[1:])]


def _gzipped(answer: Answer, data: bytes) -> Script:
    return [answer.head(("Content-Encoding", "gzip"), ("Content-Length", str(len(data)))) + data]


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(64 * 1024 * 1024))


def redirect(status: int, location: str) -> Fault:
    """A redirect with this status to this address."""
    return lambda answer: [http(f"{status} Moved", (("Location", location), *answer.headers))]


HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"

FAULTS: Mapping[str, Fault] = {
    # before and inside the head
    "reset at once": lambda answer: [EARLY, RESET],
    "end at once": lambda answer: [EARLY, END],
    "reset before the head": lambda answer: [RESET],
    "end before the head": lambda answer: [END],
    "reset inside the head": lambda answer: [_inside_head(answer), PAUSE, RESET],
    "end inside the head": lambda answer: [_inside_head(answer), END],
    "no answer": lambda answer: [HOLD],
    "stall inside the head": lambda answer: [_inside_head(answer), HOLD],
    "slow head": lambda answer: [drip(answer.head(), 0.001, 12), chunked(*answer.pieces)],
    "endless dripping head": lambda answer: [answer.head()[:-2], Forever([b"X-A: b\r\n" * 5, 0.001])],
    "not HTTP": lambda answer: [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", HOLD],
    "giant header": lambda answer: [answer.head()[:-2], b"X-Giant: " + b"x" * 200_000 + b"\r\n\r\n", HOLD],
    "endless header": lambda answer: [answer.head()[:-2] + b"X-Endless: ", Forever([b"x" * 65536])],
    "large header": lambda answer: [answer.head(("X-Large", "x" * 30_000)), chunked(*answer.pieces)],
    "100 before 200": lambda answer: [http("100 Continue", body=None), answer.script()],
    "103 before 200": lambda answer: [http("103 Early Hints", [("Link", "</a>")], None), PAUSE, answer.script()],
    "endless 102": lambda answer: [Forever([http("102 Processing", body=None)])],
    # inside the body
    "reset after the head": lambda answer: _cut_after(answer, 0, RESET),
    "end after the head": lambda answer: _cut_after(answer, 0, END),
    "stall after the head": lambda answer: [answer.head(), HOLD],
    "reset after a piece": lambda answer: _cut_after(answer, 1, RESET),
    "end after a piece": lambda answer: _cut_after(answer, 1, END),
    "stall after a piece": lambda answer: [answer.first(1), HOLD],
    "stall at the end": lambda answer: [answer.first(3), HOLD],
    "slow body": lambda answer: [
        answer.head(),
        [[chunked(piece, last=False), 0.005] for piece in answer.pieces],
        chunked(),
    ],
    "dripping body": lambda answer: [answer.head(), drip(chunked(*answer.pieces), 0.0005, 16)],
    "missing last chunk": lambda answer: [answer.first(len(answer.pieces)), END],
    "short Content-Length": lambda answer: [
        answer.head(("Content-Length", str(len(answer.body) + 9))),
        answer.body,
        END,
    ],
    "cut inside a chunk": _cut_chunk,
    "reset inside a chunk": lambda answer: _cut_chunk(answer, [PAUSE, RESET]),
    "malformed chunk size": lambda answer: [answer.first(1), PAUSE, b"zz\r\nhello\r\n", HOLD],
    "clean early end": early_end,
    "early end without a framing": lambda answer: [answer.head(("Connection", "close")), answer.pieces[0], END],
    "cut inside a character": _cut_character,
    "empty body": lambda answer: answer.with_body(b""),
    "no content": lambda answer: [http("204 No Content", answer.headers, None)],
    # another body
    "HTML page": lambda answer: answer.with_body(HTML, "text/html"),
    "HTML page, unlabelled": lambda answer: answer.with_body(HTML),
    "plain text": lambda answer: answer.with_body(b"upstream connect error", "text/plain"),
    "not UTF-8": lambda answer: answer.with_body(bytes(255 if byte > 127 else byte for byte in answer.body)),
    "gzip": lambda answer: _gzipped(answer, gzip.compress(answer.body)),
    "cut gzip": lambda answer: _gzipped(answer, gzip.compress(answer.body)[:-6]),
    "broken gzip": lambda answer: _gzipped(answer, b"this is not gzip at all"),
    "gzip bomb": lambda answer: _gzipped(answer, _gzip_bomb()),
    "unknown encoding": lambda answer: [answer.head(("Content-Encoding", "br")), chunked(*answer.pieces)],
    "endless line": lambda answer: [answer.first(1), Forever([chunked(b"x" * 65536, last=False)])],
    "endless stream": lambda answer: [answer.head(), Forever([chunked(answer.pieces[0] * 20, last=False)])],
    # JSON and events
    "malformed JSON": _malformed_json,
}
"""Faults by name. Some are none on some wires: for a body that is nothing but text, any other text is as good."""

ERROR_BODIES: Mapping[str, tuple[str, bytes]] = {
    "object": ("application/json", b'{"error": {"message": "said so", "type": "test_error", "code": null}}'),
    "list": ("application/json", b'[{"error": {"code": 1, "message": "said so", "status": "TEST"}}]'),
    "string": ("application/json", b'"said so"'),
    "HTML": ("text/html", b"<html><head><title>said so</title></head><body>...</body></html>"),
    "empty": ("text/plain", b""),
}
"""Bodies that error statuses come with, by kind: content type and bytes."""


def error_reply(status: int, kind: str = "object", headers: Sequence[tuple[str, str]] = ()) -> Script:
    """The script of a reply with an error status and the body of this kind in `ERROR_BODIES`."""
    content_type, body = ERROR_BODIES[kind]
    return [http(f"{status} Test", (("Content-Type", content_type), *headers), body)]


_ONE_OF_EACH_TYPE: tuple[Any, ...] = (None, True, 7, 2.5, "word", [], {}, ["word"], {"word": 7})


def wrong_types(value: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """A JSON value with values of other types in each of its positions, one at a time.

    Yields:
        The position, as in `choices[0].delta`; the value that is there now; the whole value with it.
    """
    for other in _ONE_OF_EACH_TYPE:
        if type(other) is not type(value) or (other in ({}, []) and value != other):
            yield path or "all", other, other
    if isinstance(value, dict):
        for name, member in value.items():
            for where, other, changed in wrong_types(member, f"{path}.{name}" if path else name):
                yield where, other, {**value, name: changed}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for where, other, changed in wrong_types(item, f"{path}[{index}]"):
                yield where, other, [*value[:index], changed, *value[index + 1 :]]
