"""Errors as a server tells them: an HTTP status, a message, and how long to wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmclients.errors import (
    RETRIED_STATUSES,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
    UnsupportedOptionError,
    one_line,
)

__all__ = ["Failure", "RequestRejected"]

_TYPE_OF_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


_MAX_CHARACTERS = {"message": 1000, "error_type": 100, "code": 100, "param": 100}
"""What an error says may be a part of the request, or of the provider's page: it is said, but not sent back whole."""
_MAX_REQUEST_ID = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """An error reply, before a server codec puts it into its wire's form.

    Attributes:
        status: the HTTP status.
        message: for a human, on one line, and cut where it is long.
        error_type: what sort of error it is, in the words of chat completions. Default: by the status.
        code: more exactly which, if there is a word for it.
        param: the field of the request that is wrong.
        headers: further headers of the reply.
        request_id: the upstream provider's id of the request, where it gave one.
        details: what a program reads of the error besides, where the wire has a place for it.
    """

    status: int
    message: str
    error_type: str = ""
    code: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())
    request_id: str | None = None
    details: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name, limit in _MAX_CHARACTERS.items():
            if value := getattr(self, name):
                object.__setattr__(self, name, one_line(value, limit))
        if not self.error_type:
            default = "server_error" if self.status >= 500 else "invalid_request_error"
            object.__setattr__(self, "error_type", _TYPE_OF_STATUS.get(self.status, default))

    @classmethod
    def from_error(cls, error: Exception) -> Failure:
        """What an error of the upstream call, or of the relay itself, means to the relay's client."""
        if isinstance(error, UnsupportedOptionError):
            return cls(400, str(error), code="unsupported_parameter", param=error.argument)
        if isinstance(error, InvalidRequestError):
            return cls(400, str(error), param=error.argument)
        if isinstance(error, ConfigurationError):  # of the relay: its client has done nothing wrong
            return cls(500, str(error), headers=_should_retry_header(500, retryable=False))
        if isinstance(error, APIStatusError):
            return _from_status_error(error)
        if isinstance(error, APITimeoutError):
            return cls(504, str(error), code="timeout")
        if isinstance(error, APIConnectionError):
            return cls(502, str(error), code="connection_error")
        if isinstance(error, APIResponseError):
            headers = _should_retry_header(502, retryable=error.retryable)
            return cls(502, str(error), code="bad_response", headers=headers)
        if isinstance(error, APIError):
            return cls(502, str(error))
        # Anything else is a fault of the program, and its message may say more than a stranger should read.
        return cls(500, "the relay failed: its log says why")


class RequestRejected(Exception):
    """The relay does not pass this request on; `failure` is the reply."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _from_status_error(error: APIStatusError) -> Failure:
    status = error.status_code
    if not 400 <= status < 600:  # an error inside a 200, or a redirect
        status = 429 if isinstance(error, RateLimitError) else 502
    body = error.body.get("error") if isinstance(error.body, dict) else None
    body = body if isinstance(body, dict) else {}
    return Failure(
        status,
        str(error),
        error_type=_get_str(body, "type") or "",
        code=_get_str(body, "code"),
        param=_get_str(body, "param"),
        headers=_retry_after_headers(error.retry_after) + _should_retry_header(status, retryable=error.retryable),
        request_id=_header_value(error.request_id),
    )


def _get_str(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _header_value(text: str | None) -> str | None:
    """The text, if it is no longer than an id is, and a header can carry it.

    A line break in it would begin a header of the provider's choice.
    """
    return text if text and len(text) <= _MAX_REQUEST_ID and text.isascii() and text.isprintable() else None


def _retry_after_headers(seconds: float | None) -> tuple[tuple[str, str], ...]:
    if seconds is None or not 0 < seconds < math.inf:
        return ()
    exact = (("retry-after-ms", str(math.ceil(seconds * 1000))),) if seconds != int(seconds) else ()
    return (("retry-after", str(math.ceil(seconds))), *exact)


def _should_retry_header(status: int, *, retryable: bool) -> tuple[tuple[str, str], ...]:
    """What the status alone would say wrong about trying again: a used-up quota is a 429 that waiting does not mend."""
    if retryable == (status in RETRIED_STATUSES):
        return ()
    return (("x-should-retry", "true" if retryable else "false"),)
