"""One call's course, without I/O: a generator of steps that both clients carry out.

The course says what to do next and is sent the outcome, or has the transport's error thrown into it; so retries,
deadlines and breaks are written once, and tested without a socket and without sleeping.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from llmclients.codecs.base import CodecOptions, Context, WireRequest
from llmclients.config import Timeout
from llmclients.errors import APIError, APIStatusError
from llmclients.fold import Fold
from llmclients.models import ChatRequest, ChatResponse, Chunk, Messages
from llmclients.providers import Endpoint
from llmclients.retry import Retries, retry_after
from llmclients.settings import ClientSettings
from llmclients.transports.base import Clock, HTTPRequest

__all__ = ["READ", "Call", "Course", "Deliver", "Head", "ModelListing", "Open", "Read", "Sleep", "Start", "Step"]

T = TypeVar("T")

_log = logging.getLogger("llmclients")
_rng = random.SystemRandom()  # shared by threads and across forks without harm

_MAX_ERROR_BODY = 1024 * 1024


class Head(Protocol):
    """What the course wants to know of an open response."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Start:
    """Start the server that the provider needs; the outcome is its `Endpoint`. May take a second."""

    run: Callable[[], Endpoint]


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request; the outcome is the response, whose body is read by `Read` steps. One still open is closed first."""

    request: HTTPRequest
    timeout: Timeout
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Read:
    """Read the body's next bytes; the outcome is `b""` at its clean end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Close the response, and wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand these chunks to the caller."""

    chunks: list[Chunk]


READ = Read()
Step: TypeAlias = Start | Open | Read | Sleep | Deliver
Course: TypeAlias = Generator[Step, Any, T]


