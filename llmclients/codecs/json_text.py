"""`load_json`: JSON from a server to values, halves of characters included."""

# Theory of operation
#
# JavaScript and Java count text in UTF-16 units. A character beyond the first 65,536, as every emoji is, has two of
# them, and a gateway that cuts by units cuts between its halves: one event ends in `\ud83d`, the next begins with
# `\ude00`. Each is allowed in JSON, but alone is no character, and pydantic's fast parser refuses it. So what that
# parser refuses is tried again here by Python's own, if it has such a half.
#
# A half at the edge of a text that may go on stays, for its other half may come with the next event: the accumulator
# joins them (see `llmclients.types.halves`). Those texts are told by the names of their members. Any other half will
# stay alone, and becomes U+FFFD at once: in the middle of a text, in an id, a name or an error.

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

from llmclients.types.halves import joined

__all__ = ["load_json", "load_torn"]

_MAY_BE_TORN = rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]"
"""A half as an escape, or in the bytes that encoders write who know nothing of halves."""

_GOES_ON = frozenset(
    {
        *("content", "text", "refusal", "delta", "arguments", "partial_json"),
        *("reasoning", "reasoning_content", "thinking", "tool_plan"),
    }
)
"""The members, on any wire, whose text may go on in the next event."""


def load_json(data: bytes, *, goes_on: bool = True) -> Any:
    """A JSON text's value.

    Args:
        data: the text.
        goes_on: whether texts in it may go on elsewhere; otherwise no half stays.

    Raises:
        ValueError: it is none.
    """
    try:
        return from_json(data, cache_strings="keys")
    except ValueError as error:
        return load_torn(data, error, goes_on=goes_on)


def load_torn(data: bytes, error: ValueError, *, goes_on: bool = True) -> Any:
    """What `from_json` has refused with `error`, once more, if halves of characters may be the reason.

    Raises:
        ValueError: `error`: it is no JSON.
    """
    try:
        if not re.search(_MAY_BE_TORN, data):
            raise error
        try:
            return _mended(json.loads(data.decode("utf-8", "surrogatepass")), goes_on=goes_on)
        except (ValueError, RecursionError):
            raise error from None
    finally:
        del error  # its traceback has this frame: together they would outlive the call until the collector runs


def _mended(value: Any, name: str = "", *, goes_on: bool) -> Any:
    """The value without halves but those that may find their other half."""
    if isinstance(value, str):
        return joined(value, keep_edges=goes_on and name in _GOES_ON)
    if isinstance(value, dict):
        return {joined(key): _mended(member, key, goes_on=goes_on) for key, member in value.items()}
    if isinstance(value, list):
        return [_mended(member, name, goes_on=goes_on) for member in value]
    return value
