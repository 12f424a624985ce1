"""Error bodies and error events to the library's errors: the status, the message, whether to try again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from llmclients.codecs.json_text import load_json
from llmclients.errors import APIStatusError, status_error_class
from llmclients.types.limits import has_too_many_values

__all__ = ["STATUS_BY_CODE", "error_event", "error_message", "excerpt", "parse_error_body", "status_error"]

STATUS_BY_CODE: dict[str, int] = {
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "api_error": 500,
    "overloaded_error": 529,
}
"""The HTTP status that an error inside a 200 would have had, by the codes and types that the wires share.

A wire adds its own: `statuses={**STATUS_BY_CODE, …}`.
"""

_QUOTA_USED_UP = "insufficient_quota"
"""The code of a 429 that no waiting mends: it is never retryable."""


_TITLE_WITHIN = 64 * 1024
_TITLE = "(?i)<title[^>]{0,200}>"
_TITLE_END = "(?i)</title"
_HTML = r"(?i)\s*<(!doctype|html|head|body|title|\?xml)"


def excerpt(data: bytes, limit: int = 8 * 1024) -> str:
    """The beginning of a body, on one line, for the end of a message: at most `limit` characters.

    By default that is far more than is shown of it: the call cuts its errors' messages, once it has masked the secrets
    that the server repeats. Here nobody knows them, and a secret that is cut is not found again.
    """
    text = " ".join(data[: limit * 4].decode("utf-8", "replace").split())
    return repr(text if len(text) <= limit else text[:limit] + "…")


def status_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    error_class: type[APIStatusError] | None = None,
    retryable: bool | None = None,
    **details: Any,
) -> APIStatusError:
    """The error for an HTTP status, its message found wherever the body keeps it.

    The places: docs/protocols/shared.md, "Error bodies".

    Args:
        status: the HTTP status.
        headers: the response's headers, names in lower case.
        body: the response's body, of any shape.
        error_class: the error's class; by default that of the status.
        retryable: what the codec knows; None: by the status, but never for a quota that is used up. The header
            `x-should-retry` overrules both, as in the OpenAI and Anthropic SDKs.
        details: further arguments of the error, such as `request_id`, `retry_after`.
    """
    payload = parse_error_body(body)
    message = error_message(payload) or (_from_text(body.decode("utf-8", "replace")) if payload else "")
    should_retry = headers.get("x-should-retry", "").strip().lower()
    if should_retry in ("true", "false"):
        retryable = should_retry == "true"
    elif retryable is None and _QUOTA_USED_UP.encode() in body:
        retryable = False
    if retryable is not None:
        details["retryable"] = retryable
    return (error_class or status_error_class(status))(
        f"HTTP {status}: {message}" if message else f"HTTP {status}",
        status_code=status,
        body=payload,
        headers=headers,
        **details,
    )


def parse_error_body(body: bytes) -> Any:
    """An error body as JSON whatever its Content-Type says, else as text: also JSON of too many values."""
    try:
        if not has_too_many_values(body):
            return load_json(body, goes_on=False)
    except ValueError:
        pass
    return body.decode("utf-8", "replace")


def error_message(payload: Any) -> str:
    """The message for a human in a parsed error body: an object, a list around one, text, an HTML page; or ""."""
    if isinstance(payload, list):
        return _joined(payload)
    if isinstance(payload, str):
        return _from_text(payload)
    if not isinstance(payload, dict):
        return ""
    error, message = payload.get("error"), payload.get("message")
    if isinstance(error, dict):
        return error_message(error) or str(error.get("type") or error.get("code") or "")
    if isinstance(error, str) and error:
        return f"{error}: {message}" if isinstance(message, str) and message else error
    if isinstance(message, str) and message:
        return message
    if isinstance(message, dict):
        return error_message(message)
    for name in ("detail", "msg", "error_message", "status_msg", "base_resp"):
        value = payload.get(name)
        if value:
            return error_message(value)
    return ""


def _joined(items: Iterable[Any]) -> str:
    return "; ".join(text for text in map(error_message, items) if text)


def _from_text(text: str) -> str:
    if not re.match(_HTML, text):
        return " ".join(text.split())
    begin = re.search(_TITLE, text[:_TITLE_WITHIN])
    rest = text[begin.end() :] if begin else ""
    end = re.search(_TITLE_END, rest)
    title = " ".join(rest[: end.start()].split()) if end else ""
    return f"an HTML page titled {title!r}" if title else "an HTML page"


# --- errors inside a 200 --------------------------------------------------------------------------------------------


def error_event(
    payload: dict[str, Any],
    source: dict[str, Any] | None = None,
    *,
    statuses: Mapping[str, int] = STATUS_BY_CODE,
    default: int = 200,
    error_class: type[APIStatusError] | None = None,
    **details: Any,
) -> APIStatusError:
    """The error that came inside a 200: an event of a stream, or a body in a reply's place.

    Args:
        payload: the parsed event, kept as the error's `body`.
        source: the object that has the error's code, type and message; by default the payload's `error`, else itself.
        statuses: the wire's table from codes and types to HTTP statuses.
        default: the status where neither a number nor a known code or type is there.
        error_class: the error's class; by default that of the status.
        details: further arguments of the error, such as `request_id`, `retryable`, `retry_after`. `retryable` None, or
            left out: by the status, but never for a quota that is used up.
    """
    if source is None:
        error = payload.get("error")
        source = error if isinstance(error, dict) else payload
    statuses_found = (_status(source.get(name), statuses) for name in _STATUS_MEMBERS)
    status = next(filter(None, statuses_found), default)
    message = error_message({"error": source}) or error_message(payload) or excerpt(json.dumps(payload).encode())
    if details.get("retryable") is None:
        details.pop("retryable", None)
        if _QUOTA_USED_UP in json.dumps(source):
            details["retryable"] = False
    return (error_class or status_error_class(status))(
        f"the provider reported an error: {message}", status_code=status, body=payload, **details
    )


_STATUS_MEMBERS = ("status_code", "code", "type", "error_type", "status")
"""Where an error says what it is, the most exact first."""


def _status(value: Any, statuses: Mapping[str, int]) -> int | None:
    """The HTTP status that a member means: a number, its digits, or a code or type of the table."""
    if isinstance(value, str):
        is_number = value.isdecimal() and value.isascii() and len(value) == 3
        value = int(value) if is_number else statuses.get(value)
    return value if type(value) is int and 400 <= value < 600 else None
