"""JSON for a reply: always JSON as RFC 8259 has it, in UTF-8, whatever the upstream sent.

pydantic's encoder is several times as fast as Python's own, and a stream has an event for each word. What it refuses is
rare (halves of characters, values deep inside of others), and goes through Python's. That one writes words for numbers
that JSON has none for, so these are looked for after it has failed.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pydantic_core import to_json

from llmclients.types.halves import joined

__all__ = ["encode_json", "encode_text"]

_MAX_DIGITS = 4000  # Python refuses to read and write more than 4,300
_LONG_NUMBER = re.compile(rb"(?<![0-9])[0-9]{%d}" % _MAX_DIGITS)  # or a text that looks like one
_DIGITS = b"0123456789"


def encode_json(payload: Any) -> bytes:
    """Compact JSON. A number that it has no form for becomes null; for text, as `encode_text`."""
    try:
        data = to_json(payload, inf_nan_mode="null")
    except ValueError:
        return _encode_odd(payload)
    if len(data) < _MAX_DIGITS:
        return data
    # Of so many digits in a row, one is here: most data need no closer look, which takes far longer than all the rest.
    sample = data[_MAX_DIGITS - 1 :: _MAX_DIGITS]
    if len(sample.translate(None, _DIGITS)) == len(sample) or _LONG_NUMBER.search(data) is None:
        return data
    return _encode_odd(payload)


def _encode_odd(payload: Any) -> bytes:
    try:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_without_odd_numbers(payload), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return encode_text(text)


def encode_text(text: str) -> bytes:
    """UTF-8. Two halves of a character in a row are joined; one alone becomes the replacement character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return joined(text).encode()


def _without_odd_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        # A member's name may be a number, in Python.
        return {
            name if isinstance(name, str) else str(name): _without_odd_numbers(inner) for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_odd_numbers(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() < 3 * _MAX_DIGITS else None
    return value
