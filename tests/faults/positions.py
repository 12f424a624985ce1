"""Wrong types at each position of a reply's and an event's JSON, and which of them do no harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmclients.testing.faults import Answer, json_answer, wrong_types

from .expect import (
    BROKEN,
    CHAT_COMPLETIONS,
    EVENTS,
    GARBAGE,
    GOOD,
    PARTS,
    REPLY,
    REQUEST_ID,
    TEXT,
    Expect,
    Row,
    sse,
)

EMPTY: tuple[Any, ...] = (None, [], {})
EVERYTHING: tuple[Any, ...] = (None, True, 7, 2.5, "word", [], {}, ["word"], {"word": 7})
ANOTHER_INDEX: tuple[Any, ...] = (True, 7, 2.5, "word", ["word"], {"word": 7})
WITHOUT = PARTS[0] + PARTS[2]
"""The text without the event that was changed."""

Harmless = dict[str, tuple[tuple[tuple[Any, ...], str], ...]]

DESCRIPTIONS: Harmless = dict.fromkeys(("id", "object", "created", "model"), ((EVERYTHING, TEXT),))
USAGE: Harmless = {
    **dict.fromkeys(("usage", "usage.prompt_tokens"), ((EVERYTHING, TEXT),)),
    **dict.fromkeys(("usage.completion_tokens", "usage.total_tokens"), ((EVERYTHING, TEXT),)),
}
IN_AN_EVENT: Harmless = {
    **DESCRIPTIONS,
    "all": ((({},), WITHOUT),),
    "choices": (((None, []), WITHOUT),),
    "choices[0]": ((({},), WITHOUT),),
    "choices[0].index": ((EMPTY, TEXT), (ANOTHER_INDEX, WITHOUT)),
    "choices[0].delta": (((None, {}), WITHOUT),),
    "choices[0].delta.content": ((EMPTY, WITHOUT),),
    "choices[0].finish_reason": ((("word",), TEXT),),
}
IN_THE_LAST_EVENT: Harmless = {
    **DESCRIPTIONS,
    **USAGE,
    "choices[0].index": ((EMPTY, TEXT),),
    "choices[0].delta": (((None,), TEXT),),
}
IN_A_REPLY: Harmless = {
    **DESCRIPTIONS,
    **USAGE,
    "choices[0].index": ((EVERYTHING, TEXT),),
    "choices[0].message": ((({},), ""),),
    "choices[0].message.role": ((EVERYTHING, TEXT),),
    "choices[0].message.content": ((EMPTY, ""),),
    "choices[0].finish_reason": (((None,), TEXT),),
}
"""Where a wrong type does no harm, and the text that comes. Everywhere else it is an APIResponseError."""

ANSWERS: dict[str, Answer] = {}
"""The answer of each row, by its name."""

LOSES_THE_END: Harmless = {
    "all": ((({},), TEXT),),
    "choices": (((None, []), TEXT),),
    "choices[0]": ((({},), TEXT),),
    "choices[0].index": ((ANOTHER_INDEX, TEXT),),
    "choices[0].finish_reason": (((None,), TEXT),),
}
"""Where the last event then says nothing: openai's stream was cut, while ylokh's need not have a finish reason."""


def _harmless(table: Harmless, path: str, other: Any) -> str | None:
    for values, text in table.get(path, ()):
        if any(type(value) is type(other) and value == other for value in values):
            return text
    return None


def _rows_of_events() -> Iterator[Row]:
    for path, other, changed in wrong_types(EVENTS[1]):
        text = _harmless(IN_AN_EVENT, path, other)
        expect = GARBAGE.after(PARTS[0]) if text is None else GOOD.after(text)
        yield _row(f"event: {path} = {json.dumps(other)}", (EVENTS[0], changed, *EVENTS[2:]), {"sse": expect})
    for path, other, changed in wrong_types(EVENTS[3]):
        expected = {"sse": GARBAGE.after(TEXT)}
        if _harmless(LOSES_THE_END, path, other) is not None:
            expected = {"openai": BROKEN.after(TEXT), "ylokh": GOOD}
        elif _harmless(IN_THE_LAST_EVENT, path, other) is not None:
            expected = {"sse": GOOD}
        yield _row(f"last event: {path} = {json.dumps(other)}", (*EVENTS[:3], changed, EVENTS[4]), expected)


def _row(name: str, events: tuple[Any, ...], expect: dict[str, Expect]) -> Row:
    return _whole(name, sse(*events), expect, "stream")


def _whole(name: str, answer: Answer, expect: dict[str, Expect], mode: str) -> Row:
    ANSWERS[name] = answer
    return Row(name, lambda _: answer.script(), expect, providers=CHAT_COMPLETIONS, modes=(mode,))


def _rows_of_replies() -> Iterator[Row]:
    for path, other, changed in wrong_types(REPLY):
        text = _harmless(IN_A_REPLY, path, other)
        answer = json_answer(changed, (("X-Request-Id", REQUEST_ID),))
        expect = {"json": GARBAGE if text is None else GOOD.after(text)}
        yield _whole(f"reply: {path} = {json.dumps(other)}", answer, expect, "chat")


POSITION_ROWS = [*_rows_of_events(), *_rows_of_replies()]
