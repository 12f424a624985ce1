"""A scripted transport for tests of programs: no socket, no waiting, the same errors as the real ones.

```python
mock = MockTransport([Reply(503), Reply(json={"choices": [...]})])
client = Client("openai", base_url="http://mock/v1", api_key="none", transport=mock)
```

The same object serves `Client` and `AsyncClient`. Its own clock lets sleeps and delays pass at once.
"""

from __future__ import annotations

import json as _json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Timeout
from llmclients.errors import APIConnectionError, APIError, StreamInterruptedError
from llmclients.transports.base import AsyncTransport, Clock, HTTPRequest, Transport, running_loop
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import ErrorContext, closed_locally

__all__ = ["ConnectFault", "Cut", "Delay", "FakeClock", "MockTransport", "Reply", "ScriptExhausted"]


class ScriptExhausted(AssertionError):
    """A request came that the script has no reply for."""


class FakeClock:
    """A clock that passes only when something sleeps. `slept` lists how long, in order."""

    def __init__(self, start: float = 1_000_000_000.0) -> None:
        self.now = start
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await _yield()

    def advance(self, seconds: float) -> None:
        """Let time pass, without a sleep."""
        self.now += seconds


@dataclass(frozen=True)
class Delay:
    """A step of a reply: silence. More of it than the timeouts allow ends the exchange, as from a real server."""

    seconds: float


class Cut(StreamInterruptedError):
    """A step of a reply: the connection breaks off."""

    def __init__(self, message: str = "the answer broke off: connection reset by peer") -> None:
        super().__init__(message)


class ConnectFault(APIConnectionError):
    """In place of a reply: no connection."""

    def __init__(self, message: str = "cannot connect: connection refused") -> None:
        super().__init__(message)


Step = bytes | str | Delay | APIError


class Reply:
    """One scripted response.

    Args:
        status: the HTTP status.
        body: the whole body, as one piece.
        chunks: the body's steps, in place of `body`: a piece of bytes or text is one `read`, a `Delay` is silence, an
            error such as `Cut()` is raised. The end of the steps is the clean end of the body.
        json: a value whose JSON is the body.
        headers: the response's headers.
        wait: seconds of silence before the response's head.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | str = b"",
        *,
        chunks: Iterable[Step] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            body = _json.dumps(json)
            self.headers.setdefault("content-type", "application/json")
        self.steps: tuple[Step, ...] = (body,) if chunks is None else tuple(chunks)
        self.wait = wait


Script = Iterable[Reply | APIError] | Callable[[HTTPRequest], Reply | APIError]


class MockTransport:
    """Answers requests from a script, for both clients.

    Args:
        script: replies and errors in order, or a function that has one for each request.
        clock: a clock to share; default: a new `FakeClock`. `max_response_bytes` is as a client's.

    Attributes:
        requests: the requests that came, in order.
        opened: how many exchanges got as far as a response.
        closed: how many of these were closed.
        aborted: how many were aborted, by `AsyncClient`.
        clock: the clock that both clients go by.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        clock: FakeClock | None = None,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
    ) -> None:
        self.requests: list[HTTPRequest] = []
        self.opened = self.closed = self.aborted = 0
        self.clock = clock or FakeClock()
        self._limit = max_response_bytes
        self._next = script if callable(script) else _in_turn(script)
        self._lock = threading.Lock()

    @property
    def open_exchanges(self) -> int:
        """How many exchanges were opened and neither closed nor aborted yet."""
        return self.opened - self.closed - self.aborted

    def sync(self) -> Transport:
        """The side that `Client` uses."""
        return _SyncSide(self)

    def asynchronous(self) -> AsyncTransport:
        """The side that `AsyncClient` uses."""
        return _AsyncSide(self)

    def _open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> _Exchange:
        with self._lock:
            self.requests.append(request)
            reply = self._next(request)
        exchange = _Exchange(self, reply, ErrorContext(request.url, None, timeout, deadline, self.clock))
        with self._lock:
            self.opened += 1
        return exchange


def _in_turn(script: Iterable[Reply | APIError]) -> Callable[[HTTPRequest], Reply | APIError]:
    replies = iter(script)
    used = 0

    def reply(request: HTTPRequest) -> Reply | APIError:
        nonlocal used
        for found in replies:
            used += 1
            return found
        raise ScriptExhausted(f"the script has no reply for {request.method} {request.url}: {used} were used")

    return reply


class _Exchange:
    """One exchange, without I/O; each side wraps it."""

    def __init__(self, transport: MockTransport, reply: Reply | APIError, context: ErrorContext) -> None:
        self._transport = transport
        self._context = context
        self._silence = 0.0
        self._over = self._ended = False
        context.remaining()
        if isinstance(reply, APIError):
            raise reply
        self._wait(reply.wait)
        self._silence = 0.0
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers
        self._decoder = BodyDecoder(reply.headers, transport._limit)
        self._steps: Iterator[Step] = iter(reply.steps)

    def _wait(self, seconds: float) -> None:
        """Let silence pass: as much of it as the timeouts allow."""
        context, clock = self._context, self._transport.clock
        self._silence += seconds
        patience = seconds - max(self._silence - context.timeout.read_seconds, 0.0)
        remaining = context.remaining()
        if remaining is not None and remaining <= min(seconds, patience):
            clock.advance(remaining)
            raise context.deadline_exceeded()
        clock.advance(patience)
        if patience < seconds:
            raise context.read_timeout()

    def read(self) -> bytes:
        if self._ended:
            return b""
        if self._over:
            raise closed_locally()
        try:
            self._context.remaining()
            for step in self._steps:
                if isinstance(step, Delay):
                    self._wait(step.seconds)
                elif isinstance(step, APIError):
                    raise step
                elif step:
                    self._silence = 0.0
                    if data := self._decoder.feed(step.encode() if isinstance(step, str) else step):
                        return data
            self._decoder.finish()
        except BaseException:
            self.end(aborted=False)
            raise
        self._ended = True
        return b""

    def end(self, *, aborted: bool) -> None:
        if not self._over:
            self._over = True
            with self._transport._lock:
                self._transport.closed += not aborted
                self._transport.aborted += aborted


class _Response:
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = exchange.headers


class _SyncResponse(_Response):
    def read(self) -> bytes:
        return self._exchange.read()

    def drain(self) -> None:
        """As `close`: a script's steps after the end mark take no time."""
        self._exchange.end(aborted=False)

    def close(self) -> None:
        self._exchange.end(aborted=False)


class _AsyncResponse(_Response):
    async def read(self) -> bytes:
        await _yield()
        return self._exchange.read()

    async def drain(self) -> None:
        self._exchange.end(aborted=False)

    async def close(self) -> None:
        self._exchange.end(aborted=False)

    def abort(self) -> None:
        self._exchange.end(aborted=True)


class _Side:
    def __init__(self, transport: MockTransport) -> None:
        self._transport = transport
        self.clock: Clock = transport.clock


class _SyncSide(_Side):
    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> _SyncResponse:
        return _SyncResponse(self._transport._open(request, timeout, deadline))

    def close(self) -> None:
        """Nothing: the transport is the caller's."""


class _AsyncSide(_Side):
    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> _AsyncResponse:
        running_loop()
        await _yield()
        return _AsyncResponse(self._transport._open(request, timeout, deadline))

    async def close(self) -> None:
        """Nothing: the transport is the caller's."""


async def _yield() -> None:
    """Let other tasks run, as any real I/O does."""
    import asyncio  # Client has no use for it

    await asyncio.sleep(0)
