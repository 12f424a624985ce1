"""Typed access to the members of a parsed reply: each of the type that the protocol says, or an `APIResponseError`."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any

from llmclients.errors import APIResponseError

__all__ = ["get_int", "get_list", "get_optional_str", "get_str", "parse_logprob", "unexpected_type"]

_LARGEST = nextafter(inf, 0)


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
    """A count, which some servers write as a float; None where it is missing or null."""
    value = payload.get(name)
    if value is None or type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise unexpected_type(name, value)


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
