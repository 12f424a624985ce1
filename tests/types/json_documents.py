"""JSON documents by chance, written in every way that JSON allows; and spoilt ones."""

from __future__ import annotations

import random

_CHARACTERS = "ab 0/é中𝄞\u2028\x7f[]{},:"
_ESCAPES = ['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00E9", "\\ud83d\\uDE00", "\\u0000"]
_NUMBERS = ["0", "-0", "7", "-12", "123456789012345678901234567890", "1.5", "-0.25", "1e3", "2E-7", "1.25e+10", "0.0"]
_SPACES = ["", "", "", " ", "\n", "\t ", "\r\n"]


def make_document(rng: random.Random) -> str:
    """A document: its values nested up to six deep, seldom thirty."""
    depth = 30 if rng.random() < 0.05 else rng.randint(0, 6)
    return rng.choice(_SPACES) + _value(rng, depth) + rng.choice(_SPACES)


def spoil(document: str, rng: random.Random) -> str:
    """The document with a character left out, put in or replaced. It may still be one."""
    place = rng.randrange(len(document))
    cut = place + rng.randint(0, 1)
    return (
        document[:place]
        + rng.choice(['"', "\\", ",", "]", "}", "{", "[", ":", "x", "0", "-", ".", ""])
        + document[cut:]
    )


def pieces(document: str, rng: random.Random, longest: int = 6) -> list[str]:
    """The document, cut by chance."""
    found = []
    while document:
        size = rng.randint(1, longest)
        found.append(document[:size])
        document = document[size:]
    return found


def _value(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if depth and kind < (0.6 if depth < 7 else 0.97):
        return _container(rng, depth)
    if kind < 0.8:
        return _string(rng)
    if kind < 0.93:
        return rng.choice(_NUMBERS)
    return rng.choice(["true", "false", "null"])


def _container(rng: random.Random, depth: int) -> str:
    count = rng.randint(0, 3) if depth < 7 else 1
    items = [_value(rng, depth - 1) for _ in range(count)]
    is_object = rng.random() < 0.5
    if is_object:
        items = [f"{_key(rng)}{rng.choice(_SPACES)}:{rng.choice(_SPACES)}{item}" for item in items]
    items = [f"{rng.choice(_SPACES)}{item}{rng.choice(_SPACES)}" for item in items]
    inner = ",".join(items) or rng.choice(_SPACES)
    return f"{{{inner}}}" if is_object else f"[{inner}]"


def _key(rng: random.Random) -> str:
    return rng.choice(['"a"', '"a"', '"\\u0061"', '""', '"value"', _string(rng)])  # some come twice in an object


def _string(rng: random.Random) -> str:
    length = rng.randint(0, 8)
    return '"' + "".join(rng.choice(_ESCAPES if rng.random() < 0.2 else _CHARACTERS) for _ in range(length)) + '"'
