"""`finite_schema`: a type's JSON Schema without the numbers that JSON has not, which a default or a limit may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["finite_schema"]

_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""What holds schemas by names of its own: those are no keywords."""


def finite_schema(schema: Any) -> Any:
    """The schema, or a copy where a keyword has an infinity or NaN in its value: `default`, `maximum`, `examples`.

    Such a keyword moves into the description, where the model still reads it.
    """
    return _finite(schema) if _has_infinity(schema) else schema


def _has_infinity(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_infinity, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_infinity, value))


def _finite(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_finite(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED_SCHEMAS and isinstance(value, Mapping):
            kept[key] = {name: _finite(one) for name, one in value.items()}
        elif key in ("default", "const", "enum", "examples") or not isinstance(value, Mapping | list):
            (moved if _has_infinity(value) else kept)[key] = value
        else:
            kept[key] = _finite(value)
    if moved:
        text = "{" + ", ".join(f"{key}: {value}" for key, value in moved.items()) + "}"
        kept["description"] = f"{kept['description']}\n\n{text}" if kept.get("description") else text
    return kept
