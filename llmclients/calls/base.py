"""`BaseCall`: what every kind of call has: attempts, a request, an answer's head and body, errors that say where."""

from __future__ import annotations

import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from llmclients.calls.destination import MAX_MESSAGE, Destination, merged_headers
from llmclients.calls.flow import READ_BODY, CallState, Flow, Open, ResponseHead, Sleep, StartServer
from llmclients.calls.retry import Decision, Retries, parse_retry_after
from llmclients.calls.tracebacks import clear_locals
from llmclients.codecs.base import Codec, Context, EncodedRequest
from llmclients.config.client import ClientSettings
from llmclients.errors import (
    APIError,
    APIResponseError,
    APIStatusError,
    MissingAPIKeyError,
    one_line,
    shown_url,
)
from llmclients.transports.base import Clock, HTTPRequest
from llmclients.types.headers import NO_HEADERS, Headers
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:  # few clients have limits
    from llmclients.calls.pacing import Paced, Pacer

__all__ = ["RNG", "BaseCall", "CallView", "reading_reply"]

T = TypeVar("T")

RNG = random.SystemRandom()  # shared by threads, and across forks, without harm

_log = logging.getLogger("llmclients")

_FINAL = Decision(None, "the caller has a part of the answer")
_MAX_ERROR_BODY = 1024 * 1024  # bytes
_WRONG_ADDRESS = (404, 405)
"""The statuses that a wrong `base_url` mostly ends in: their errors name the URL that was asked."""


