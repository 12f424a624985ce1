"""Answers of the relay's server itself, before a request is of any wire: in a form that each wire's client reads."""

from __future__ import annotations

import json

__all__ = ["early_answer", "error_body"]

_REASONS = {408: b"Request Timeout", 503: b"Service Unavailable"}


def error_body(status: int, message: str) -> bytes:
    """The body of an error."""
    error = {"type": "server_error" if status >= 500 else "invalid_request_error", "message": message}
    return json.dumps({"type": "error", "error": error, "message": message}).encode()


def early_answer(status: int, message: str) -> bytes:
    """The whole of an answer that ends the connection, past uvicorn: 408 or 503."""
    body = error_body(status, message)
    return b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        status,
        _REASONS[status],
        len(body),
        body,
    )
