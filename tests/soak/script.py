"""What the soak's server says to each request, faults included, and what a client must make of it.

Server and client share this file and nothing else: a request names its number and its fault, and both sides know the rest.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence

from llmclients.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
)

VARIANTS = 997
"""Different answers: one that reached the wrong caller is found out, all but one time in so many."""

KEEP, CLOSE, RESET, STALL = "keep", "close", "reset", "stall"
ONCE = "-once"
"""A fault with this ending strikes only the first attempt: the second one gets the good answer."""

_COMMON: dict[str, type[APIError]] = {
    "reset": APIConnectionError,
    "close": APIConnectionError,
    "cut": StreamInterruptedError,
    "cut-reset": StreamInterruptedError,
    "busy": InternalServerError,
    "limit": RateLimitError,
    "refused": BadRequestError,
    "malformed": APIResponseError,
}
EXPECTED: dict[str, dict[str, type[APIError]]] = {
    "reply": {**_COMMON, "html": APIResponseError, "error": InternalServerError},
    "events": {**_COMMON, "early": StreamInterruptedError, "error": InternalServerError},
    "text": _COMMON,
}
"""The error that each fault of each wire is. `stall` stands apart, for it takes its time."""

STALLED = APITimeoutError
MENDED = ("reset", "close", "cut", "cut-reset", "busy", "limit")
"""The faults that another attempt can mend."""

_ALPHABET = 'abcdefghijklmnopqrstuvwxyz     .,!?\n"\\{}[]:äöüß€中文🙂'


@functools.cache
def answer(variant: int) -> str:
    """The text of an answer. Never begins like the ban notice of yqcloud, whose beginning is held back."""
    rng = random.Random(variant)
    return f"{variant}: " + "".join(rng.choices(_ALPHABET, k=rng.randint(80, 600)))


@functools.cache
def rendered(wire: str, variant: int, fault: str) -> tuple[bytes, str]:
    """The bytes that are sent, and how the connection goes on."""
    head, body = _good(wire, answer(variant))
    middle = max(len(body) // 2, 1)
    match fault:
        case "ok":
            return head + body, KEEP
        case "reset" | "close":
            return b"", fault
        case "cut":
            return head + body[:middle], CLOSE
        case "cut-reset":
            return head + body[:middle], RESET
        case "stall":
            return head + body[:middle], STALL
        case "busy":
            return _plain("503 Service Unavailable", b"<h1>busy</h1>", "Retry-After-Ms: 4\r\n"), KEEP
        case "limit":
            return _plain("429 Too Many Requests", b'{"error":{"message":"slow down"}}', "Retry-After-Ms: 3\r\n"), KEEP
        case "refused":
            return _plain("400 Bad Request", b'{"error":{"message":"no"}}'), KEEP
        case "html":
            return _plain("200 OK", b"<!doctype html><title>Gateway</title>"), KEEP
        case "error" if wire == "reply":
            return _plain("200 OK", _ERROR), KEEP
        case "malformed" if wire == "reply":
            return _plain("200 OK", body[:middle]), KEEP
    pieces = _pieces(wire, answer(variant))
    if fault == "early":
        return head + _chunked(pieces[:-2]), KEEP
    broken = {"text": b"\xff\xfe", "events": b'data: {"choices":[{]}\n\n'}[wire] if fault == "malformed" else b""
    return head + _chunked([*pieces[:3], broken or b"data: " + _ERROR + b"\n\n"]), KEEP


_ERROR = b'{"error":{"message":"it broke","type":"server_error"}}'


def _plain(status: str, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _good(wire: str, text: str) -> tuple[bytes, bytes]:
    """Head and body of the good answer."""
    if wire == "reply":
        body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body
    kind = "text/event-stream" if wire == "events" else "application/octet-stream"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head, _chunked(_pieces(wire, text))


def _pieces(wire: str, text: str) -> Sequence[bytes]:
    words = [text[at : at + 5] for at in range(0, len(text), 5)]
    if wire == "text":
        return [word.encode() for word in words]
    deltas = [{"content": word} for word in words]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in [*events, last]] + [b"data: [DONE]\n\n"]


def _chunked(pieces: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
