"""`load_strict_json`: JSON by its grammar: without the NaN, infinities and overlong numbers that other readers take."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, NoReturn

__all__ = ["check_json_numbers", "json_float", "json_int", "load_strict_json"]

_MAX_DIGITS = 308
"""So many digits always fit into a float."""


def load_strict_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, nested too deeply, or has a number that is none in JSON, or too large for a float.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:  # a model that opens brackets until it is stopped
        raise ValueError("it is nested too deeply") from None


def check_json_numbers(text: str) -> None:
    """Refuse a number that JSON does not have, or that no float holds, for readers that take it.

    Raises:
        ValueError: there is one. What is wrong with the text otherwise is for the reader to find.
    """
    with contextlib.suppress(json.JSONDecodeError, RecursionError):
        _DECODER.decode(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def json_int(digits: str) -> int:
    """The whole number; ValueError if no float holds it."""
    if len(digits) > _MAX_DIGITS:
        json_float(digits)
    return int(digits)


def json_float(digits: str) -> float:
    """The number; ValueError if it is too large for a float."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=json_float, parse_int=json_int)
