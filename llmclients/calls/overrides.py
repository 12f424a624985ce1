"""`Overrides`: what one call, or a view of a client, says in the client's place; and a call's own system text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llmclients.calls.tracebacks import without_our_frames
from llmclients.config.client import ClientOptions, ClientSettings
from llmclients.config.environment import check_headers
from llmclients.config.fallback import REQUEST_FIELDS
from llmclients.config.hints import hint_for
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError, InvalidRequestError
from llmclients.types.base import is_plain_text, make_model
from llmclients.types.messages import Message

if TYPE_CHECKING:
    from llmclients.config.fallback import Fallback

__all__ = ["UNSET", "Overrides", "Unset", "callers_mistake", "checks_messages", "with_system"]


class Unset(Enum):
    """The type of `UNSET`: for an argument for which None means something."""

    UNSET = "as the client's"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


class _Required:
    """Stands for messages that were not given."""

    def __repr__(self) -> str:
        return "<required>"


_REQUIRED: Any = _Required()
MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def checks_messages(method: MethodT) -> MethodT:
    """A method that may be called without `messages`, to say by `callers_mistake` what was given in their place.

    Python would say it before the method runs. For type checkers they are required. It stays the same function: the
    traceback of a mistake has one frame of ours.
    """
    cast(FunctionType, method).__defaults__ = (_REQUIRED,)
    return method


class Overrides:
    """Timeouts, retries and headers, checked when it is made. It never shows a header's value.

    Args:
        timeout: in place of the client's; a number is the limit for the next bytes, the others stay. None: all do.
        headers: over the client's, to the first provider only. None: none.
        retry: in place of the client's; None: one attempt.

    Raises:
        ConfigurationError: naming the argument that is wrong, as of a client.
    """

    __slots__ = ("_headers", "_retry", "_seconds", "_timeout")

    def __init__(
        self,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
    ) -> None:
        self._timeout = None if timeout is None else Timeout.coerce(timeout)
        self._seconds = None if self._timeout is None or self._timeout is timeout else self._timeout.read
        self._headers = check_headers(headers)
        self._retry = None if retry is UNSET else RetryPolicy.coerce(retry)

    @classmethod
    def given(
        cls,
        timeout: Timeout | float | None,
        headers: Mapping[str, str] | None,
        retry: RetryPolicy | int | Unset | None,
    ) -> Overrides | None:
        """Those of a call's arguments; None where it has given none of them."""
        return None if timeout is None and headers is None and retry is UNSET else cls(timeout, headers, retry)

    def __repr__(self) -> str:
        return f"Overrides({', '.join(name for name, _ in self._headers)})"

    def applied(self, settings: ClientSettings) -> ClientSettings:
        """The client's settings with these in their place. Timeouts and retries hold for all of its providers."""
        changed = self._limits(settings)
        if changed.fallbacks:
            changed = changed._replace(fallbacks=tuple(map(self._fallback, changed.fallbacks)))
        if not self._headers:
            return changed
        headers = (*settings.headers, *self._headers)  # of one name, the last one is sent
        return changed._replace(headers=headers, has_caller_headers=True)

    def _fallback(self, other: Fallback) -> Fallback:
        return other._replace(settings=self._limits(other.settings))

    def _limits(self, settings: ClientSettings) -> ClientSettings:
        changes: dict[str, Any] = {}
        if self._seconds is not None:
            changes["timeout"] = replace(settings.timeout, read=self._seconds, write=self._seconds)
            changes["chat_timeout"] = replace(settings.chat_timeout, read=self._seconds, write=self._seconds)
        elif self._timeout is not None:
            changes["timeout"] = self._timeout.with_read()
            changes["chat_timeout"] = self._timeout.with_read(settings.provider.chat_read_timeout)
        if self._retry is not None:
            changes["retry"] = self._retry
        return settings._replace(**changes)


def with_system(system: str, messages: list[Message]) -> list[Message]:
    """The messages behind a system text.

    Raises:
        InvalidRequestError: it is no text; or there is a system message already, and nobody can tell which one counts.
    """
    if not isinstance(system, str):
        raise InvalidRequestError(f"system must be text, not {type(system).__name__}", argument="system")
    if not system:
        raise InvalidRequestError("system is empty: leave it out", argument="system")
    if messages[0].role in ("system", "developer"):
        raise InvalidRequestError(
            f"messages begin with a {messages[0].role} message: give that or system=, not both", argument="system"
        )
    if is_plain_text(system):
        return [make_model(Message, role="system", content=system), *messages]
    try:
        return [Message("system", system), *messages]
    except InvalidRequestError as error:
        raise InvalidRequestError(f"system: {error}", argument="system") from None


def callers_mistake(error: ConfigurationError, messages: Any, options: Mapping[str, Any]) -> ConfigurationError:
    """The error for the public method to raise that was called with these arguments, and has caught `error`."""
    if messages is _REQUIRED:
        hints = (hint_for(name, "call", REQUEST_FIELDS, ClientOptions.__annotations__) for name in options)
        hint = next(filter(None, hints), None) or hint_for("prompt", "call", (), ())
        error = ConfigurationError(f"there are no messages{hint}", argument="messages")
        error.__suppress_context__ = True
    return without_our_frames(error)
