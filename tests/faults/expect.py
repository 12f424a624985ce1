"""What a fault is to come to: values, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from llmclients.testing.faults import Answer, json_answer, sse_answer, text_answer
from llmclients.testing.script import Script

REQUEST_ID = "req-7"
PARTS = ("The Níl", "e is ", "long 🌍.")
TEXT = "".join(PARTS)
ANY = "…"
"""A partial answer that may have any length."""

MODELS = {
    "ylokh": "gpt-3.5-turbo",
    "yqcloud": "gpt-4",
    "yqcloud-legacy": "gpt-3.5-turbo",
    "ai365vip": "gpt-3.5-turbo",
    "openai": "gpt-4o",
}
CHAT_COMPLETIONS = ("ylokh", "openai")
RAW_TEXT = tuple(name for name in MODELS if name not in CHAT_COMPLETIONS)
SIDES = ("sync", "async")
MODES = ("chat", "stream")

_ID = (("X-Request-Id", REQUEST_ID),)
_COMMON = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}


def event(content: str | None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {**_COMMON, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
EVENTS: tuple[Any, ...] = (*map(event, PARTS), event(None, "stop", usage=USAGE), "[DONE]")
REPLY = {
    **_COMMON,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def sse(*events: Any) -> Answer:
    return sse_answer(*events, headers=_ID)


ANSWERS = {
    "text": text_answer(*PARTS, headers=_ID),
    "sse": sse(*EVENTS),
    "json": json_answer(REPLY, _ID),
}


@dataclass(frozen=True)
class Expect:
    """What one call comes to.

    Attributes:
        error: the exact class; None for a good answer.
        partial: the error's partial text; None for no partial answer. For a good answer, its text.
        known: whether the head arrived, so that the request's id is known.
        retryable: and how often the call is tried follows from it: twice, unless a chunk was out.
    """

    error: type[APIError] | None = None
    partial: str | None = TEXT
    retryable: bool = False
    status: int | None = None
    phase: str | None = None
    retry_after: float | None = None
    known: bool = True
    attempts: int | None = None

    def attempts_in(self, mode: str) -> int:
        """With a policy of two attempts. What fails before the first chunk is tried again; `chat` hides any break."""
        if self.attempts is not None:
            return self.attempts
        again = self.error is not None and self.retryable and (mode == "chat" or self.partial is None)
        return 2 if again else 1

    def after(self, partial: str | None) -> Expect:
        return replace(self, partial=partial)

    def unknown(self) -> Expect:
        return replace(self, known=False)


GOOD = Expect()
LOST = Expect(APIConnectionError, None, retryable=True, known=False)
BROKEN = Expect(StreamInterruptedError, None, retryable=True)
SILENT = Expect(APITimeoutError, None, retryable=True, phase="read")
GARBAGE = Expect(APIResponseError, None)
TOO_LARGE = Expect(ResponseTooLargeError, None)

POLICY = RetryPolicy(attempts=2, initial_wait=0.001, max_wait=0.002, max_retry_after=1.0)


@dataclass(frozen=True)
class Row:
    """One fault, and what it comes to on each kind of wire: `text`, `sse`, `json`, a provider's name, or `*`."""

    name: str
    script: Callable[[Answer], Script] | None
    expect: Mapping[str, Expect]
    options: Mapping[str, Any] = field(default_factory=dict)
    providers: tuple[str, ...] = tuple(MODELS)
    modes: tuple[str, ...] = MODES
    sides: tuple[str, ...] = SIDES

    @property
    def waits(self) -> bool:
        """Whether its cases do little but wait."""
        return "read" in self.options or "dripping" in self.name

    @property
    def has_status(self) -> bool:
        """Whether it is a whole answer with an error's status, whatever the wire."""
        return self.fails_alike and self.expect["*"].status is not None

    @property
    def fails_alike(self) -> bool:
        """Whether it is the same error on every wire: nothing of the body is ever decoded."""
        return self.expect.keys() == {"*"} and self.expect["*"].error is not None

    def expected(self, provider: str, mode: str) -> Expect | None:
        """None where the fault means nothing."""
        kind = kind_of(provider, mode)
        keys = (f"{provider} {mode}", provider, kind, "*")
        return next((self.expect[key] for key in keys if key in self.expect), None)


def kind_of(provider: str, mode: str) -> str:
    """What the answer is on the wire."""
    if provider not in CHAT_COMPLETIONS:
        return "text"
    return "sse" if mode == "stream" else "json"


@dataclass(frozen=True)
class Case:
    """One row for one provider, side and mode."""

    row: Row
    provider: str
    side: str
    mode: str
    expect: Expect

    @property
    def id(self) -> str:
        return f"{self.row.name}-{self.provider}-{self.side}-{self.mode}"

    @property
    def script(self) -> Script | None:
        """None for a port that refuses."""
        answer = ANSWERS[kind_of(self.provider, self.mode)]
        return None if self.row.script is None else self.row.script(answer)


def cases_of(rows: list[Row]) -> list[Case]:
    return [
        Case(row, provider, side, mode, expect)
        for row in rows
        for provider in row.providers
        for side in row.sides
        for mode in row.modes
        if (expect := row.expected(provider, mode)) is not None
    ]


def in_turn(rows: list[Row]) -> list[Case]:
    """Fewer cases that say the same, each row on both sides and in both modes.

    Where a row fails the same on every wire, it does so each time with the next provider; an answer that has a status,
    on one side with `chat` and on the other with `stream`. Elsewhere the two of chat completions, which have one
    decoder, take turns on the sides, and one of the raw-text providers, which have another, is on both.
    """
    found = []
    for number, row in enumerate(rows):
        raw_text = RAW_TEXT[number % len(RAW_TEXT)]
        for at, (side, mode) in enumerate(product(row.sides, row.modes)):
            turn = SIDES.index(side) + MODES.index(mode) + number
            if row.fails_alike:
                providers: tuple[str, ...] = (list(MODELS)[(number + at) % len(MODELS)],)
                if row.has_status and turn % 2:
                    continue
            else:
                providers = tuple(name for name in (CHAT_COMPLETIONS[turn % 2], raw_text) if name in row.providers)
            found += cases_of([replace(row, providers=providers, sides=(side,), modes=(mode,))])
    return found