class reading_reply:
    """Around a codec's reading: whatever goes wrong there is an APIError, as the caller has done nothing wrong.

    A reply can hold values that our own models refuse, and a codec from elsewhere can have faults.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, APIError):
            raise APIResponseError(f"the reply cannot be read: {type(error).__name__}: {error}") from error


class CallView(NamedTuple):
    """What a call is about, for a transport of tests: in the library's own words, whatever the wire makes of them.

    Attributes:
        provider: the provider's name.
        codec: the codec that has written the request, and reads the reply.
        context: what it wrote the request by.
        request: what was asked; None of a call that asks which models there are.
        errors: why the attempts before this one failed.
    """

    provider: str
    codec: Codec
    context: Context
    request: ChatRequest | None
    errors: Sequence[APIError]


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
        if settings.unusable is not None:
            raise MissingAPIKeyError(settings.unusable, argument="api_key")
        self._settings = settings
        self._clock = clock
        self._context = context
        self._rng = rng
        self._base_url = settings.base_url or ""
        self._timeout = settings.timeout
        self._request_id: str | None = None
        self._reply_headers: Mapping[str, str] | None = None
        self._paced: Paced | None = None
        self.state = state or CallState()
        try:
            self._encoded = self._encode(context)
        except BaseException as error:
            clear_locals(error)
            raise

    @abstractmethod
    def _encode(self, context: Context) -> EncodedRequest:
        """What is sent. Called by the constructor, and again once a server that was started has told its key."""

    def view(self) -> CallView:
        """What the call is about."""
        settings = self._settings
        return CallView(settings.provider.name, settings.codec, self._context, self._chat_request(), self.state.errors)

    def _chat_request(self) -> ChatRequest | None:
        """What is asked of a model; None where none is asked."""
        return None

    def is_final(self) -> bool:
        """Whether a failure can no longer be mended by another attempt."""
        return False

    def is_restart(self) -> bool:
        """Whether another attempt is a restart: of an answer of which the caller has a part, who asked for that."""
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
        if settings.limits is not None:
            attempt = self._behind_permits(settings.limits, attempt)
        while True:
            if settings.start is not None:  # each time: a server that has ended is started again, at another address
                endpoint = yield StartServer(settings.start)
                if endpoint.base_url != self._base_url:
                    self._base_url = endpoint.base_url
                    self._encoded = self._encode(self._context._replace(api_key=endpoint.api_key))
            try:
                return (yield from attempt())
            except APIError as error:
                failure = error
            retries.deadline = state.deadline  # a wait for a permit may have moved it
            # Outside the handler: an error raised within it would keep `failure`, and what that shows, as its context.
            decision = _FINAL if self.is_final() else self._decide(retries, failure)
            located = self._located(failure, () if decision.wait is not None else state.errors)
            clear_locals(failure)  # its frames have this call, and the call keeps what is chained to it
            del failure  # this frame is one of them
            try:
                if decision.wait is None:
                    _log.debug("not tried again: %s", decision.reason)
                    raise located
                state.errors.append(located.with_traceback(None))
                _log.info("%s; attempt %d follows in %.2f s", located, retries.attempts, decision.wait)
            finally:
                del located  # the same
            try:
                yield Sleep(decision.wait)
            except APIError as error:  # the stream was closed meanwhile
                raise self._located(error, state.errors)  # noqa: B904 - it is the same error

    def _behind_permits(self, pacer: Pacer, attempt: Callable[[], Flow[T]]) -> Callable[[], Flow[T]]:
        """The attempt, each time when the limits allow it."""
        from llmclients.calls.pacing import Paced

        request = self._chat_request()
        max_tokens = None if request is None else request.max_tokens
        paced = self._paced = Paced(pacer, self._clock, self.state, len(self._encoded.body), max_tokens)
        return lambda: paced.attempt(attempt)

    def _decide(self, retries: Retries, failure: APIError) -> Decision:
        return retries.decide(failure, self._clock.monotonic(), is_restart=self.is_restart())

    def _open(self) -> Flow[ResponseHead]:
        """Send the request; the answer's head, when its status is a good one.

        Raises:
            APIStatusError: it is not.
        """
        encoded = self._encoded
        request = HTTPRequest(
            encoded.method,
            self._base_url + encoded.path,
            merged_headers(encoded.headers, self._settings.headers),
            encoded.body,
            direct=self._settings.start is not None,
            call=self,
        )
        self._request_id = self._reply_headers = None
        head: ResponseHead = yield Open(request, self._timeout, self.state.deadline)
        self._reply_headers = head.headers
        if self._paced is not None:
            self._paced.observe(head.headers)
        names = self._settings.codec.request_id_headers
        self._request_id = next(filter(None, map(head.headers.get, names)), None)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "%s %s: HTTP %d",
                encoded.method,
                one_line(self._destination().mask()(request.url, urls=True), MAX_MESSAGE),
                head.status,
            )
        if not 200 <= head.status < 300:
            raise (yield from self._status_error(head))
        return head

    def _body(self, limit: int | None = None) -> Flow[bytes]:
        """The whole body, or its beginning once that has `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        while data := (yield READ_BODY):
            pieces.append(data)
            size += len(data)
            if limit is not None and size >= limit:
                break
        return b"".join(pieces)

    def _status_error(self, head: ResponseHead) -> Flow[APIStatusError]:
        """The error that a head with a bad status, and the body behind it, mean."""
        if 300 <= head.status < 400:
            target = shown_url(head.headers.get("location", ""))
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
        if head.status in _WRONG_ADDRESS:
            error = error.copy_with(
                f"{error} ({self._encoded.method} {shown_url(self._base_url + self._encoded.path)})"
            )
        if error.retry_after is None:  # an HTTP date needs the clock, which a codec has not
            return error.copy_with(retry_after=parse_retry_after(head.headers, self._clock.time()))
        return error

    def without_secrets(self, text: str) -> str:
        """The text with stars in place of what this call has to keep secret."""
        return self._destination().mask()(text)

    def _headers(self) -> Mapping[str, str]:
        """The headers of the reply, for who receives it."""
        if self._reply_headers is None:
            return NO_HEADERS
        return Headers(self._reply_headers, self._destination().headers_without_secrets)

    def _located(self, error: APIError, previous_errors: Sequence[APIError] = ()) -> APIError:
        """The error as its receiver gets it: where it happened, what had come until then, and no secret."""
        return self._destination().located(
            error,
            model=self._context.model,
            request_id=self._request_id,
            partial=error.partial or self._partial(),
            previous_errors=previous_errors,
        )

    def _destination(self) -> Destination:
        return Destination(self._settings, self._encoded.headers, self._context.api_key, self._base_url)
