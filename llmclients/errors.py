"""The error tree. Everything the library raises on purpose is an `LLMClientError`.

Two families, by whose fault it is: a `ConfigurationError` is the caller's mistake, found before anything is sent; an
`APIError` is what the network or the provider did.
"""

from __future__ import annotations

import copyreg
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # for annotations only: this module imports nothing of the package
    from typing_extensions import Self

    from llmclients.types.response import ChatResponse

__all__ = [
    "RETRIED_STATUSES",
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AccessBlockedError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "InvalidRequestError",
    "LLMClientError",
    "MissingAPIKeyError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProviderWarning",
    "RateLimitError",
    "ResponseTooLargeError",
    "StreamInterruptedError",
    "StructuredOutputError",
    "ToolLoopError",
    "UnknownProviderError",
    "UnprocessableEntityError",
    "UnsupportedOptionError",
    "one_line",
    "shown_url",
    "status_error_class",
]


RETRIED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""The HTTP statuses after which the same call can succeed. `RetryPolicy.statuses` may have others."""


class ProviderWarning(UserWarning):
    """A provider is used in a way that is unlikely to work, for example one whose public service is gone."""


class LLMClientError(Exception):
    """Base of every error of this library. Its message is one line that prints, however it was made."""

    _longest_message = 2000
    """In characters. Messages quote names, values and servers, and those may have any size."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message, self._longest_message))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        # Past the constructor, whose arguments a subclass may have changed.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ToolLoopError(LLMClientError):
    """`run_tools` cannot go on: `max_turns` are over while the model still asks for calls, a result cannot be sent, or
    an answer that ended badly has calls, or nothing at all.

    Attributes:
        response: the last answer, whose calls were not made, or an empty one; its `messages` are the whole loop, to go
            on with, its `intermediate_messages` all but the answer.
    """

    def __init__(self, message: str, *, response: ChatResponse | None = None) -> None:
        super().__init__(message)
        self.response = response


# --- the caller's mistakes ------------------------------------------------------------------------------------------


class ConfigurationError(LLMClientError):
    """The caller's mistake, found before anything was sent.

    `argument` is the name of the argument (or environment variable) that is wrong, if there is one.
    """

    def __init__(self, message: str, *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class UnknownProviderError(ConfigurationError):
    """No provider of that name is registered."""


class MissingAPIKeyError(ConfigurationError):
    """The provider needs a key, and neither `api_key=` nor its environment variable has one."""


class UnsupportedOptionError(ConfigurationError):
    """The provider's wire has no field for an option (or the client does not know the option at all)."""


class InvalidRequestError(ConfigurationError):
    """The messages or an option's value cannot be sent."""


# --- what the network or the provider did ---------------------------------------------------------------------------


class APIError(LLMClientError):
    """A call failed after it was sent, or while sending.

    Attributes:
        provider: the provider's name.
        model: the model asked for, if the wire has one.
        request_id: the provider's id of the request, from a header or the body.
        retryable: whether trying the same call again can help.
        partial: what a stream had brought before the failure, or None.
        previous_errors: the errors of the attempts before this one, first to last; with a `fallback`, those of
            the other providers, too. From Python 3.11 on they are also the cause, as an `ExceptionGroup`.
    """

    _longest_message = 510  # 500 of a server's own, behind "HTTP 500: "

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        partial: ChatResponse | None = None,
    ) -> None:
        super().__init__(message)
        if len(str(message)) > self._longest_message:
            self._uncut_message = one_line(message, _LONGEST_UNCUT)
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.retryable = _is_retryable(self) if retryable is None else retryable
        self.partial = partial
        self.previous_errors: tuple[APIError, ...] = ()

    @property
    def uncut_message(self) -> str:
        """The message before it was cut, for who masks secrets in it: what is left of one that is cut is not found."""
        return str(self.__dict__.get("_uncut_message") or self)

    def copy_with(self, message: str | None = None, **attributes: Any) -> Self:
        """A copy with another message and other attributes; traceback and cause are the same.

        An error is not written to once it is raised: who knows more about it raises a copy.
        """
        copied = type(self).__new__(type(self))  # past the constructor, whose arguments a subclass may have changed
        copied.args = self.args if message is None else (one_line(message, _LONGEST_COPIED),)
        copied.__dict__.update(self.__dict__, **attributes)
        if message is not None:
            copied.__dict__.pop("_uncut_message", None)
        copied.__cause__, copied.__context__ = self.__cause__, self.__context__
        copied.__suppress_context__ = self.__suppress_context__
        return copied.with_traceback(self.__traceback__)


