"""What a transport is: opens one HTTP exchange, hands out its bytes as they arrive, closes it. Nothing about providers.

Both sides have the same words; the async ones are awaited. Every failure is one of ours:

| what happens | error |
| --- | --- |
| DNS, refused, TLS, proxy, reset before the response's head was read | `APIConnectionError` |
| the same while the body is read, or the body ends before its framing says so | `StreamInterruptedError` |
| no connection within `timeout.connect` | `APITimeoutError(phase="connect")` |
| no byte within `timeout.read` | `APITimeoutError(phase="read")` |
| the deadline passed, whatever was under way | `APITimeoutError(phase="total")` |
| more than `max_response_bytes` after content decoding | `ResponseTooLargeError` |
| bytes that are not HTTP, an unknown or broken content encoding | `APIResponseError` |

A transport does not know the provider: `call` adds its name and host to the error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Proxy, Timeout

__all__ = [
    "FINISH_BYTES",
    "FINISH_SECONDS",
    "SYSTEM_CLOCK",
    "AsyncResponse",
    "AsyncTransport",
    "Clock",
    "HTTPRequest",
    "Response",
    "SystemClock",
    "Transport",
    "TransportSettings",
]


FINISH_SECONDS = 0.1
FINISH_BYTES = 64 * 1024


class HTTPRequest(NamedTuple):
    """One request, complete: an absolute URL, headers in the order they go out, the body's bytes.

    `direct`: past any proxy, because the server is in this very process.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    direct: bool = False

    def __repr__(self) -> str:  # without the headers: they may hold a key
        return f"HTTPRequest(method={self.method!r}, url={self.url!r}, body={self.body!r}, direct={self.direct})"


class TransportSettings(NamedTuple):
    """What a client says about its connections. `proxy`: one for all, False for none, None for the environment's."""

    proxy: Proxy | bool | None = None
    trust_env: bool = True
    verify: bool | str = True
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES


class Clock(Protocol):
    """Time, as an argument: a test's clock passes without waiting."""

    def time(self) -> float:
        """Unix time in seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. Deadlines are points on this scale."""

    def sleep(self, seconds: float) -> None: ...

    async def asleep(self, seconds: float) -> None: ...


class SystemClock:
    """The real one."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    time = staticmethod(time.time)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # the sync client has no use for it, and it is slow to load

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


class Response(Protocol):
    """An open exchange: the head has arrived, the body is read piece by piece."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; a repeated header's values are joined with `, `."""

    def read(self) -> bytes:
        """The next bytes, content-decoded, as soon as there are any; `b""` at the end that the framing defines."""

    def finish(self) -> None:
        """The caller has what he needs: take the body's end off the wire if it comes soon, and free the connection.

        Waits only where the connection can serve another exchange then: `FINISH_SECONDS`, `FINISH_BYTES` at most,
        and never past the deadline. Does not fail, whatever comes.
        """

    def close(self) -> None:
        """Free the connection: back to the pool when the body was read to its end, else closed at once. Idempotent.

        May be called from another thread while `read` waits; that `read` then fails.
        """


class Transport(Protocol):
    """Opens exchanges; may be shared by threads."""

    clock: Clock

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        """Send the request and read the response's head. Redirects are not followed.

        `timeout.connect` and `timeout.read` hold for this exchange; `deadline`, on `clock.monotonic`'s scale, bounds
        all of it, the body included, however steadily bytes drip.
        """

    def close(self) -> None:
        """Close all connections, unless the underlying session is the caller's own."""


class AsyncResponse(Protocol):
    """`Response`, awaited."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes: ...

    async def finish(self) -> None: ...

    async def close(self) -> None: ...

    def abort(self) -> None:
        """Free the connection at once, without awaiting: for a stream that is dropped. Idempotent."""


class AsyncTransport(Protocol):
    """`Transport`, awaited. Connections belong to the event loop that opened them; loops may come and go."""

    clock: Clock

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> AsyncResponse: ...

    async def close(self) -> None: ...
