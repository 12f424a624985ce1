"""What a codec is given to prove itself: values for every option, and bytes that are no protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Literal, get_args, get_origin

__all__ = ["FIELD_VALUES", "MALFORMED", "SCHEMA", "SPECIAL_TEXT", "TOOLS", "guesses", "named", "strings"]

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
    "n": ({}, (2, 3)),
    "logit_bias": ({}, ({"50256": -100}, {7: 0.5})),
    "user": ({}, ("user-7",)),
    "metadata": ({}, ({"ticket": "t-7"},)),
    "service_tier": ({}, ("flex", "standard_only")),
    "verbosity": ({}, ("low", "high")),
    "prompt_cache_key": ({}, ("key-7",)),
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

MALFORMED: tuple[bytes, ...] = (
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
