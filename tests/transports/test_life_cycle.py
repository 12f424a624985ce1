"""Connections are used again when they can be, and freed at once when they cannot."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import APITimeoutError, LLMClientError, StreamInterruptedError
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, chunked, http
from llmclients.transports.httpx import response as httpx_response
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests import response as requests_response
from llmclients.transports.requests.transport import RequestsTransport

from .helpers import NO_ENVIRONMENT, OPEN_BODY, at_once, no_new_descriptors
from .sides import ASYNC, PATIENCE, SYNC, Side, both_sides, post

# --- keep-alive -----------------------------------------------------------------------------------------------------


@both_sides
@pytest.mark.parametrize("answer", [http(body=b"hello"), CHUNKED_HEAD + chunked(b"hello"), http("204 No Content")])
def test_a_connection_serves_one_exchange_after_the_other(side: Side, answer: bytes) -> None:
    with FaultServer([answer]) as server:
        outcomes = side.run(*[post(server.url)] * 5)
        assert [outcome.error for outcome in outcomes] == [None] * 5
        assert (server.connections, len(server.requests)) == (1, 5)


@both_sides
def test_a_connection_with_bytes_after_the_body_is_not_used_again(side: Side) -> None:
    with FaultServer([http(body=b"hello") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]) as server:
        outcomes = side.run(*[post(server.url)] * 2)
        assert [outcome.body for outcome in outcomes] == [b"hello", b"hello"]
        assert server.connections == 2


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        for _ in range(3):
            response = await transport.open(post(server.url), PATIENCE, None)
            assert (await response.read(), await response.read()) == (b"hello", b"")
            assert server.wait_for(0), "and the loop had no chance to notice"

    with FaultServer([http(body=b"hello"), END]) as server:
        asyncio.run(main())
        assert server.connections == 3

    with FaultServer([http(body=b"hello"), END]) as server:
        synchronous = RequestsTransport(NO_ENVIRONMENT)
        for _ in range(3):
            answer = synchronous.open(post(server.url), PATIENCE, None)
            assert (answer.read(), answer.read()) == (b"hello", b"")
            assert server.wait_for(0)
        assert server.connections == 3


@both_sides
def test_descriptors_stay_flat_whatever_happens(side: Side) -> None:
    scripts: list[list[Any]] = [
        [http(body=b"x")],
        [END],
        [CHUNKED_HEAD + b"5\r\nhe", END],
        [CHUNKED_HEAD + b"zz\r\n", HOLD],
    ]
    with no_new_descriptors():
        for script in scripts:
            with FaultServer(script) as server:
                side.run(*[post(server.url)] * 5)


def test_draining_waits_no_longer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(OPEN_BODY) as server:
        waits = at_once(*(partial(side.drain, server.url, within) for side in (SYNC, ASYNC) for within in (None, 5.0)))
        assert max(waits) < 3
        for transport in (requests_response, httpx_response):
            monkeypatch.setattr(transport, "DRAIN_SECONDS", 5.0)
        waits = at_once(*(partial(side.drain, server.url, 0.5) for side in (SYNC, ASYNC)))
        assert max(waits) < 3, "never past the deadline"
        assert server.wait_for(0)


# --- freeing --------------------------------------------------------------------------------------------------------


def test_closing_a_response_early_frees_its_connection() -> None:
    with FaultServer(OPEN_BODY) as server, no_new_descriptors():
        transport = RequestsTransport(NO_ENVIRONMENT)
        response = transport.open(post(server.url), PATIENCE, None)
        assert response.read() == b"hello"
        response.close()
        response.close()
        assert server.wait_for(0)
        with pytest.raises(StreamInterruptedError, match="closed"):
            response.read()


def test_closing_from_another_thread_ends_a_read() -> None:
    with FaultServer(OPEN_BODY) as server:
        response = RequestsTransport(NO_ENVIRONMENT).open(post(server.url), PATIENCE, None)
        response.read()
        closer = threading.Timer(0.05, response.close)
        closer.start()
        start = time.monotonic()
        with pytest.raises(StreamInterruptedError, match="closed"):
            response.read()
        assert time.monotonic() - start < 3
        closer.join()
        assert server.wait_for(0)


def test_closing_the_transport_ends_its_open_exchanges() -> None:
    with FaultServer(OPEN_BODY) as server:
        transport = RequestsTransport(NO_ENVIRONMENT)
        responses = [transport.open(post(server.url), PATIENCE, None) for _ in range(3)]
        transport.close()
        assert server.wait_for(0)
        for response in responses:
            with pytest.raises(StreamInterruptedError):
                response.read()


def test_closing_the_transport_ends_its_idle_connections_whoever_has_a_response_of_theirs() -> None:
    with FaultServer([http(body=b"hello")]) as server:
        transport = RequestsTransport(NO_ENVIRONMENT)
        response = transport.open(post(server.url), PATIENCE, None)
        assert (response.read(), response.read()) == (b"hello", b"")
        transport.close()
        assert server.wait_for(0)
        assert response.status == 200


@pytest.mark.parametrize("body", [OPEN_BODY, [b"HTTP/1.1 200 OK\r\n\r\nhello", HOLD]], ids=["chunked", "until close"])
def test_closing_the_asynchronous_transport_ends_its_open_exchanges(body: list[Any]) -> None:
    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        response = await transport.open(post(server.url), PATIENCE, None)
        assert await response.read() == b"hello"
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0.01)
        await transport.close()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await reading
        await transport.close()

    with FaultServer(body) as server, no_new_descriptors():
        asyncio.run(main())


def test_dropping_a_response_frees_its_connection() -> None:
    with FaultServer(OPEN_BODY) as server:
        response = RequestsTransport(NO_ENVIRONMENT).open(post(server.url), PATIENCE, None)
        response.read()
        del response
        assert server.wait_for(0)

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        response = await transport.open(post(server.url), PATIENCE, time.monotonic() + 60)
        await response.read()
        del response
        await asyncio.sleep(0.05)
        assert server.wait_for(0)

    with FaultServer(OPEN_BODY) as server:
        asyncio.run(main())


def test_abort_frees_at_once_and_close_does_too() -> None:
    async def main(free: Callable[[Any], Any]) -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        response = await transport.open(post(server.url), PATIENCE, None)
        await response.read()
        if asyncio.iscoroutine(waiting := free(response)):
            await waiting
        response.abort()
        await response.close()
        await asyncio.sleep(0.01)
        assert server.wait_for(0)
        with pytest.raises(StreamInterruptedError, match="closed"):
            await response.read()

    for free in (lambda response: response.abort(), lambda response: response.close()):
        with FaultServer(OPEN_BODY) as server:
            asyncio.run(main(free))


def test_abort_from_another_thread() -> None:
    async def main() -> None:
        response = await HttpxTransport(NO_ENVIRONMENT).open(post(server.url), PATIENCE, None)
        await response.read()
        threading.Timer(0.03, response.abort).start()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await response.read()

    with FaultServer(OPEN_BODY) as server:
        asyncio.run(main())


@pytest.mark.parametrize("within", [None, 60.0])
@pytest.mark.parametrize("script", [[HOLD], OPEN_BODY], ids=["open", "read"])
def test_cancelling_frees_the_connection_and_stays_a_cancellation(script: list[Any], within: float | None) -> None:
    async def exchange(transport: HttpxTransport) -> None:
        deadline = None if within is None else time.monotonic() + within
        response = await transport.open(post(server.url), PATIENCE, deadline)
        while await response.read():
            pass

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        task = asyncio.create_task(exchange(transport))
        await asyncio.sleep(0.05)
        assert server.open_connections() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
        assert server.wait_for(0)

    with FaultServer(script) as server:
        asyncio.run(main())


def test_a_callers_own_timeout_stays_its_own() -> None:
    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(transport.open(post(server.url), PATIENCE, time.monotonic() + 60), 0.05)

    with FaultServer([HOLD]) as server:
        asyncio.run(main())


def test_a_child_that_was_forked_leaves_its_parents_streams_alone() -> None:
    """Whatever it does with them: the connections are the parent's."""
    with FaultServer([CHUNKED_HEAD, chunked(b"hel", last=False), 0.15, chunked(b"lo")]) as server:
        transport = RequestsTransport(NO_ENVIRONMENT)
        response = transport.open(post(server.url), PATIENCE, None)
        assert response.read() == b"hel"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, from Python 3.12 on
            child = os.fork()
        if not child:
            try:
                response.close()
                transport.close()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (response.read(), response.read()) == (b"lo", b"")
        transport.close()


