"""Typed access to the members of a parsed reply: each of the type that the protocol says, or an `APIResponseError`.

Members that only describe an answer (counts, log probabilities, ids, names of models) never cost it: of another type
they are None, and stay in `raw`. `get_int`, `get_object`, `get_optional_str` and `optional` read those.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nextafter
from typing import Any, TypeVar

from llmclients.errors import APIResponseError

__all__ = [
    "get_int",
    "get_list",
    "get_object",
    "get_optional_str",
    "get_str",
    "optional",
    "parse_logprob",
    "unexpected_type",
]

T = TypeVar("T")

_LARGEST = nextafter(inf, 0)
_LARGEST_COUNT = 2**63 - 1


def get_str(payload: dict[str, Any], name: str) -> str:
    """A string; "" where it is missing or null."""
    value = payload.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise unexpected_type(name, value)
    return value


def get_optional_str(payload: dict[str, Any], name: str) -> str | None:
    """An optional string; None if missing, empty or of another type."""
    value = payload.get(name)
    return value if type(value) is str and value else None


def get_list(payload: dict[str, Any], name: str) -> list[Any]:
    """A list; empty where it is missing or null."""
    value = payload.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise unexpected_type(name, value)
    return value


def get_int(payload: dict[str, Any], name: str) -> int | None:
    """A count, which some servers write as a float; None where it is none: a fraction, a text, negative, endless."""
    value = payload.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


def get_object(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that only describes the answer; empty where it is missing or of another type."""
    value = payload.get(name)
    return value if type(value) is dict else {}


def optional(parse: Callable[[Any], T], value: Any) -> T | None:
    """What `parse` makes of a member that only describes the answer; None where that raises `APIResponseError`.

    As in `optional(parse_logprobs, choice.get("logprobs")) or ()`.
    """
    try:
        return parse(value)
    except APIResponseError:
        return None


def parse_logprob(value: Any, where: str) -> float:
    """A log probability: a number that a float holds, and finite. JSON also has `1e400`, and integers of 400 digits.

    Args:
        value: the member's value.
        where: the member's place in the reply, for the error.
    """
    # Python compares an int with a float exactly, and NaN with nothing.
    if (type(value) is float or type(value) is int) and abs(value) <= _LARGEST:
        return float(value)
    raise unexpected_type(where, value)


def unexpected_type(where: str, value: Any) -> APIResponseError:
    """The error for a member of the wrong type."""
    return APIResponseError(f"{where} is {type(value).__name__} in the provider's reply: not what the protocol says")
