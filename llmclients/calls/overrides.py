"""`Overrides`: what one call, or a view of a client, says in the client's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from llmclients.config.client import ClientSettings
from llmclients.config.environment import check_headers
from llmclients.config.values import RetryPolicy, Timeout

if TYPE_CHECKING:
    from llmclients.config.fallback import Fallback

__all__ = ["UNSET", "Overrides", "Unset"]


class Unset(Enum):
    """The type of `UNSET`: for an argument for which None means something."""

    UNSET = "as the client's"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


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
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
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
