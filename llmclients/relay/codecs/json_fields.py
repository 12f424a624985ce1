"""Typed access to the fields of a request's JSON, and JSON for a reply."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import from_json

from llmclients.errors import InvalidRequestError, UnsupportedOptionError

__all__ = ["check_known", "check_no_op", "decode_json", "encode_json", "get_field", "get_objects"]


def decode_json(body: bytes) -> dict[str, Any]:
    """The request's JSON object, without the fields that are null: as good as absent.

    Raises:
        InvalidRequestError: not JSON, or not an object.
    """
    try:
        payload = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"the request is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise InvalidRequestError("the request is not a JSON object")
    return {name: value for name, value in payload.items() if value is not None}


def encode_json(payload: Any) -> bytes:
    """Compact UTF-8 JSON. What UTF-8 cannot carry, a lone surrogate of the upstream's, becomes a question mark."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def get_field(payload: Mapping[str, Any], name: str, type_: type | tuple[type, ...], default: Any) -> Any:
    """A field that is of this type (True and False are no numbers), or `default` where it is absent.

    Raises:
        InvalidRequestError: it is of another type.
    """
    value = payload.get(name, default)
    if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
        raise InvalidRequestError(f"{name} has the wrong type: {type(value).__name__}", argument=name)
    return value


def get_objects(payload: Mapping[str, Any], name: str, *, optional: bool = False) -> list[dict[str, Any]]:
    """A field that is a list of objects; an empty one where it is absent and `optional`.

    Raises:
        InvalidRequestError: it is absent, or something else.
    """
    entries = payload.get(name, [] if optional else None)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequestError(f"{name} must be a list of objects", argument=name)
    return entries


def check_known(entry: Mapping[str, Any], known: Collection[str], where: str, *, argument: str | None = None) -> None:
    """Raise UnsupportedOptionError for a field that is not known, unless it is null.

    Args:
        where: what the entry is, for the message; "" for the request itself.
        argument: what the error names as wrong. Default: the field.
    """
    for name, value in entry.items():
        if name not in known and value is not None:
            raise UnsupportedOptionError(
                f"{where}{where and ': '}the relay does not know the member {name}", argument=argument or name
            )


def check_no_op(name: str, value: Any, no_op_values: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise UnsupportedOptionError for a field that asks for something.

    Args:
        no_op_values: the values, by field, that ask for nothing that would not happen anyway.
    """
    if name not in no_op_values:
        raise UnsupportedOptionError(f"the relay does not know the member {name}", argument=name)
    # The type counts: True equals 1.
    if not any(value == no_op and type(value) is type(no_op) for no_op in no_op_values[name]):
        raise UnsupportedOptionError(f"the relay cannot carry this value of {name}", argument=name)
