"""The members of a parsed reply, each of the type that the protocol says, or an `APIResponseError` that names it."""

from __future__ import annotations

from typing import Any

from llmclients.errors import APIResponseError

__all__ = ["count_member", "list_member", "string_member", "word_member", "wrong"]


def string_member(payload: dict[str, Any], name: str) -> str:
    """A text; "" where it is missing or null."""
    value = payload.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong(name, value)
    return value


def word_member(payload: dict[str, Any], name: str) -> str | None:
    """A member that only describes: of another type, or empty, it is as good as absent."""
    value = payload.get(name)
    return value if type(value) is str and value else None


def list_member(payload: dict[str, Any], name: str) -> list[Any]:
    """A list; empty where it is missing or null."""
    value = payload.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise wrong(name, value)
    return value


def count_member(payload: dict[str, Any], name: str) -> int | None:
    """A count, which some servers write as a float; None where it is missing or null."""
    value = payload.get(name)
    if value is None or type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise wrong(name, value)


def wrong(where: str, value: Any) -> APIResponseError:
    """The error for a member of the wrong type."""
    return APIResponseError(f"{where} is {type(value).__name__} in the provider's reply: not what the protocol says")
