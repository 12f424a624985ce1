"""JSON for a reply: always JSON as RFC 8259 has it, in UTF-8, whatever the upstream sent.

Python's own encoder writes words for numbers that JSON has none for, and halves of characters that UTF-8 cannot carry.
Both are rare, so they are looked for only after an encoding has failed.
"""

from __future__ import annotations

import json
import math
from typing import Any

from llmclients.types.halves import joined

__all__ = ["encode_json", "encode_text"]

_MAX_DIGITS = 4000  # Python refuses to write more than 4,300


def encode_json(payload: Any) -> bytes:
    """Compact JSON. A number that it has no form for becomes null; for text, as `encode_text`."""
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
