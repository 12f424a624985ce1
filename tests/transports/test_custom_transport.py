"""A client over a transport that a user has written: by what the protocols say, with the standard library alone."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests

from llmclients import AsyncClient, Client
from llmclients.config.values import Timeout
from llmclients.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigurationError,
    StreamInterruptedError,
)
from llmclients.testing import FakeClock
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, chunked, unused_port
from llmclients.testing.fault_server import http as reply
from llmclients.transports import AsyncTransport, Clock, HTTPRequest, SystemClock, Transport

ANSWER = b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'
JSON = reply(headers=[("Content-Type", "application/json")], body=ANSWER)
EVENTS_HEAD = CHUNKED_HEAD[:-2] + b"Content-Type: text/event-stream\r\n\r\n"
FIRST = b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
LAST = b'data: {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


class OneByOne:
    """A `Transport` over http.client: a new connection for each exchange."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.drained = self.closed = 0

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> OneByOneResponse:
        parts = urlsplit(request.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        try:
            connection.timeout = self.seconds(timeout.connect, deadline)
            connection.connect()
        except TimeoutError as error:
            raise self.timed_out("connect", deadline) from error
        except OSError as error:
            raise APIConnectionError("no connection") from error
        try:
            connection.sock.settimeout(self.seconds(timeout.read, deadline))
            sock: socket.socket = connection.sock  # the connection lets go of it where the body ends with it
            connection.request(request.method, parts.path, request.body, dict(request.headers))
            return OneByOneResponse(self, sock, connection.getresponse(), timeout, deadline)
        except Exception as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise self.timed_out("read", deadline) from error
            if isinstance(error, OSError):
                raise APIConnectionError("the connection was lost") from error
            raise

    def seconds(self, limit: float, deadline: float | None) -> float:
        left = limit if deadline is None else deadline - self.clock.monotonic()
        if left <= 0:
            raise APITimeoutError("too late", phase="total")
        return min(limit, left)

    def timed_out(self, phase: Any, deadline: float | None) -> APITimeoutError:
        total = deadline is not None and self.clock.monotonic() >= deadline
        return APITimeoutError("nothing came", phase="total" if total else phase)

    def close(self) -> None:
        self.closed += 1


class OneByOneResponse:
    """A `Response`."""

    def __init__(
        self,
        transport: OneByOne,
        sock: socket.socket,
        response: http.client.HTTPResponse,
        timeout: Timeout,
        deadline: float | None,
    ) -> None:
        self._transport = transport
        self._socket = sock
        self._response = response
        self._timeout = timeout
        self._deadline = deadline
        self._ended = False
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.getheaders()}

    def read(self) -> bytes:
        if self._ended:
            return b""
        transport = self._transport
        try:
            self._socket.settimeout(transport.seconds(self._timeout.read, self._deadline))
            data = self._response.read1(65536)
        except APITimeoutError:
            self.close()
            raise
        except TimeoutError as error:
            self.close()
            raise transport.timed_out("read", self._deadline) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise StreamInterruptedError("the body broke off") from error
        if not data and self._response.length:
            self.close()
            raise StreamInterruptedError("the body is too short")
        self._ended = not data
        return data

    def drain(self) -> None:
        self._transport.drained += 1
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a `read` in another thread
        self._response.close()
        self._socket.close()

    def __del__(self) -> None:
        self.close()


class InThreads:
    """An `AsyncTransport`: `OneByOne`, each wait in a thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.blocking = OneByOne(clock)
        self.clock = self.blocking.clock

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> InThreadsResponse:
        return InThreadsResponse(await asyncio.to_thread(self.blocking.open, request, timeout, deadline))

    async def close(self) -> None:
        self.blocking.close()


class InThreadsResponse:
    """An `AsyncResponse`."""

    def __init__(self, blocking: OneByOneResponse) -> None:
        self._blocking = blocking
        self.status = blocking.status
        self.headers: Mapping[str, str] = blocking.headers

    async def read(self) -> bytes:
        try:
            return await asyncio.to_thread(self._blocking.read)
        except asyncio.CancelledError:
            self.abort()
            raise

    async def drain(self) -> None:
        self._blocking.drain()

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._blocking.close()


def conforming() -> tuple[Transport, AsyncTransport]:
    """For a type checker: these are what the protocols describe."""
    return OneByOne(), InThreads()


OPTIONS: dict[str, Any] = {"model": "m", "api_key": "k", "retry": 1}


class Sync:
    """`Client` over `OneByOne`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.transport = OneByOne(clock)

    def counts(self) -> OneByOne:
        return self.transport

    def chat(self, url: str, **options: Any) -> str:
        with Client("openai", base_url=url, transport=self.transport, **{**OPTIONS, **options}) as client:
            return client.chat("Hi").text

    def stream(self, url: str, count: int | None = None, **options: Any) -> list[str]:
        """The texts of a stream; of its first `count` chunks, where it is left then."""
        with Client("openai", base_url=url, transport=self.transport, **{**OPTIONS, **options}) as client:
            stream = client.stream("Hi")
            return [chunk.text for chunk in stream] if count is None else [next(stream).text for _ in range(count)]


