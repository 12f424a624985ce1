"""Whether a value is JSON's: for what is saved of values that may be anything."""

from __future__ import annotations

from typing import Any

__all__ = ["is_json"]


def is_json(value: Any) -> bool:
    """Whether it is a JSON value, all through."""
    if isinstance(value, list | tuple):
        return all(map(is_json, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) and is_json(item) for name, item in value.items())
    return value is None or type(value) in (str, int, float, bool)