class _Course:
    """What every call has: attempts, a request, an answer's head and body, and errors that say where they happened."""

    def __init__(self, settings: ClientSettings, clock: Clock, context: Context, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._context = context
        self._rng = rng
        self._wire = self._encode(context)
        self._base_url = settings.base_url or ""
        self._deadline: float | None = None
        self._request_id: str | None = None

    def _encode(self, context: Context) -> WireRequest:
        raise NotImplementedError

    def _is_final(self) -> bool:
        """Whether a failure can no longer be mended by another attempt."""
        return False

    def _partial(self) -> ChatResponse | None:
        """What had come of the answer, for an error."""
        return None

    def _attempts(self, once: Callable[[], Course[T]]) -> Course[T]:
        """`once` again and again, as the policy allows."""
        settings, clock = self._settings, self._clock
        if settings.timeout.total is not None:
            self._deadline = clock.monotonic() + settings.timeout.total
        if settings.start is not None:
            endpoint = yield Start(settings.start)
            self._base_url = endpoint.base_url
            self._wire = self._encode(replace(self._context, api_key=endpoint.api_key))
        retries = Retries(settings.retry, self._deadline, self._rng)
        while True:
            try:
                return (yield from once())
            except APIError as error:
                self._describe(error)
                wait = None if self._is_final() else retries.wait_after(error, clock.monotonic())
                if wait is None:
                    raise
                _log.info("%s; attempt %d follows in %.2f s", error, retries.attempts, wait)
            yield Sleep(wait)

    def _open(self) -> Course[Head]:
        """Send the request; the answer's head, when its status is a good one."""
        wire = self._wire
        request = HTTPRequest(
            wire.method, self._base_url + wire.path, _merged(wire.headers, self._settings.headers), wire.body
        )
        self._request_id = None
        head: Head = yield Open(request, self._settings.timeout, self._deadline)
        names = self._settings.codec.request_id_headers
        self._request_id = next(filter(None, map(head.headers.get, names)), None)
        _log.debug("%s %s: HTTP %d", wire.method, request.url, head.status)
        if not 200 <= head.status < 300:
            raise (yield from self._refusal(head))
        return head

    def _body(self, most: int | None = None) -> Course[bytes]:
        """The whole body, or its beginning once that has `most` bytes."""
        pieces: list[bytes] = []
        size = 0
        while data := (yield READ):
            pieces.append(data)
            size += len(data)
            if most is not None and size >= most:
                break
        return b"".join(pieces)

    def _refusal(self, head: Head) -> Course[APIStatusError]:
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
        if error.retry_after is None:
            error.retry_after = retry_after(head.headers, self._clock.time())
        return error

    def _describe(self, error: APIError) -> None:
        """Add to an error where it happened, and what had come until then."""
        if error.provider is not None:
            return
        error.provider = self._settings.provider.name
        error.model = self._context.model or None
        error.request_id = error.request_id or self._request_id
        error.partial = error.partial or self._partial()
        error.args = (f"{error.provider} ({urlsplit(self._base_url).hostname}): {error}",)


class Call(_Course):
    """One chat call. What is sent is fixed when it is made, before anything is sent.

    Raises:
        ConfigurationError: the provider's wire cannot carry the request.
    """

    def __init__(
        self,
        settings: ClientSettings,
        clock: Clock,
        request: ChatRequest,
        options: CodecOptions,
        *,
        stream: bool,
        state: Mapping[str, Any] | None = None,
        rng: random.Random = _rng,
    ) -> None:
        self._request = request
        self._fold = Fold()
        self._delivered = False
        context = Context(
            model=request.model or "",
            stream=stream,
            api_key=settings.api_key,
            own_service=settings.own_service,
            options=options,
            state=state or {},
            unix_time=clock.time(),
            random=rng,
        )
        super().__init__(settings, clock, context, rng)

    @classmethod
    def of(
        cls,
        settings: ClientSettings,
        clock: Clock,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        state: Mapping[str, Any],
        *,
        stream: bool,
    ) -> Call:
        """The call that a caller's arguments mean."""
        request, own = settings.request(messages, model, options)
        return cls(settings, clock, request, own, stream=stream, state=state)

    def reply(self) -> Course[ChatResponse]:
        """The course of `chat`. Any break is tried again, as nothing has been handed out."""
        once = self._whole_reply if self._settings.codec.whole_replies else self._streamed_reply
        return (yield from self._attempts(once))

    def stream(self) -> Course[ChatResponse]:
        """The course of `stream`. Once a chunk is out, a break is the caller's to know."""
        return (yield from self._attempts(lambda: self._streamed_reply(deliver=True)))

    def response(self) -> ChatResponse:
        """What has come of a stream so far."""
        return self._completed(self._fold.response())

    def _encode(self, context: Context) -> WireRequest:
        return self._settings.codec.encode(self._request, context)

    def _is_final(self) -> bool:
        return self._delivered

    def _partial(self) -> ChatResponse | None:
        return self.response() if self._fold.started else None

    def _completed(self, response: ChatResponse) -> ChatResponse:
        response.provider = self._settings.provider.name
        response.model = response.model or self._context.model or None
        response.request_id = self._request_id
        return response

    def _whole_reply(self) -> Course[ChatResponse]:
        yield from self._open()
        body = yield from self._body()
        return self._completed(self._settings.codec.decode(body))

    def _streamed_reply(self, *, deliver: bool = False) -> Course[ChatResponse]:
        self._fold = fold = Fold()
        head = yield from self._open()
        decoder = self._settings.codec.stream_decoder(head.headers.get("content-type", ""))
        data = b"-"
        while data and not decoder.done:
            data = yield READ
            chunks: list[Chunk] = []
            failure: APIError | None = None
            try:
                chunks.extend(decoder.feed(data) if data else decoder.finish())
            except APIError as error:  # the chunks before it are good, and come first
                failure = error
            if chunks:
                for chunk in chunks:
                    fold.add(chunk)
                if deliver:
                    self._delivered = True
                    yield Deliver(chunks)
            if failure is not None:
                raise failure
        return self.response()


class ModelListing(_Course):
    """The question which models there are."""

    def __init__(self, settings: ClientSettings, clock: Clock) -> None:
        super().__init__(settings, clock, Context(api_key=settings.api_key, own_service=settings.own_service), _rng)

    def names(self) -> Course[list[str]]:
        """The course of `models`: asks the service; where its wire has no such question, ends with the known names."""
        if not self._wire.path:
            return list(self._settings.provider.models)
        return (yield from self._attempts(self._listed))

    def _encode(self, context: Context) -> WireRequest:
        return self._settings.codec.encode_models(context) or WireRequest("", b"")

    def _listed(self) -> Course[list[str]]:
        yield from self._open()
        return self._settings.codec.decode_models((yield from self._body()))


def _merged(headers: tuple[tuple[str, str], ...], others: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The codec's headers, with the caller's in place of those of the same name, or after them."""
    if not others:
        return headers
    replaced = {name.lower(): (name, value) for name, value in others}
    kept = tuple(replaced.pop(name.lower(), (name, value)) for name, value in headers)
    return kept + tuple(replaced.values())
