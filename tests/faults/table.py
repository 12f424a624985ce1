"""The fault table: what goes wrong, and what a caller is told. Data only; `test_faults` runs it, `summary` renders it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmclients.errors import (
    APIStatusError,
    AuthenticationError,
    InternalServerError,
    OverloadedError,
    RateLimitError,
)
from llmclients.testing.faults import FAULTS, HTML, Answer
from llmclients.testing.script import Script, chunked, http

from .expect import (
    ANY,
    BROKEN,
    CHAT_COMPLETIONS,
    EVENTS,
    GARBAGE,
    GOOD,
    LOST,
    PARTS,
    REQUEST_ID,
    SILENT,
    TEXT,
    TOO_LARGE,
    Expect,
    Row,
    sse,
)
from .statuses import REDIRECT_ROWS, RETRY_ROWS, STATUS_ROWS

P0 = PARTS[0]
SHORT = {"read": 0.15}
ONCE = {**SHORT, "retry": 1}
"""Silence takes time: that it is tried again, two rows show."""
_ID = (("X-Request-Id", REQUEST_ID),)


def row(name: str, expect: Expect | Mapping[str, Expect], **options: Any) -> Row:
    """One of `FAULTS`."""
    return Row(name, FAULTS[name], expect if isinstance(expect, Mapping) else {"*": expect}, options)


def at_text(expect: Expect, partial: str = P0) -> dict[str, Expect]:
    """After a piece has come: a streamed wire has it, one JSON reply has nothing."""
    return {"text": expect.after(partial), "sse": expect.after(partial), "json": expect}


def cut_body(expect: Expect) -> dict[str, Expect]:
    """The body was whole, only its framing is not. The provider's own end mark is enough."""
    return {"text": expect.after(TEXT), "sse": GOOD, "json": expect}


def once(expect: Expect) -> Expect:
    return replace(expect, attempts=1)


# --- the way there --------------------------------------------------------------------------------------------------

TRANSPORT_ROWS = [
    Row("refuse", None, {"*": LOST}),
    row("reset at once", LOST),
    row("end at once", LOST),
    row("reset before the head", LOST),
    row("end before the head", LOST),
    row("reset inside the head", LOST),
    row("end inside the head", LOST),
    row("no answer", SILENT.unknown(), **SHORT),
    row("stall inside the head", once(SILENT.unknown()), **ONCE),
    row("slow head", GOOD),
    row("endless dripping head", GARBAGE.unknown()),
    row("not HTTP", GARBAGE.unknown()),
    row("giant header", GARBAGE.unknown()),
    row("endless header", GARBAGE.unknown()),
    row("large header", GOOD),
    row("100 before 200", GOOD),
    row("103 before 200", GOOD),
    row("endless 102", GARBAGE.unknown()),
    row("reset after the head", BROKEN),
    row("end after the head", BROKEN),
    row("stall after the head", once(SILENT), **ONCE),
    row("reset after a piece", at_text(BROKEN)),
    row("end after a piece", at_text(BROKEN)),
    row("stall after a piece", at_text(SILENT), **SHORT),
    row("stall at the end", at_text(once(SILENT), TEXT), **ONCE),
    row("slow body", GOOD),
    row("dripping body", GOOD),
    row("missing last chunk", cut_body(BROKEN)),
    row("short Content-Length", cut_body(BROKEN)),
    row("cut inside a chunk", {"text": BROKEN.after(P0 + "e "), "sse": BROKEN.after(P0), "json": BROKEN}),
    row("reset inside a chunk", {"text": BROKEN.after(P0 + "e "), "sse": BROKEN.after(P0), "json": BROKEN}),
    row("malformed chunk size", at_text(GARBAGE)),
    # Text without a frame of its own has no other end than its body's: that cut cannot be seen.
    row("clean early end", {"text": GOOD.after(P0), "sse": BROKEN.after(P0), "json": GARBAGE}),
    row("early end without a framing", {"text": GOOD.after(P0), "sse": BROKEN.after(P0), "json": GARBAGE}),
    row("cut inside a character", {"text": BROKEN.after("The N"), "sse": BROKEN, "json": GARBAGE}),
    row("empty body", {"text": GARBAGE, "sse": BROKEN, "json": GARBAGE}),
    row("no content", {"text": GARBAGE, "sse": BROKEN, "json": GARBAGE}),
    row("HTML page", GARBAGE),
    # Nor can these be told from an answer there: their label is the answer's.
    row("HTML page, unlabelled", {"text": GOOD.after(HTML.decode()), "sse": GARBAGE, "json": GARBAGE}),
    row("plain text", {"text": GOOD.after("upstream connect error"), "sse": GARBAGE, "json": GARBAGE}),
    row("not UTF-8", {"text": GARBAGE.after("The N"), "*": GARBAGE}),
    row("gzip", GOOD),
    row("cut gzip", cut_body(BROKEN)),
    row("broken gzip", GARBAGE),
    row("gzip bomb", {"text": TOO_LARGE.after(ANY), "*": TOO_LARGE}, max_response_bytes=100_000),
    row("unknown encoding", GARBAGE.unknown()),
    row(
        "endless line",
        {"text": TOO_LARGE.after(ANY), "sse": TOO_LARGE.after(P0), "json": TOO_LARGE},
        max_response_bytes=300_000,
    ),
    row("endless stream", at_text(TOO_LARGE, ANY), max_response_bytes=300_000),
    row("malformed JSON", {"sse": GARBAGE, "json": GARBAGE}),
]