class APIConnectionError(APIError):
    """No usable connection: DNS, refused, TLS, proxy, reset."""


class StreamInterruptedError(APIConnectionError):
    """The answer broke off before the provider said that it was done. `partial` keeps what had arrived."""


Phase = Literal["connect", "read", "write", "total"]


class APITimeoutError(APIError):
    """Nothing came in time. `phase` tells which of the four limits of `Timeout` ran out."""

    def __init__(self, message: str, *, phase: Phase = "read", **details: Any) -> None:
        self.phase: Phase = phase
        super().__init__(message, **details)


class APIResponseError(APIError):
    """Bytes that are not what the protocol says."""


class ResponseTooLargeError(APIResponseError):
    """The response, or one event of it, went over the limit in bytes."""


class StructuredOutputError(APIResponseError):
    """The answer is complete, but not what its `response_format` asked for. `text` is the answer."""

    def __init__(self, message: str, *, text: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.text = text


class APIStatusError(APIError):
    """The provider refused: by an HTTP status, or by an error event inside a 200.

    Attributes:
        status_code: the HTTP status; for an error event inside a 200, the status that the event's own words mean.
        body: the parsed JSON of the error, or its text.
        headers: the response's headers, names in lower case.
        retry_after: seconds the provider asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **details: Any,
    ) -> None:
        self.status_code = status_code
        super().__init__(message, **details)
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """400."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403."""


class NotFoundError(APIStatusError):
    """404: no such model or path."""


class ConflictError(APIStatusError):
    """409."""


class UnprocessableEntityError(APIStatusError):
    """422."""


class RateLimitError(APIStatusError):
    """429, or the provider's own words for it."""


class AccessBlockedError(RateLimitError):
    """The service has banned the caller's address. Trying again from the same one does not help, whoever says so."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, **(details | {"retryable": False}))


class InternalServerError(APIStatusError):
    """5xx."""


class OverloadedError(InternalServerError):
    """529: the provider has no capacity at the moment."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    529: OverloadedError,
}


def status_error_class(status: int) -> type[APIStatusError]:
    """The class for an HTTP status."""
    return _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)


# --- the message ----------------------------------------------------------------------------------------------------


_LONGEST_UNCUT = 16 * 1024
_LONGEST_COPIED = 2000  # the first message, and what who copies has to say
_LINE_ENDS = r"[^\S ]+"  # and tabs, and blanks of other widths


def one_line(text: object, limit: int) -> str:
    """A text as it may be shown and logged: on one line, and cut to `limit` characters and an ellipsis.

    What does not print (an escape sequence, an override of the writing direction, half a surrogate pair) is shown as
    `repr` shows it.
    """
    line = str(text)
    if not line.isprintable():
        line = " ".join(filter(None, (part.strip() for part in re.split(_LINE_ENDS, line))))
        if len(line) > limit + 1:
            line = line[:limit] + "…"
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line[:limit] + "…" if len(line) > limit else line


def shown_url(url: str) -> str:
    """A URL as it may be shown: without user and password, and without the query, where what is signed has its key."""
    address = re.split("[?#]", url, maxsplit=1)[0]
    scheme, slashes, rest = address.rpartition("://")
    host, slash, path = rest.partition("/")
    port = host.rpartition("]")[2].partition(":")[2]
    if "@" in path and port and not port.isdecimal():  # no port, but a password with a slash in it
        host, slash, path = path.rpartition("@")[2].partition("/")
    more = f"{url[len(address)]}…" if len(url) > len(address) else ""
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{more}"


# --- what can be tried again ----------------------------------------------------------------------------------------


def _is_retryable(error: APIError) -> bool:
    """Whether trying the same call again can help: the one table, by the kind of error.

    Who raises an error and knows better says `retryable=`: a codec by the provider's own words (a quota that is used
    up, `x-should-retry`), a transport by the cause (a wrong certificate).
    """
    if isinstance(error, APIStatusError):
        return error.status_code in RETRIED_STATUSES
    if isinstance(error, APITimeoutError):
        return error.phase != "total"  # the deadline covers all attempts
    return isinstance(error, APIConnectionError)
