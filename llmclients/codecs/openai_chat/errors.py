"""Errors of chat completions, by status or inside a 200 (PROTOCOLS 8.4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from llmclients.codecs.errors import error_message, excerpt, status_error
from llmclients.errors import APIStatusError

__all__ = ["is_error", "raise_error_event", "refused"]

_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_error": 500,
    "api_error": 500,
}
"""The HTTP status that an error event inside a 200 would have had, from its `code` or `type`."""


def refused(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an error status. A used-up quota comes as 429, too, but waiting does not refill it."""
    return status_error(status, headers, body, retryable=False if b"insufficient_quota" in body else None)


def raise_error_event(payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200."""
    error = payload.get("error")
    words = error if isinstance(error, dict) else payload
    status = 200
    for value in (words.get("status_code"), words.get("code"), words.get("type"), words.get("error_type")):
        if isinstance(value, str):
            value = (
                int(value) if value.isdecimal() and value.isascii() and len(value) == 3 else _STATUS_OF_WORD.get(value)
            )
        if isinstance(value, int) and 400 <= value < 600:
            status = value
            break
    body = json.dumps(payload).encode()
    found = refused(status, {}, body)
    message = error_message(payload) or excerpt(body)
    raise type(found)(
        f"the provider reported an error: {message}",
        status_code=status,
        body=payload,
        retryable=found.retryable,
    )


def is_error(payload: dict[str, Any]) -> bool:
    """Whether a payload says that it is an error, in any of the ways that servers have."""
    return bool(payload.get("error") or payload.get("error_message")) or payload.get("object") == "error"
