"""What a codec is given to prove itself: values for every option, bytes that are no protocol, JSON with wrong types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Literal, get_args, get_origin

__all__ = ["FIELD_VALUES", "GARBAGE", "SPECIAL_TEXT", "TOOLS", "guesses", "in_events", "mutations", "named", "strings"]

TOOLS: list[Mapping[str, Any]] = [
    {
        "name": "weather_now",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
SCHEMA = {
    "title": "answer",
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}

FIELD_VALUES: Mapping[str, tuple[Mapping[str, Any], Sequence[Any]]] = {
    "temperature": ({}, (0.25, 0.75)),
    "top_p": ({}, (0.25, 0.75)),
    "max_tokens": ({}, (77, 7777)),
    "stop": ({}, ("END", ["END", "STOP"])),
    "seed": ({}, (77, 78)),
    "presence_penalty": ({}, (0.25, 0.75)),
    "frequency_penalty": ({}, (0.25, 0.75)),
    "tools": ({}, (TOOLS,)),
    "tool_choice": ({"tools": TOOLS}, ("required", "weather_now", "none")),
    "parallel_tool_calls": ({"tools": TOOLS}, (False,)),
    "response_format": ({}, (SCHEMA, "json")),
    "reasoning_effort": ({}, ("low", "medium", "high")),
    "logprobs": ({}, (True,)),
    "top_logprobs": ({"logprobs": True}, (3, 2)),
}
"""By field of `ChatRequest`: what it needs beside it, and values of which none is a provider's default."""

SPECIAL_TEXT = 'Zażółć 河 🌊 \u2028 \u202e "quoted" \\ \t <b>&amp;</b>\n\nUser: x'


def guesses(annotation: Any) -> Iterator[Any]:
    """Values that an option of this type may take."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    for inner in get_args(annotation):
        if get_origin(inner) is Literal:
            yield from get_args(inner)
    yield from (True, False, 7, 0.5, "example", ["example"], {"example": "example"})


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


@contextmanager
def named(what: str) -> Iterator[None]:
    """Let a crash over one input of many say which it was."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


# --- what is no protocol --------------------------------------------------------------------------------------------

GARBAGE: tuple[bytes, ...] = (
    b"",
    b"\x00",
    b"\xff\xfe\x00\x01",
    b"\xef\xbb\xbf",
    "河".encode()[:2],
    b"null",
    b"[]",
    b"{}",
    b"{",
    b'{"',
    b'"text"',
    b"17",
    b"NaN",
    b'{"x": NaN}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"9" * 5000,
    b'{"error": null}',
    b'{"error": 5}',
    b'{"error": {"message": ["x"], "code": {}}}',
    b'{"error": {"message": "\\ud800"}}',
    b"<!DOCTYPE html><html><head><title>502</title></head></html>",
    b"data: {\n\n",
    b"data: []\n\n",
    b"data: null\n\n",
    b"data: {}\n\n",
    b"data:\n\nevent:\n\n:\n\n",
    b"event: error\ndata: x\n\n",
    b"event: error\ndata: {}\n\n",
    b"{}\n{}\n",
    b"[]\n",
    b"null\nnull\n",
    b"\r\n\r\n\r\n",
    Random(1).randbytes(1000),
    Random(2).randbytes(1000).replace(b"\n", b"") + b"\n\n",
)

_WRONG: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "河", [], [None], ["x"], [[]], [{}], {}, {"x": None}, {"x": {"x": []}}),
)
_ABSENT = object()


def mutations(bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Bodies of one JSON value each, with every place in them left out, and of another type; equal places once.

    Args:
        bodies: names, for the reports, and bytes; what is no JSON is left alone.
    """
    seen: set[Any] = set()
    for name, data in bodies:
        try:
            value = json.loads(data)
        except ValueError:
            continue
        for where, changed in _changes(value, seen):
            yield f"{name} with {where}", json.dumps(changed).encode()


def in_events(bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """The same for bodies of which each line may have a JSON object: server-sent events, or lines of JSON."""
    seen: set[Any] = set()
    for name, data in bodies:
        lines = data.splitlines(keepends=True)
        for place, line in enumerate(lines):
            start = line.find(b"{")
            try:
                value = json.loads(line[start:]) if start >= 0 else None
            except ValueError:
                continue
            if not isinstance(value, dict):
                continue
            end = line[len(line.rstrip(b"\r\n")) :]
            for where, changed in _changes(value, seen):
                event = line[:start] + json.dumps(changed).encode() + end
                yield f"{name}, line {place + 1} with {where}", b"".join([*lines[:place], event, *lines[place + 1 :]])


def _changes(value: Any, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    shape = (tuple(sorted(value)), str(value.get("type"))) if isinstance(value, dict) else ()
    for path in _places(value):
        general = tuple("[]" if isinstance(step, int) else step for step in path)
        if (shape, general) in seen:
            continue
        seen.add((shape, general))
        for other in (*_WRONG, _ABSENT):
            words = "left out" if other is _ABSENT else f"= {other!r}"
            yield f"{'.'.join(map(str, path)) or 'all'} {words}", _changed(value, path, other)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _places(member, (*path, name))


def _changed(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    step, *rest = path
    copied = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copied[step] = _changed(value[step], tuple(rest), other)
    elif other is _ABSENT:
        del copied[step]
    else:
        copied[step] = other
    return copied
