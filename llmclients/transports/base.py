"""The protocols `Transport` and `AsyncTransport`, and what they speak of: requests, responses, clocks. No I/O.

A transport opens one HTTP exchange at a time, hands out the response's bytes as they arrive, and frees its connection.
It knows nothing of providers. The package has two, over requests and over httpx, and a scripted one for tests; a client
takes any other object with the methods below as its `transport=`.

Both protocols have the same names; the asynchronous methods are awaited. Every failure is one of these:

| what happens | error |
| --- | --- |
| DNS, refused, TLS, proxy, reset before the response's head was read | `APIConnectionError` |
| the same while the body is read, or the body ends before its framing says so | `StreamInterruptedError` |
| no connection within `timeout.connect` seconds | `APITimeoutError(phase="connect")` |
| no byte for `timeout.read_seconds` seconds | `APITimeoutError(phase="read")` |
| the deadline passed, whatever was under way | `APITimeoutError(phase="total")` |
| more bytes than the transport allows, after content decoding | `ResponseTooLargeError` |
| bytes that are not HTTP, an unknown or broken content encoding | `APIResponseError` |
| a URL or a header that cannot be sent | `ConfigurationError` |

The client adds the provider's name, the host and what had come of the answer to such an error, hides keys in it, and
may try again. Any other exception is taken for a bug: it reaches the caller as it is, after the connection was freed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmclients.config.certificates import CertificateFiles
from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Proxy, Timeout
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "DRAIN_BYTES",
    "DRAIN_SECONDS",
    "SYSTEM_CLOCK",
    "AbortableTransport",
    "AsyncClientTransport",
    "AsyncResponse",
    "AsyncTransport",
    "BufferedAsyncResponse",
    "ClientTransport",
    "Clock",
    "HTTPRequest",
    "Response",
    "SystemClock",
    "Transport",
    "TransportSettings",
    "client_closed",
    "running_loop",
]

DRAIN_SECONDS = 0.1
"""How long `drain` waits for the end of a body, at the most."""
DRAIN_BYTES = 64 * 1024
"""How many bytes `drain` takes at the most."""


class HTTPRequest(NamedTuple):
    """One HTTP request.

    Attributes:
        method: `"POST"` or `"GET"`.
        url: absolute, `http` or `https`.
        headers: names and values in the order in which they go out. A transport adds what HTTP wants besides: Host, and
            Content-Length where there is a body. It may add User-Agent, Accept and Accept-Encoding where they are
            missing, and nothing else.
        body: the whole body; empty for none.
        direct: whether to go past any proxy, because the server is on this machine and belongs to the client.
        call: the client's call that it belongs to, for a transport of tests, which writes an answer that fits. Others
            have no use for it.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    direct: bool = False
    call: Any = None

    def __repr__(self) -> str:  # without the headers: they may hold a key
        return f"HTTPRequest(method={self.method!r}, url={self.url!r}, body={self.body!r}, direct={self.direct})"


class TransportSettings(NamedTuple):
    """A client's arguments that concern its connections. They hold for the transports of the package only.

    Attributes:
        proxy: the proxy of all requests, False for none, None for the environment's.
        trust_env: whether proxies and certificate authorities may come from the environment.
        verify: False for no certificate checks, or the path of a certificate authority's file or folder.
        cert: the client's own certificate, for servers that ask for one: its file, its key's file, the key's password.
        max_response_bytes: the most bytes of one response, decompressed.
    """

    proxy: Proxy | bool | None = None
    trust_env: bool = True
    verify: bool | str = True
    cert: CertificateFiles | None = None
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES


class Clock(Protocol):
    """What a client measures time and sleeps with. `SystemClock` is the real one; a test's passes without waiting."""

    def time(self) -> float:
        """Unix time in seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. Deadlines are points on this scale."""

    def sleep(self, seconds: float) -> None:
        """Wait that long. `Client` calls it between two attempts."""

    async def asleep(self, seconds: float) -> None:
        """`sleep`, awaited: for `AsyncClient`."""


class SystemClock:
    """The system's clock."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    time = staticmethod(time.time)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # the sync client has no use for it, and it is slow to load

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


class Response(Protocol):
    """An open exchange: the head has arrived, the body is read piece by piece.

    One thread reads. The client calls `close` in the end, however the exchange went; before that it may call `drain`.
    A response that is dropped without either should free its connection, too.

    Attributes:
        status: the status code. Interim responses (1xx) are skipped.
        headers: names in lower case; the values of a repeated header are joined by a comma and a space.
    """

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes:
        """The body's next bytes, content-decoded: all that have arrived, waiting only where there are none.

        Returns:
            At least one byte, or `b""` at the end, and only at the end that the body's framing defines.

        Raises:
            APIError: the body broke off, nothing came in time, or it is not what HTTP says: see the module's table.
                What had arrived before the failure was returned first. The connection is freed.
            StreamInterruptedError: with `retryable=False`, the response was closed, before this call or during it.
        """

    def drain(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection: the answer is complete already.

        Events say that an answer is complete before the body says that it ends, and a connection can serve another
        exchange only after the latter. Where it cannot serve another anyway, there is nothing to wait for. Takes
        `DRAIN_SECONDS` and `DRAIN_BYTES` at most, never past the deadline, and raises nothing, whatever comes. `close`
        will do for a transport that keeps no connections.
        """

    def close(self) -> None:
        """Free the connection: back to the pool when the body was read to its end, else closed at once.

        Idempotent, also after an error of `read`. May be called from another thread while `read` waits; that `read`
        then fails.
        """


