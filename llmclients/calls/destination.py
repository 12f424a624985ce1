"""`Destination`: where a call's request goes, and what of it is secret: in its errors, and in its reply's headers."""

# A server may repeat what it was sent, and errors are logged. So whatever comes back is masked before a caller sees it:
# all that an error has, its chained errors, the headers of a reply. Then, and not before, a message is cut.

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from llmclients.calls.redaction import Mask, chained_errors
from llmclients.calls.secrets import find_secrets
from llmclients.config.client import ClientSettings
from llmclients.config.environment import environment_proxy
from llmclients.config.values import Proxy
from llmclients.errors import APIError, APIStatusError, ConfigurationError, one_line
from llmclients.types.response import ChatResponse

__all__ = ["MAX_MESSAGE", "Destination", "merged_headers"]

HeaderPairs = tuple[tuple[str, str], ...]

MAX_MESSAGE = 510
"""In characters, as in an `APIError`; before them come the provider and the host."""
_MAX_ID = 200


class Destination(NamedTuple):
    """A provider's server, and what is sent there besides the body.

    It is all that the headers of an answer hold of their call: not the whole request.

    Attributes:
        settings: the client's.
        headers: those that the codec has written.
        api_key: the key that it has written them by.
        base_url: the server's, also where it was started by the call.
    """

    settings: ClientSettings
    headers: HeaderPairs
    api_key: str | None
    base_url: str

    def __repr__(self) -> str:  # without the key
        return f"Destination({self.settings.label!r})"

    def mask(self) -> Mask:
        """What hides the secrets of the request."""
        sent = merged_headers(self.headers, self.settings.headers)
        return Mask(find_secrets(sent, self.api_key, self._proxy()))

    def headers_without_secrets(self, headers: Mapping[str, str]) -> dict[str, str]:
        """A reply's headers without the request's secrets, and without what the server sets for the next one."""
        return _masked_headers(self.mask(), headers)

    def located(
        self,
        error: APIError,
        *,
        model: str,
        request_id: str | None,
        partial: ChatResponse | None,
        previous_errors: Sequence[APIError],
    ) -> APIError:
        """The error as its receiver gets it: where it happened, and no secret.

        Args:
            model: the one that was asked.
            request_id: of the reply.
            partial: what had come of the answer.
            previous_errors: those of the attempts before.
        """
        hide = self.mask()
        name = self.settings.provider.name
        request_id = hide(error.request_id or request_id)
        values = hide(list(vars(error).values()))
        attributes: dict[str, Any] = dict(zip(vars(error), values, strict=True)) | {
            "provider": name,
            "model": hide(model) or None,
            "request_id": one_line(request_id, _MAX_ID) if isinstance(request_id, str) else request_id,
            "partial": hide(partial),
            "previous_errors": tuple(previous_errors),
        }
        if isinstance(error, APIStatusError):
            attributes["body"] = hide(error.body, urls=True)
            attributes["headers"] = _masked_headers(hide, error.headers)
        message = one_line(hide(error.uncut_message, urls=True), MAX_MESSAGE)
        located = error.copy_with(f"{name} ({urlsplit(self.base_url).hostname}): {message}", **attributes)
        if any(hide.finds_in(f"{one} {one!r}") for one in chained_errors(error)):
            located.__cause__ = located.__context__ = None
        if previous_errors and sys.version_info >= (3, 11):
            cause = [located.__cause__] if isinstance(located.__cause__, Exception) else []
            message = f"{len(previous_errors)} earlier attempts failed"
            located.__cause__ = ExceptionGroup(message, [*previous_errors, *cause])  # noqa: F821 - from Python 3.11 on
        return located

    def _proxy(self) -> Proxy | None:
        """The proxy whose password a server on the way may repeat."""
        settings = self.settings
        proxy = settings.transport.proxy
        if proxy is None and settings.transport.trust_env and settings.start is None:
            with suppress(ConfigurationError):  # the transport has said so, if it uses the environment's
                proxy = environment_proxy(self.base_url)
        return proxy if isinstance(proxy, Proxy) else None


def _masked_headers(hide: Mask, headers: Mapping[str, str]) -> dict[str, str]:
    cookie = {"set-cookie": "***"} if "set-cookie" in headers else {}
    return {**hide(dict(headers), urls=True), **cookie}


def merged_headers(headers: HeaderPairs, others: HeaderPairs) -> HeaderPairs:
    """The codec's headers, with the caller's in place of those of the same name, or after them."""
    if not others:
        return headers
    replaced = {name.lower(): (name, value) for name, value in others}
    kept = tuple(replaced.pop(name.lower(), (name, value)) for name, value in headers)
    return kept + tuple(replaced.values())
