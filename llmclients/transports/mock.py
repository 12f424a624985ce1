"""A scripted transport for tests of programs: no socket, no waiting, the same errors as the real ones.

```python
mock = MockTransport([Reply(503), Reply(json={"choices": [...]})])
client = Client("openai/gpt-4.1-mini", api_key="none", transport=mock)
```

The same object serves `Client` and `AsyncClient`. Its own clock lets sleeps and delays pass at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Timeout
from llmclients.errors import APIError
from llmclients.transports.base import AsyncTransport, Clock, HTTPRequest, Transport, running_loop
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import ErrorContext, closed_locally
from llmclients.transports.mock_script import (
    ConnectFault,
    Cut,
    Delay,
    MockRequest,
    Reply,
    ScriptError,
    ScriptExhausted,
    Step,
)

__all__ = [
    "ConnectFault",
    "Cut",
    "Delay",
    "FakeClock",
    "MockRequest",
    "MockTransport",
    "Reply",
    "ScriptError",
    "ScriptExhausted",
]


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


Script = Iterable[Reply | APIError] | Callable[[MockRequest], Reply | APIError]
"""Replies and errors in their order, or a function that has one for each request."""


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
        self.requests: list[MockRequest] = []
        self.opened = self.closed = self.aborted = 0
        self.clock = clock or FakeClock()
        self._limit = max_response_bytes
        self._next = script if callable(script) else _in_turn(script)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MockTransport(requests={len(self.requests)}, open_exchanges={self.open_exchanges})"

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
        came = MockRequest.from_request(request)
        with self._lock:
            self.requests.append(came)
            reply = self._next(came)
            if isinstance(reply, Reply):
                reply = reply.to(came, len(self.requests))
            elif not isinstance(reply, APIError):
                raise TypeError(f"a script has replies and errors, not {type(reply).__name__}")
        exchange = _Exchange(self, reply, ErrorContext(request.url, None, timeout, deadline, self.clock))
        with self._lock:
            self.opened += 1
        return exchange


def _in_turn(script: Iterable[Reply | APIError]) -> Callable[[MockRequest], Reply | APIError]:
    if isinstance(script, str | bytes) or not isinstance(script, Iterable):
        raise TypeError(
            "a script is a list of replies, such as [Reply.text('Hi')], or a function that has one for each request: "
            f"not {type(script).__name__}"
        )
    replies = iter(script)
    used = 0

    def reply(request: MockRequest) -> Reply | APIError:
        nonlocal used
        for found in replies:
            used += 1
            return found
        replies_used = (
            "its only reply was used" if used == 1 else f"its {used} replies were used" if used else "it is empty"
        )
        raise ScriptExhausted(
            f"the script has no reply for {request.method} {request.url}: {replies_used}{_why_again(request)}"
        )

    return reply


def _why_again(request: MockRequest) -> str:
    """The failure for which a call is tried once more; "" where this is its first attempt."""
    if not request.errors:
        return ""
    error = request.errors[-1]
    return (
        f". The attempt before failed with {type(error).__name__}: {error}. Such a call is tried again: give a reply "
        "for each attempt, or the client retry=None"
    )


def _raised(error: APIError) -> APIError:
    """A copy of a script's error, to be raised: the script may raise it again, and would keep all that it passed."""
    return error.copy_with()


class _Exchange:
    """One exchange, without I/O; each side wraps it."""

    def __init__(self, transport: MockTransport, reply: Reply | APIError, context: ErrorContext) -> None:
        self._transport = transport
        self._context = context
        self._silence = 0.0
        self._over = self._ended = False
        context.remaining()
        if isinstance(reply, APIError):
            raise _raised(reply)
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
            if self._decoder.pending:
                self._decoder.feed(b"")
            for step in self._steps:
                if isinstance(step, Delay):
                    self._wait(step.seconds)
                elif isinstance(step, APIError):
                    raise _raised(step)
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
