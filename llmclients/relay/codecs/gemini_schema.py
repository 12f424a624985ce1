"""Gemini's own form of a schema, a subset of OpenAPI's with types in capitals, as JSON Schema."""

from __future__ import annotations

from typing import Any

__all__ = ["json_schema"]

_INNER = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "prefixItems"})
_NAMES: dict[str, str] = {
    "any_of": "anyOf",
    "prefix_items": "prefixItems",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
}
_NUMBERS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "minimum", "maximum"}
)
_NOT_JSON_SCHEMA = frozenset({"nullable", "propertyOrdering", "property_ordering", "example"})


def json_schema(schema: Any) -> Any:
    """The same as JSON Schema: small letters, `null` as a type, numbers that were written as texts. Else as it is.

    What is nested deeper than the requests' own JSON may be cannot come here.
    """
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for written, value in schema.items():
        name = str(_NAMES.get(written, written))
        if name in _NOT_JSON_SCHEMA or value is None:
            continue
        if name == "type" and isinstance(value, str):
            value = value.lower()
            if value == "type_unspecified":
                continue
        elif name in _INNER:
            value = json_schema(value)
        elif name in _LISTS and isinstance(value, list):
            value = [json_schema(entry) for entry in value]
        elif name == "properties" and isinstance(value, dict):
            value = {key: json_schema(entry) for key, entry in value.items()}
        elif name in _NUMBERS and isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)  # 64-bit numbers are texts in protocol buffers' JSON
        found[name] = value
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found
