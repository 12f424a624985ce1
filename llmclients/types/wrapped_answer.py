"""Answers that are no JSON objects: providers ask for objects, so that such an answer is a property of one."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from typing import Annotated, Any, get_args, get_origin

from llmclients.types.schema_refs import References

__all__ = ["WRAPPER_KEY", "is_object", "list_item", "unwrap", "wrap_schema"]

WRAPPER_KEY = "value"
"""The property's name."""

_LISTS = (list, Sequence, MutableSequence)


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether a type's schema says that its values are objects, and nothing else."""
    entries = schema.get("allOf")
    if isinstance(entries, list) and len(entries) == 1:  # so pydantic writes a recursive type before 2.9
        schema = {**schema, **entries[0]}
    if isinstance(ref := schema.get("$ref"), str):  # and so from then on
        schema = References(schema).resolve(ref)
    return schema.get("type") == "object"


def wrap_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object that has such a value for its only property."""
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return {
        "type": "object",
        "properties": {WRAPPER_KEY: {key: part for key, part in schema.items() if key not in definitions}},
        "required": [WRAPPER_KEY],
        "additionalProperties": False,
        **definitions,
    }


def unwrap(value: Any) -> Any:
    """The value inside; the value itself where it came without the object, as from a server that heeds no schema.

    Of an object that has only begun: None.
    """
    if type(value) is dict:
        if not value:
            return None
        if len(value) == 1 and WRAPPER_KEY in value:
            return value[WRAPPER_KEY]
    return value


def list_item(type_: Any) -> tuple[Any, ...]:
    """The T of a type that is `list[T]`, in a tuple, for T may be None; an empty one for any other type."""
    type_ = getattr(type_, "__value__", type_)  # of a named alias
    if get_origin(type_) is Annotated:
        return list_item(get_args(type_)[0])
    if type_ is list:
        return (Any,)
    arguments = get_args(type_)
    if get_origin(type_) in _LISTS:
        return arguments
    if get_origin(type_) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[:1]
    return ()