# --- errors inside a 200 --------------------------------------------------------------------------------------------


def told(error: type[APIStatusError], status: int, *, retryable: bool = False) -> Expect:
    return Expect(error, None, retryable, status)


WORDS: list[tuple[str, Any, Expect]] = [
    (
        "server_error",
        {"error": {"message": "no", "type": "server_error"}},
        told(InternalServerError, 500, retryable=True),
    ),
    (
        "overloaded",
        {"error": {"message": "no", "type": "overloaded_error"}},
        told(OverloadedError, 529, retryable=True),
    ),
    ("a number", {"error": {"message": "no", "code": 429}}, told(RateLimitError, 429, retryable=True)),
    ("quota", {"error": {"message": "no", "code": "insufficient_quota"}}, told(RateLimitError, 429)),
    ("key", {"error": {"message": "no", "code": "invalid_api_key"}}, told(AuthenticationError, 401)),
    ("text", {"error": "no capacity"}, told(APIStatusError, 200)),
]


def in_place_of(answer: Answer, before: int, *events: Any) -> Script:
    """The answer's first events, then these."""
    changed = sse(*EVENTS[:before], *events)
    return changed.script()


def _error_rows() -> list[Row]:
    rows = []
    for name, payload, expect in WORDS:
        one = {"expect": {"sse": expect}, "providers": CHAT_COMPLETIONS, "modes": ("stream",)}
        late = {**one, "expect": {"sse": expect.after(P0)}}
        done = {**one, "expect": {"sse": expect.after(TEXT)}}
        rows += [
            Row(f"error event first ({name})", lambda a, p=payload: in_place_of(a, 0, p), **one),
            Row(f"error event, then [DONE] ({name})", lambda a, p=payload: in_place_of(a, 0, p, "[DONE]"), **one),
            Row(f"error event after text ({name})", lambda a, p=payload: in_place_of(a, 1, p), **late),
            Row(f"error after text, then [DONE] ({name})", lambda a, p=payload: in_place_of(a, 1, p, "[DONE]"), **late),
            Row(f"error after the finish reason ({name})", lambda a, p=payload: in_place_of(a, 4, p, "[DONE]"), **done),
            Row(
                f"error object as a 200 reply ({name})",
                lambda a, p=payload: [http("200 OK", (("Content-Type", "application/json"), *_ID), _json(p))],
                {"json": expect, "sse": expect},
                providers=CHAT_COMPLETIONS,
            ),
        ]
    return rows


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


def _field_cut(answer: Answer) -> Script:
    """The body ends inside the name of a field."""
    return [answer.first(1), chunked(b"dat")]


ONLY_EVENTS: dict[str, Any] = {"providers": CHAT_COMPLETIONS, "modes": ("stream",)}
EVENT_ROWS = [
    *_error_rows(),
    Row("no [DONE]", lambda a: in_place_of(a, 4), {"sse": BROKEN.after(TEXT)}, **ONLY_EVENTS),
    # OpenAI always names a finish reason; of ylokh's server nobody knows.
    Row(
        "no finish reason",
        lambda a: in_place_of(a, 3, "[DONE]"),
        {"openai": BROKEN.after(TEXT), "ylokh": GOOD},
        **ONLY_EVENTS,
    ),
    Row(
        "[DONE] alone",
        lambda a: in_place_of(a, 0, "[DONE]"),
        {"openai": BROKEN, "ylokh": GOOD.after("")},
        **ONLY_EVENTS,
    ),
    Row("cut inside a field", _field_cut, {"sse": BROKEN.after(P0)}, **ONLY_EVENTS),
    Row(
        "[DONE] without its blank line",
        lambda a: [a.first(4), chunked(b"data: [DONE]\n")],
        {"sse": GOOD},
        **ONLY_EVENTS,
    ),
    Row("event that is not JSON", lambda a: in_place_of(a, 1, "{oops"), {"sse": GARBAGE.after(P0)}, **ONLY_EVENTS),
    Row("noise after [DONE]", lambda a: in_place_of(a, 5, "{oops", "[1]"), {"sse": GOOD}, **ONLY_EVENTS),
]

ROWS = TRANSPORT_ROWS + EVENT_ROWS + STATUS_ROWS + REDIRECT_ROWS + RETRY_ROWS
