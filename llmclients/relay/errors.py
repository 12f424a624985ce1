"""What went wrong, as a server says it: an HTTP status, words, and how long to wait."""

from __future__ import annotations

import math
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
)

__all__ = ["Failure"]

_TYPE_OF_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal, before a wire puts it into its own form.

    Attributes:
        status: the HTTP status.
        message: for a human.
        kind: the sort of error, in chat completions' words.
        code: more exactly which, if there is a word for it.
        param: the member of the request that is wrong.
        headers: further headers of the reply.
        request_id: the backing provider's id of the request, where it gave one.
    """

    status: int
    message: str
    kind: str = ""
    code: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())
    request_id: str | None = None

    def __post_init__(self) -> None:
        if not self.kind:
            usual = "server_error" if self.status >= 500 else "invalid_request_error"
            object.__setattr__(self, "kind", _TYPE_OF_STATUS.get(self.status, usual))

    @classmethod
    def from_error(cls, error: Exception) -> Failure:
        """The failure that an error of the backing call means to the relay's own client."""
        if isinstance(error, UnsupportedOptionError):
            return cls(400, str(error), code="unsupported_parameter", param=error.argument)
        if isinstance(error, InvalidRequestError):
            return cls(400, str(error), param=error.argument)
        if isinstance(error, ConfigurationError):  # of the relay: its client has done nothing wrong
            return cls(500, str(error), headers=_advice(500, retryable=False))
        if isinstance(error, APIStatusError):
            return _refused_by_provider(error)
        if isinstance(error, APITimeoutError):
            return cls(504, str(error), code="timeout")
        if isinstance(error, APIConnectionError):
            return cls(502, str(error), code="connection_error")
        if isinstance(error, APIResponseError):
            return cls(502, str(error), code="bad_response", headers=_advice(502, retryable=error.retryable))
        if isinstance(error, APIError):
            return cls(502, str(error))
        # Anything else is a fault of the program, and its words may say more than a stranger should read.
        return cls(500, "the relay failed: its log says why")


def _refused_by_provider(error: APIStatusError) -> Failure:
    status = error.status_code
    if not 400 <= status < 600:  # an error inside a 200, or a redirect
        status = 429 if isinstance(error, RateLimitError) else 502
    words = error.body.get("error") if isinstance(error.body, dict) else None
    words = words if isinstance(words, dict) else {}
    return Failure(
        status,
        str(error),
        kind=_word(words, "type") or "",
        code=_word(words, "code"),
        param=_word(words, "param"),
        headers=_wait(error.retry_after) + _advice(status, retryable=error.retryable),
        request_id=_header_value(error.request_id),
    )


def _word(words: dict[str, Any], name: str) -> str | None:
    value = words.get(name)
    return value if isinstance(value, str) and value else None


def _header_value(text: str | None) -> str | None:
    return text if text and text.isascii() and text.isprintable() else None


def _wait(seconds: float | None) -> tuple[tuple[str, str], ...]:
    if seconds is None or not 0 < seconds < math.inf:
        return ()
    exact = (("retry-after-ms", str(math.ceil(seconds * 1000))),) if seconds != int(seconds) else ()
    return (("retry-after", str(math.ceil(seconds))), *exact)


def _advice(status: int, *, retryable: bool) -> tuple[tuple[str, str], ...]:
    """What the status alone would say wrong about trying again: a used-up quota is a 429 that waiting does not mend."""
    if retryable == (status in RETRIED_STATUSES):
        return ()
    return (("x-should-retry", "true" if retryable else "false"),)
