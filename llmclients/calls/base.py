"""`BaseCall`: what every kind of call has: attempts, a request, an answer's head and body, errors that say where."""

from __future__ import annotations

import logging
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from llmclients.calls.flow import READ, CallState, Flow, Open, ResponseHead, Sleep, StartServer
from llmclients.calls.redaction import Mask, chained_errors
from llmclients.calls.retry import Decision, Retries, parse_retry_after
from llmclients.codecs.base import Context, EncodedRequest
from llmclients.config.client import ClientSettings
from llmclients.errors import APIError, APIResponseError, APIStatusError
from llmclients.transports.base import Clock, HTTPRequest
from llmclients.types.response import ChatResponse

__all__ = ["RNG", "BaseCall", "reading_reply"]

T = TypeVar("T")

RNG = random.SystemRandom()  # shared by threads, and across forks, without harm

_log = logging.getLogger("llmclients")

_FINAL = Decision(None, "the caller has a part of the answer")
_MAX_ERROR_BODY = 1024 * 1024  # bytes


@contextmanager
def reading_reply() -> Iterator[None]:
    """Around a codec's reading: whatever goes wrong there is an APIError, as the caller has done nothing wrong.

    A reply can hold values that our own models refuse, and a codec from elsewhere can have faults.
    """
    try:
        yield
    except APIError:
        raise
    except Exception as error:
        raise APIResponseError(f"the reply cannot be read: {type(error).__name__}: {error}") from error


class BaseCall(ABC):
    """A call of any kind, from one provider. What is sent is fixed when it is made.

    A subclass says what is sent (`_encode`), and makes its flow of `_with_retries(attempt)`, where an attempt is a flow
    of `_open()` and `_body()` or of `READ` steps.

    Args:
        clock: the transport's.
        context: what the codec encodes by.
        state: shared with the calls to other providers; by default its own.
        rng: the source of jitter.
    """

    def __init__(
        self,
        settings: ClientSettings,
        clock: Clock,
        context: Context,
        state: CallState | None = None,
        rng: random.Random = RNG,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._context = context
        self._rng = rng
        self._base_url = settings.base_url or ""
        self._request_id: str | None = None
        self.state = state or CallState()
        self._encoded = self._encode(context)

    @abstractmethod
    def _encode(self, context: Context) -> EncodedRequest:
        """What is sent. Called by the constructor, and again once a server that was started has told its key."""

    def is_final(self) -> bool:
        """Whether a failure can no longer be mended by another attempt."""
        return False

    def _partial(self) -> ChatResponse | None:
        """What had come of the answer, for an error."""
        return None

    def _with_retries(self, attempt: Callable[[], Flow[T]]) -> Flow[T]:
        """`attempt` again and again, as the policy allows.

        Raises:
            APIError: of the last attempt; complete, and with the errors of the attempts before it.
        """
        settings, clock, state = self._settings, self._clock, self.state
        if settings.timeout.total is not None and state.deadline is None:
            state.deadline = clock.monotonic() + settings.timeout.total
        retries = Retries(settings.retry, state.deadline, self._rng)
        while True:
            if settings.start is not None:  # each time: a server that has ended is started again, at another address
                endpoint = yield StartServer(settings.start)
                if endpoint.base_url != self._base_url:
                    self._base_url = endpoint.base_url
                    self._encoded = self._encode(replace(self._context, api_key=endpoint.api_key))
            try:
                return (yield from attempt())
            except APIError as error:
                failure = error
            # Outside the handler: an error raised within it would keep `failure`, and what that shows, as its context.
            decision = _FINAL if self.is_final() else retries.decide(failure, clock.monotonic())
            if decision.wait is None:
                _log.debug("not tried again: %s", decision.reason)
                raise self._located(failure, state.errors)
            state.errors.append(self._located(failure).with_traceback(None))
            _log.info("%s; attempt %d follows in %.2f s", state.errors[-1], retries.attempts, decision.wait)
            yield Sleep(decision.wait)

    def _open(self) -> Flow[ResponseHead]:
        """Send the request; the answer's head, when its status is a good one.

        Raises:
            APIStatusError: it is not.
        """
        encoded = self._encoded
        request = HTTPRequest(
            encoded.method,
            self._base_url + encoded.path,
            _merged(encoded.headers, self._settings.headers),
            encoded.body,
            direct=self._settings.start is not None,
        )
        self._request_id = None
        head: ResponseHead = yield Open(request, self._settings.timeout, self.state.deadline)
        names = self._settings.codec.request_id_headers
        self._request_id = next(filter(None, map(head.headers.get, names)), None)
        _log.debug("%s %s: HTTP %d", encoded.method, request.url, head.status)
        if not 200 <= head.status < 300:
            raise (yield from self._status_error(head))
        return head

    def _body(self, limit: int | None = None) -> Flow[bytes]:
        """The whole body, or its beginning once that has `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        while data := (yield READ):
            pieces.append(data)
            size += len(data)
            if limit is not None and size >= limit:
                break
        return b"".join(pieces)

    def _status_error(self, head: ResponseHead) -> Flow[APIStatusError]:
        """The error that a head with a bad status, and the body behind it, mean."""
        if 300 <= head.status < 400:
            target = head.headers.get("location", "").partition("?")[0]
            return APIStatusError(
                f"HTTP {head.status}: the server redirects to {target or 'nowhere'}. "
                "Redirects are not followed; if that address is right, give it as base_url",
                status_code=head.status,
                headers=head.headers,
            )
        try:
            body = yield from self._body(_MAX_ERROR_BODY)
        except APIError:  # the status says enough
            body = b""
        error = self._settings.codec.decode_error(head.status, head.headers, body)
        if error.retry_after is None:  # an HTTP date needs the clock, which a codec has not
            return error.copy_with(retry_after=parse_retry_after(head.headers, self._clock.time()))
        return error

    def _located(self, error: APIError, previous_errors: Sequence[APIError] = ()) -> APIError:
        """The error as its receiver gets it: where it happened, what had come until then, and no secret.

        A server may repeat what it was sent, and errors are logged.
        """
        hide = Mask(_merged(self._encoded.headers, self._settings.headers), self._context.api_key)
        name = self._settings.provider.name
        attributes: dict[str, Any] = {
            "provider": name,
            "model": self._context.model or None,
            "request_id": error.request_id or self._request_id,
            "partial": error.partial or self._partial(),
            "previous_errors": tuple(previous_errors),
        }
        if isinstance(error, APIStatusError):
            attributes["body"] = hide(error.body)
            attributes["headers"] = {
                header: "***" if header == "set-cookie" else hide(value) for header, value in error.headers.items()
            }
        located = error.copy_with(f"{name} ({urlsplit(self._base_url).hostname}): {hide(str(error))}", **attributes)
        if any(hide.finds_in(f"{one} {one!r}") for one in chained_errors(error)):
            located.__cause__ = located.__context__ = None
        if previous_errors and sys.version_info >= (3, 11):
            cause = [located.__cause__] if isinstance(located.__cause__, Exception) else []
            message = f"{len(previous_errors)} earlier attempts failed"
            located.__cause__ = ExceptionGroup(message, [*previous_errors, *cause])  # noqa: F821 - from Python 3.11 on
        return located


def _merged(headers: tuple[tuple[str, str], ...], others: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The codec's headers, with the caller's in place of those of the same name, or after them."""
    if not others:
        return headers
    replaced = {name.lower(): (name, value) for name, value in others}
    kept = tuple(replaced.pop(name.lower(), (name, value)) for name, value in headers)
    return kept + tuple(replaced.values())