class Transport(Protocol):
    """Opens exchanges for `Client`. May be shared by threads and by clients.

    The attributes and methods named here are all that a client needs; a class need not inherit from this one.

    Attributes:
        clock: what deadlines are measured on, and what the client sleeps with: `SystemClock()`, unless in a test.
    """

    clock: Clock

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        """Send the request once, and read the response's head, whatever its status. Redirects are not followed.

        Args:
            request: what to send.
            timeout: `timeout.connect` bounds the way to a connection that is ready (name, TCP, proxy, TLS), in
                seconds; `timeout.read_seconds` the wait for the next bytes, each time anew, the body's included.
            deadline: when all of the exchange must be done, the body included, however steadily bytes drip; in seconds
                on the scale of `clock.monotonic()`. None: never.

        Raises:
            APIError: no response came: see the module's table. The connection is freed.
            ConfigurationError: the request cannot be sent.
        """

    def close(self) -> None:
        """Close all connections, those of open exchanges too: a `read` that waits then fails. Idempotent.

        A client closes only a transport that it has made. One that it was given is its maker's to close.
        """


class AbortableTransport(Transport, Protocol):
    """A `Transport` whose `open` another thread can end. A transport need not be one.

    Without it, who closes a stream, or leaves a `map`, waits until the head of the answer has come.
    """

    def abort(self, request: HTTPRequest) -> bool:
        """End the wait of the `open` with this very request, which then raises what a `read` of a closed response does.

        Returns whether there was one. May be called from any thread, and by a signal's handler.
        """


class AsyncResponse(Protocol):
    """`Response`, awaited. One task reads."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """As `Response.read`. A cancellation frees the connection and goes on as it is."""

    async def drain(self) -> None:
        """As `Response.drain`. A cancellation frees the connection and goes on as it is."""

    async def close(self) -> None:
        """As `Response.close`. May be called while another task waits in `read`; that `read` then fails."""

    def abort(self) -> None:
        """Free the connection at once, without awaiting: for a task that was cancelled, a stream that was dropped.

        Idempotent, and raises nothing. The collector may call it from any thread, and after the loop was closed.
        """


class BufferedAsyncResponse(AsyncResponse, Protocol):
    """An `AsyncResponse` that can be read without a coroutine for each read. A response need not be one.

    Many streams at a time are mostly such reads: `AsyncClient` uses the two methods where they are there.
    """

    def read_nowait(self) -> bytes | None:
        """As `read`, but None where it would wait."""

    def readable(self) -> Awaitable[None]:
        """Wait until `read_nowait` has something: bytes, the end, or an error to raise. Raises nothing itself.

        A cancellation does not free the connection.
        """


class AsyncTransport(Protocol):
    """`Transport`, awaited: opens exchanges for `AsyncClient`. `open` and `close` are written with `async def`.

    Connections belong to the event loop that opened them; loops may come and go, and be several at a time.

    Attributes:
        clock: as a `Transport`'s.
    """

    clock: Clock

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> AsyncResponse:
        """As `Transport.open`. A cancellation frees the connection and goes on as it is."""

    async def close(self) -> None:
        """As `Transport.close`."""


class ClientTransport(Transport, Protocol):
    """What a `Client` sends by: its own transport or the caller's, and whether the client has been closed."""

    closed: bool


class AsyncClientTransport(AsyncTransport, Protocol):
    """The same of an `AsyncClient`."""

    closed: bool


def client_closed(which: str = "the client") -> ConfigurationError:
    """The error of a client that is used after its end: its connections would be nobody's to close."""
    return ConfigurationError(f"{which} is closed, and sends nothing more: make another one, or close it later")


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop of the task that asks.

    Raises:
        ConfigurationError: it runs under another library, such as trio, or not in a task at all.
    """
    import asyncio  # Client has no use for it

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "AsyncClient runs on asyncio only, and no event loop of asyncio runs here. Under trio, or anyio on trio, "
            "use Client in a thread: await trio.to_thread.run_sync(client.chat, messages)"
        ) from None
