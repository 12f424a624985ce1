"""Typed access to the fields of a request's JSON, whose size is bounded."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.types.limits import count_separators

__all__ = [
    "CACHE_MARK",
    "check_known",
    "check_no_op",
    "decode_json",
    "get_field",
    "get_name",
    "get_objects",
    "without_cache_mark",
]

CACHE_MARK = "cache_control"
"""Where a provider's cache may begin: about cost, and read by nobody here."""

_MARK = b"\xef\xbb\xbf"  # of UTF-8, as some editors and shells put in front of a text

MAX_VALUES = 100_000
"""The most values, names of members included, in a request's JSON."""
MAX_TOOLS = 1_000
MAX_MESSAGES = 10_000


def decode_json(body: bytes) -> dict[str, Any]:
    """The request's JSON object, without the fields that are null: as good as absent. A byte order mark is skipped.

    Raises:
        InvalidRequestError: not JSON, not an object, or of more values than a request may have.
    """
    body = body.removeprefix(_MARK)
    _check_size(body)
    try:
        payload = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"the request is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise InvalidRequestError("the request is not a JSON object")
    if _MAYBE_INFINITE.search(body) and not all(map(math.isfinite, _floats(payload))):
        raise InvalidRequestError("the request has a number that no float can hold")
    return {name: value for name, value in payload.items() if value is not None}


# What a number that is read as infinite has; so may have a text.
_MAYBE_INFINITE = re.compile(rb"[0-9][eE]\+?[0-9]{2}|[0-9]{200}")


def _floats(payload: Any) -> Iterator[float]:
    rest = [payload]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, float):
            yield value


def _check_size(body: bytes) -> None:
    """Raise InvalidRequestError for more than `MAX_VALUES` values, before they are made: each takes far more memory."""
    if len(body) <= 2 * MAX_VALUES or count_separators(body) <= MAX_VALUES:  # a value takes two bytes at least
        return
    # Some of what was counted may be in texts: without those, what escapes a quote, and then the quotes themselves.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 2 * MAX_VALUES)
    if len(pieces) > 2 * MAX_VALUES or sum(map(count_separators, pieces[::2])) > MAX_VALUES:
        raise InvalidRequestError(f"the request has more than {MAX_VALUES} values")


def get_field(payload: Mapping[str, Any], name: str, type_: type | tuple[type, ...], default: Any) -> Any:
    """A field that is of this type (True and False are no numbers), or `default` where it is absent.

    Raises:
        InvalidRequestError: it is of another type.
    """
    value = payload.get(name, default)
    if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
        raise InvalidRequestError(f"{name} has the wrong type: {type(value).__name__}", argument=name)
    return value


def get_name(payload: Mapping[str, Any], name: str) -> str:
    """A field that is a text, and not an empty one.

    Raises:
        InvalidRequestError: it is absent, empty, or something else.
    """
    if not (value := get_field(payload, name, str, "")):
        raise InvalidRequestError(f"{name} is missing", argument=name)
    assert isinstance(value, str)
    return value


def get_objects(payload: Mapping[str, Any], name: str, *, optional: bool = False) -> list[dict[str, Any]]:
    """A field that is a list of objects; an empty one where it is absent and `optional`.

    Raises:
        InvalidRequestError: it is absent, something else, or longer than a request's list may be.
    """
    entries = payload.get(name, [] if optional else None)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequestError(f"{name} must be a list of objects", argument=name)
    limit = MAX_TOOLS if name == "tools" else MAX_MESSAGES
    if len(entries) > limit:
        raise InvalidRequestError(f"{name} has {len(entries)} entries, more than {limit}", argument=name)
    return entries


def without_cache_mark(entry: Any) -> Any:
    """An entry of a list without that member; anything that is no object as it is."""
    if isinstance(entry, dict) and CACHE_MARK in entry:
        return {name: value for name, value in entry.items() if name != CACHE_MARK}
    return entry


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