class Async:
    """`AsyncClient` over `InThreads`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.transport = InThreads(clock)

    def counts(self) -> OneByOne:
        return self.transport.blocking

    def chat(self, url: str, **options: Any) -> str:
        async def main() -> str:
            async with AsyncClient(
                "openai", base_url=url, transport=self.transport, **{**OPTIONS, **options}
            ) as client:
                return (await client.chat("Hi")).text

        return asyncio.run(main())

    def stream(self, url: str, count: int | None = None, **options: Any) -> list[str]:
        async def main() -> list[str]:
            async with AsyncClient(
                "openai", base_url=url, transport=self.transport, **{**OPTIONS, **options}
            ) as client:
                stream = client.stream("Hi")
                if count is None:
                    return [chunk.text async for chunk in stream]
                return [(await anext(stream)).text for _ in range(count)]

        return asyncio.run(main())


both = pytest.mark.parametrize("side", [Sync, Async])


@both
def test_it_carries_calls_and_stays_open(side: Any) -> None:
    over = side()
    with FaultServer([JSON], [EVENTS_HEAD, chunked(FIRST, LAST)]) as server:
        assert over.chat(server.url) == "Hello"
        assert over.stream(server.url) == ["Hel", "lo"]
        assert b"Authorization: Bearer k" in server.requests[0]
        assert server.connections == 2
    assert over.counts().closed == 0


@both
def test_its_clock_is_the_client_s(side: Any) -> None:
    clock = FakeClock()
    busy = [reply("503 Busy", [("Retry-After", "7")]), END]
    with FaultServer(busy, [JSON]) as server:
        assert side(clock).chat(server.url, retry=2) == "Hello"
        assert server.exchanges == 2
    assert clock.slept == [7]


@both
def test_its_errors_are_completed_by_the_client(side: Any) -> None:
    with FaultServer([EVENTS_HEAD, chunked(FIRST, last=False), END]) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            side().stream(server.url)
        assert caught.value.provider == "openai"
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Hel"
    with pytest.raises(APIConnectionError, match=r"openai \(127.0.0.1\): no connection"):
        side().chat(f"http://127.0.0.1:{unused_port()}")


@both
@pytest.mark.parametrize(
    ("timeout", "phase"), [(Timeout(read=0.1), "read"), (Timeout(read=5, total=0.1), "total")], ids=["read", "total"]
)
def test_it_is_told_the_timeouts(side: Any, timeout: Timeout, phase: str) -> None:
    for script in ([HOLD], [EVENTS_HEAD, chunked(FIRST, last=False), HOLD]):
        with FaultServer(script) as server:
            with pytest.raises(APITimeoutError) as caught:
                side().stream(server.url, timeout=timeout)
            assert caught.value.phase == phase
            assert server.wait_for(0)


@both
def test_a_response_is_closed_when_its_stream_is_left_and_drained_when_it_ends_early(side: Any) -> None:
    over = side()
    with FaultServer([EVENTS_HEAD, chunked(FIRST, last=False), HOLD]) as server:
        assert over.stream(server.url, 1) == ["Hel"]
        assert server.wait_for(0)
        assert over.counts().drained == 0
    with FaultServer([EVENTS_HEAD, chunked(FIRST, LAST, last=False), HOLD]) as server:
        assert over.stream(server.url) == ["Hel", "lo"]
        assert server.wait_for(0)
        assert over.counts().drained == 1


@both
def test_an_exception_that_is_no_error_of_ours_is_not_tried_again(side: Any) -> None:
    over = side()

    def broken(*arguments: Any) -> Any:
        calls.append(arguments)
        raise KeyError("a bug")

    calls: list[Any] = []
    over.counts().open = broken
    with pytest.raises(KeyError, match="a bug") as caught:
        over.chat("http://127.0.0.1:1", retry=3)
    assert not isinstance(caught.value, APIError)
    assert len(calls) == 1


# --- what is not a transport ----------------------------------------------------------------------------------------


class WithoutClock:
    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> None: ...


def test_what_a_client_does_not_take(subtests: pytest.Subtests) -> None:
    cases: list[tuple[Any, Any, str]] = [
        (Client, InThreads(), "transport: InThreads is for AsyncClient, because its open is a coroutine function"),
        (AsyncClient, OneByOne(), "transport: OneByOne is for Client, because its open is not a coroutine function"),
        (Client, WithoutClock(), "transport: WithoutClock has no close and no clock"),
        (AsyncClient, WithoutClock(), "transport: WithoutClock has no close and no clock"),
        (Client, "http", "transport must be a requests.Session, a Transport or a MockTransport, not str"),
        (Client, httpx.AsyncClient(), "not AsyncClient"),
        (AsyncClient, requests.Session(), "an httpx.AsyncClient, an AsyncTransport or a MockTransport, not Session"),
        (AsyncClient, httpx.Client(), "not Client"),
    ]
    for client, transport, message in cases:
        with subtests.test(message):
            with pytest.raises(ConfigurationError) as caught:
                client("openai", transport=transport, **OPTIONS)
            assert message in str(caught.value)
            assert caught.value.argument == "transport"