def test_closing_the_asynchronous_transport_while_it_connects_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, resolving, closed = socket.getaddrinfo, threading.Event(), threading.Event()

    def held(*args: Any, **options: Any) -> Any:
        resolving.set()
        closed.wait(5)
        return resolve(*args, **options)

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        opening = asyncio.create_task(
            transport.open(post(server.url.replace("127.0.0.1", "localhost")), PATIENCE, None)
        )
        while not resolving.is_set():
            await asyncio.sleep(0.001)
        await transport.close()
        closed.set()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await opening

    monkeypatch.setattr(socket, "getaddrinfo", held)
    with FaultServer([http(body=b"hello")]) as server, no_new_descriptors():
        asyncio.run(main())
        assert server.requests == []


# --- buffered bytes -------------------------------------------------------------------------------------------------


@both_sides
def test_a_burst_is_read_in_few_calls(side: Side) -> None:
    events = [b"data: %d\n\n" % number for number in range(1000)]
    with FaultServer([CHUNKED_HEAD + chunked(*events)]) as server:
        outcome = side.fetch(server.url)
    assert outcome.body == b"".join(events)
    assert len(outcome.pieces) < 20


def test_what_came_before_a_cut_is_read_by_a_slow_reader_too() -> None:
    async def main() -> None:
        response = await HttpxTransport(NO_ENVIRONMENT).open(post(server.url), PATIENCE, None)
        await asyncio.sleep(0.1)
        assert await response.read() == b"hello"
        with pytest.raises(StreamInterruptedError):
            await response.read()
        with pytest.raises(LLMClientError):
            await response.read()

    with FaultServer([CHUNKED_HEAD + chunked(b"hello", last=False), END]) as server:
        asyncio.run(main())


def test_a_deadline_that_passes_between_reads() -> None:
    async def main() -> None:
        response = await HttpxTransport(NO_ENVIRONMENT).open(post(server.url), PATIENCE, time.monotonic() + 0.25)
        await response.read()
        await asyncio.sleep(0.3)
        assert server.wait_for(0), "freed although nobody reads"
        with pytest.raises(APITimeoutError) as caught:
            await response.read()
        assert caught.value.phase == "total"

    with FaultServer(OPEN_BODY) as server:
        asyncio.run(main())


def test_connect_timeout() -> None:
    # A listener whose queue is full answers no further connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        time.sleep(0.05)
        try:
            timeout = Timeout(connect=0.15, read=5)
            for outcome in at_once(*(partial(side.fetch, url, timeout=timeout) for side in (SYNC, ASYNC))):
                assert isinstance(outcome.error, APITimeoutError)
                assert outcome.error.phase == "connect"
                assert "within 0.15 s" in str(outcome.error)
        finally:
            for filler in fillers:
                filler.close()
