"""A finished row as the output has it: the line of JSON that is written to the journal, and later to the output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from llmclients.errors import APIError, ConfigurationError, LLMClientError, StructuredOutputError
from llmclients.types.response import ChatResponse
from llmclients.types.usage import Usage

__all__ = ["FIELDS", "answer_record", "cached_record", "error_record", "read_outcome"]

FIELDS = ("id", "text", "parsed", "tool_calls", "usage", "finish_reason", "error", "attempts", "seconds")
"""What a row of the output has; and `row`, its own columns, if asked for; and `other_texts`, of answers that came
beside the first one, though a row asks for one."""

_FOREIGN = "Unreadable"


def answer_record(
    id: str | int, response: ChatResponse, attempts: int, seconds: float, columns: Mapping[str, Any] | None
) -> bytes:
    """The line of a row that was answered."""
    calls = response.tool_calls
    record = {
        "id": id,
        "text": response.text,
        "parsed": response.parsed,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments_text} for call in calls]
        if calls
        else [],
        "usage": _usage(response.usage),
        "finish_reason": response.finish_reason,
        "error": None,
        "attempts": attempts,
        "seconds": round(seconds, 6),
    }
    if response.other_choices:  # by `extra`, or unasked
        record["other_texts"] = [choice.text for choice in response.other_choices]
    return _dumped(record, columns)


def error_record(
    id: str | int | None, error: LLMClientError, attempts: int, seconds: float, columns: Mapping[str, Any] | None
) -> bytes:
    """The line of a row that was not. An answer that is not what was asked for has its text."""
    partial = error.partial if isinstance(error, APIError) else None
    return _dumped(
        {
            "id": id,
            "text": error.text if isinstance(error, StructuredOutputError) else None,
            "parsed": None,
            "tool_calls": [],
            "usage": _usage(None if partial is None else partial.usage),
            "finish_reason": None if partial is None else partial.finish_reason,
            "error": {"type": type(error).__name__, "message": str(error)},
            "attempts": attempts,
            "seconds": round(seconds, 6),
        },
        columns,
    )


def cached_record(row: bytes, id: str | int, columns: Mapping[str, Any] | None) -> bytes:
    """The line of a row that another one's answer answers."""
    found = json.loads(row)
    found.pop("row", None)
    return _dumped({**dict.fromkeys(FIELDS), **found, "id": id, "attempts": 0, "seconds": 0.0}, columns)


def read_outcome(row: bytes) -> tuple[float, int, Usage | None, str | None]:
    """What `Stats.add` is told of a row: its seconds, attempts, usage, and the class of its error."""
    found = json.loads(row)
    usage, error = found["usage"], found["error"]
    return (
        found["seconds"],
        found["attempts"],
        None if usage is None else Usage(**usage),
        None if error is None else error["type"],
    )


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {name: count for name, count in usage.__dict__.items() if count is not None}


def _dumped(record: dict[str, Any], columns: Mapping[str, Any] | None) -> bytes:
    if columns is not None:
        record["row"] = columns
    try:
        return to_json(record, serialize_unknown=True)
    except PydanticSerializationError:  # half a character in one of the caller's columns
        return json.dumps(to_jsonable_python(record, serialize_unknown=True, fallback=str)).encode()
    except ValueError:
        raise ConfigurationError("a row has a value that is no JSON", argument="rows") from None
