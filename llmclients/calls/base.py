"""What every call has: steps without I/O, attempts, a request, an answer's head and body, errors that say where.

A course says what to do next and is sent the outcome, or has the transport's error thrown into it; so retries,
deadlines and breaks are written once, and tested without a socket and without sleeping.
"""

from __future__ import annotations

import logging
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.redaction import Mask, causes
from llmclients.calls.retry import Retries, retry_after
from llmclients.codecs.base import Context, EncodedRequest
from llmclients.config.client import ClientSettings
from llmclients.config.values import Timeout
from llmclients.errors import APIError, APIStatusError
from llmclients.providers.provider import Endpoint
from llmclients.transports.base import Clock, HTTPRequest
from llmclients.types.response import ChatResponse, Chunk

__all__ = [
    "FINISH",
    "READ",
    "RNG",
    "Attempts",
    "Course",
    "Deliver",
    "Finish",
    "Head",
    "Open",
    "Progress",
    "Read",
    "Sleep",
    "Source",
    "Start",
    "Step",
]

T = TypeVar("T")

RNG = random.SystemRandom()  # shared by threads, and across forks, without harm

_log = logging.getLogger("llmclients")

_MAX_ERROR_BODY = 1024 * 1024


class Head(Protocol):
    """What the course wants to know of an open response."""

    status: int
    headers: Mapping[str, str]


class Source(Protocol):
    """Makes chunks of a body."""

    done: bool

    def chunks(self, data: bytes) -> Iterator[Chunk]:
        """Those that `data` completes, `b""` being the body's clean end. To be iterated to its end."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start the server that the provider needs; the outcome is its `Endpoint`. May take a second."""

    run: Callable[[], Endpoint]


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request; the outcome is the response, read by `Read` steps. One that is still open is closed first."""

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
    """Read the body, and hand its chunks to the caller, until the source is done. Its errors are the outcome.

    Nothing is read, and no chunk decoded, before the caller asks for it.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete, its body not yet: take the end off the wire if it comes soon, so that the connection
    serves another exchange. Has no outcome, and does not fail.
    """


READ = Read()
FINISH = Finish()
Step: TypeAlias = Start | Open | Read | Sleep | Deliver | Finish
Course: TypeAlias = Generator[Step, Any, T]


@dataclass(slots=True)
class Progress:
    """What the attempts of one call have in common, also when they go to one provider after another.

    Attributes:
        deadline: on the clock's monotonic scale; set by the first attempt.
        fold: what has come of the answer.
        delivered: whether the caller has seen a chunk of it.
        failures: the errors of the attempts so far.
    """

    deadline: float | None = None
    fold: Accumulator = field(default_factory=Accumulator)
    delivered: bool = False
    failures: list[APIError] = field(default_factory=list)


class Attempts(ABC):
    """What every call has: attempts, a request, an answer's head and body, and errors that say where they happened."""

    def __init__(
        self,
        settings: ClientSettings,
        clock: Clock,
        context: Context,
        progress: Progress | None = None,
        rng: random.Random = RNG,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._context = context
        self.progress = progress or Progress()
        self._rng = rng
        self._wire = self._encode(context)
        self._base_url = settings.base_url or ""
        self._request_id: str | None = None

    @abstractmethod
    def _encode(self, context: Context) -> EncodedRequest:
        """What is sent."""

    def is_final(self) -> bool:
        """Whether a failure can no longer be mended by another attempt."""
        return False

    def _partial(self) -> ChatResponse | None:
        """What had come of the answer, for an error."""
        return None

    def _attempts(self, once: Callable[[], Course[T]]) -> Course[T]:
        """`once` again and again, as the policy allows."""
        settings, clock, progress = self._settings, self._clock, self.progress
        if settings.timeout.total is not None and progress.deadline is None:
            progress.deadline = clock.monotonic() + settings.timeout.total
        if settings.start is not None:
            endpoint = yield Start(settings.start)
            self._base_url = endpoint.base_url
            self._wire = self._encode(replace(self._context, api_key=endpoint.api_key))
        retries = Retries(settings.retry, progress.deadline, self._rng)
        while True:
            try:
                return (yield from once())
            except APIError as error:
                self._describe(error)
                wait = None if self.is_final() else retries.wait_after(error, clock.monotonic())
                if wait is None:
                    _remember(error, progress.failures)
                    raise
                progress.failures.append(error.with_traceback(None))
                _log.info("%s; attempt %d follows in %.2f s", error, retries.attempts, wait)
            yield Sleep(wait)

    def _open(self) -> Course[Head]:
        """Send the request; the answer's head, when its status is a good one."""
        wire = self._wire
        request = HTTPRequest(
            wire.method,
            self._base_url + wire.path,
            _merged(wire.headers, self._settings.headers),
            wire.body,
            direct=self._settings.start is not None,
        )
        self._request_id = None
        head: Head = yield Open(request, self._settings.timeout, self.progress.deadline)
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
        # A server may repeat what it was sent, and errors are logged.
        hide = Mask(_merged(self._wire.headers, self._settings.headers), self._context.api_key)
        error.args = (f"{error.provider} ({urlsplit(self._base_url).hostname}): {hide(str(error))}",)
        if any(hide.finds_in(f"{one} {one!r}") for one in causes(error)):
            error.__cause__ = error.__context__ = None
        if isinstance(error, APIStatusError):
            error.body = hide(error.body)
            error.headers = {
                name: "***" if name == "set-cookie" else hide(value) for name, value in error.headers.items()
            }


def _remember(error: APIError, failures: Sequence[APIError]) -> None:
    """Keep the failures of the attempts before it on `error`."""
    error.previous_errors = tuple(failures)
    if failures and sys.version_info >= (3, 11):
        cause = [error.__cause__] if isinstance(error.__cause__, Exception) else []
        told = f"{len(failures)} earlier attempts failed"
        error.__cause__ = ExceptionGroup(told, [*failures, *cause])  # noqa: F821 - not in Python 3.10


def _merged(headers: tuple[tuple[str, str], ...], others: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The codec's headers, with the caller's in place of those of the same name, or after them."""
    if not others:
        return headers
    replaced = {name.lower(): (name, value) for name, value in others}
    kept = tuple(replaced.pop(name.lower(), (name, value)) for name, value in headers)
    return kept + tuple(replaced.values())
