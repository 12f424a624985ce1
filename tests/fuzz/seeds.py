"""Inputs to begin with: the recordings of the wire tests, and a few words of each format."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

WIRE = Path(__file__).parents[1] / "wire"
CORPUS = Path(__file__).parent / "corpus"

WORDS = (
    "data: ", "event: ", "error: ", ": ping", "[DONE]", "\n\n", "\r\n\r\n", "\r\r", "\ufeff", '"choices"', '"delta"',
    '"message"', '"content"', '"finish_reason"', '"tool_calls"', '"function"', '"arguments"', '"index"', '"usage"',
    '"error"', '"code"', '"type"', '"refusal"', '"reasoning_content"', '"object":"error"', '"error_message"', "null",
    '"stop"', '"\\ud800"', "1e400", "NaN", "-1", '"role"', '"text"', '"detail"', '"prompt_tokens_details"',
    "insufficient_quota", "sorry, 您的ip已由于触发防滥用检测而被封禁", "<!doctype html>", "<title>", "0\r\n\r\n",
    "content_block_delta", "message_stop", '"partial_json"', '"content_block"', '"candidates"', '"parts"', '"finishReason"',
    '"functionCall"', '"args"', '"thought"', "content-delta", "message-end", "tool-call-delta", '"done":true',
    "response.output_text.delta", "response.completed", '"item"', '"output"', '"status"', '"function_call"', '"extra_content"',
    "response.function_call_arguments.delta",
    '"\\ud83d"', '"\\ude00"', "<think>", "</think>", '"x_groq"', '"prompt_cache_hit_tokens"', "<html>", "upstream error",
    "Retry-After", "Wed, 21 Oct 2099 07:28:00 GMT", "socks5h://", "http://", "https://", "@", "[::1]", "%0d%0a",
)  # fmt: skip
"""The fuzzer's dictionary."""

_SINGLE = {
    "retry-headers": [
        b"120",
        b"1.5\n1500",
        b"Wed, 21 Oct 2099 07:28:00 GMT",
        b"Wednesday, 21-Oct-99 07:28:00 GMT",
        b"-1",
    ],
    "arguments": [b"http://user:pw@host:8080", b"socks5h://[::1]:1080", b"host.test/v1", b"X-A: 1\r\nX-B: 2"],
    "chunked-body": [b"\0\1\2\3" + b"5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n", b"\0\0\0\0" + b"A\nhello word\n0\n\n"],
    "packed-body": [b"\0\1\2\3" + gzip.compress(b"hello " * 30), b"\1\1\2\3" + zlib.compress(b"hello " * 30)],
    "prompt": [
        b"\0" + json.dumps([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}] * 2).encode(),
        b"\1" + json.dumps([{"role": "system", "content": "S"}, {"role": "user", "content": None}]).encode(),
        b"\7line\nanother",
    ],
}


def seeds(target: str, *, share: int = 1) -> list[bytes]:
    """What the search for this target begins with; the regression inputs are among them.

    Args:
        target: its name.
        share: the odd ways of sending take turns: every how many recordings each is tried.
    """
    found = list(_SINGLE.get(target, ()))
    if target.startswith("stream-"):
        recorded = _recorded(target.removeprefix("stream-"), "streams")
        for at, body in enumerate(recorded):
            odd = [sent for way, sent in enumerate(_as_odd_servers_send(body)) if (at + way) % share == 0]
            found += [b"\0\7\3\1" + _bytes for _bytes in (body, *odd)]
        if target == "stream-openai":
            found += [b"\0\7\3\1" + _bytes for _bytes in _odd_calls()]
    elif target in ("lines", "sse"):
        found += [b"\0\7\3\1" + _bytes for _bytes in _recorded("*", "streams")[:60]]
    elif target == "text":
        found += [b"\0\7\3\1" + _bytes for _bytes in _recorded("yqcloud", "streams")]
    elif target == "replies":
        found += _recorded("*", "replies")
    elif target == "error-bodies":
        found += [b"\1\2tr" + _bytes for _bytes in _recorded("*", "errors")]
    return found + regressions(target)


def _as_odd_servers_send(body: bytes) -> list[bytes]:
    """A stream without its last line end, behind a page, as a proxy words it, with half a character, with a text count."""
    return [
        body.rstrip(b"\r\n"),
        b"<html><title>x</title>" + body,
        b"upstream error\n" + body,
        body.replace(b'":"', b'":"\\ude00', 3).replace(b'"}', b'\\ud83d"}', 3),
        body.replace(b'"delta"', b'"message"'),
        body.replace(b'tokens":', b'tokens":"x","y":'),
        body.replace(b'"content":"', b'"content":"<think>a</think>', 1),
        body[body.find(b"{") : body.rfind(b"}") + 1],
    ]


def regressions(target: str) -> list[bytes]:
    """Inputs that once did not do."""
    return [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


def _odd_calls() -> list[bytes]:
    """Streams of the tool calls of odd servers: each habit of one piece after another of any other."""
    forms: list[dict[str, Any]] = [
        {"index": 0, "id": "a", "function": {"name": "edit", "arguments": ""}},
        {"index": 0, "id": "b", "function": {"name": "_file", "arguments": '{"q":1}'}},
        {"index": 0, "function": {"arguments": '{"q"'}},
        {"index": "1", "function": {"name": "edit", "arguments": "{}"}},
        {"id": "a", "name": "edit", "arguments": {"q": 1}, "extra_content": {"google": {"thought_signature": "s"}}},
        {"function": {"arguments": ':{"x":[]}}'}},
    ]
    found = []
    for first in forms:
        for second in forms:
            choices = [{"delta": {"tool_calls": [entry]}} for entry in (first, second, *forms[2:3], *forms[5:])]
            events = [*choices, {"delta": {}, "finish_reason": "tool_calls"}]
            data = "".join(f"data: {json.dumps({'choices': [event]})}\n\n" for event in events)
            found.append(f"{data}data: [DONE]\n\n".encode())
    return found


def _recorded(provider: str, kind: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(WIRE.glob(f"{provider}/{kind}/*")) if path.suffix != ".json"]
