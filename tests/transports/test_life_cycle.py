"""Connections are used again when they can be, and freed at once when they cannot."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import APITimeoutError, LLMClientError, StreamInterruptedError
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, chunked, http, wait_until
from llmclients.transports.base import DRAIN_SECONDS, TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport

from .sides import ASYNC, PATIENCE, SYNC, Side, both_sides, post

ENDLESS = [CHUNKED_HEAD + chunked(b"hello", last=False), HOLD]
ALONE = TransportSettings(trust_env=False)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


@contextmanager
def no_descriptor_more() -> Iterator[None]:
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    assert wait_until(lambda: descriptors() <= before), (before, descriptors())


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
        transport = HttpxTransport(ALONE)
        for _ in range(3):
            response = await transport.open(post(server.url), PATIENCE, None)
            assert (await response.read(), await response.read()) == (b"hello", b"")
            assert server.wait_for(0), "and the loop had no chance to notice"

    with FaultServer([http(body=b"hello"), END]) as server:
        asyncio.run(main())
        assert server.connections == 3

    with FaultServer([http(body=b"hello"), END]) as server:
        synchronous = RequestsTransport(ALONE)
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
    with no_descriptor_more():
        for script in scripts:
            with FaultServer(script) as server:
                side.run(*[post(server.url)] * 5)


@both_sides
@pytest.mark.parametrize("within", [None, 5.0, DRAIN_SECONDS / 4])
def test_draining_waits_no_longer_than_it_says(side: Side, within: float | None) -> None:
    with FaultServer(ENDLESS) as server:
        waited = side.drain(server.url, within=within)
        assert waited < DRAIN_SECONDS + 0.2
        assert server.wait_for(0)


# --- freeing --------------------------------------------------------------------------------------------------------


def test_closing_a_response_early_frees_its_connection() -> None:
    with FaultServer(ENDLESS) as server, no_descriptor_more():
        transport = RequestsTransport(ALONE)
        response = transport.open(post(server.url), PATIENCE, None)
        assert response.read() == b"hello"
        response.close()
        response.close()
        assert server.wait_for(0)
        with pytest.raises(StreamInterruptedError, match="closed"):
            response.read()


def test_closing_from_another_thread_ends_a_read() -> None:
    with FaultServer(ENDLESS) as server:
        response = RequestsTransport(ALONE).open(post(server.url), PATIENCE, None)
        response.read()
        closer = threading.Timer(0.05, response.close)
        closer.start()
        start = time.monotonic()
        with pytest.raises(StreamInterruptedError, match="closed"):
            response.read()
        assert time.monotonic() - start < 0.5
        closer.join()
        assert server.wait_for(0)


def test_closing_the_transport_ends_its_open_exchanges() -> None:
    with FaultServer(ENDLESS) as server:
        transport = RequestsTransport(ALONE)
        responses = [transport.open(post(server.url), PATIENCE, None) for _ in range(3)]
        transport.close()
        assert server.wait_for(0)
        for response in responses:
            with pytest.raises(StreamInterruptedError):
                response.read()


@pytest.mark.parametrize("body", [ENDLESS, [b"HTTP/1.1 200 OK\r\n\r\nhello", HOLD]], ids=["chunked", "until close"])
def test_closing_the_asynchronous_transport_ends_its_open_exchanges(body: list[Any]) -> None:
    async def main() -> None:
        transport = HttpxTransport(ALONE)
        response = await transport.open(post(server.url), PATIENCE, None)
        assert await response.read() == b"hello"
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0.01)
        await transport.close()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await reading
        await transport.close()

    with FaultServer(body) as server, no_descriptor_more():
        asyncio.run(main())


def test_dropping_a_response_frees_its_connection() -> None:
    with FaultServer(ENDLESS) as server:
        response = RequestsTransport(ALONE).open(post(server.url), PATIENCE, None)
        response.read()
        del response
        assert server.wait_for(0)

    async def main() -> None:
        transport = HttpxTransport(ALONE)
        response = await transport.open(post(server.url), PATIENCE, time.monotonic() + 60)
        await response.read()
        del response
        await asyncio.sleep(0.05)
        assert server.wait_for(0)

    with FaultServer(ENDLESS) as server:
        asyncio.run(main())


def test_abort_frees_at_once_and_close_does_too() -> None:
    async def main(free: Callable[[Any], Any]) -> None:
        transport = HttpxTransport(ALONE)
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
        with FaultServer(ENDLESS) as server:
            asyncio.run(main(free))


def test_abort_from_another_thread() -> None:
    async def main() -> None:
        response = await HttpxTransport(ALONE).open(post(server.url), PATIENCE, None)
        await response.read()
        threading.Timer(0.03, response.abort).start()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await response.read()

    with FaultServer(ENDLESS) as server:
        asyncio.run(main())


@pytest.mark.parametrize("within", [None, 60.0])
@pytest.mark.parametrize("script", [[HOLD], ENDLESS], ids=["open", "read"])
def test_cancelling_frees_the_connection_and_stays_a_cancellation(script: list[Any], within: float | None) -> None:
    async def exchange(transport: HttpxTransport) -> None:
        deadline = None if within is None else time.monotonic() + within
        response = await transport.open(post(server.url), PATIENCE, deadline)
        while await response.read():
            pass

    async def main() -> None:
        transport = HttpxTransport(ALONE)
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
        transport = HttpxTransport(ALONE)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(transport.open(post(server.url), PATIENCE, time.monotonic() + 60), 0.05)

    with FaultServer([HOLD]) as server:
        asyncio.run(main())


# --- loops, threads, processes --------------------------------------------------------------------------------------


def test_one_transport_over_several_event_loops() -> None:
    async def main() -> None:
        for _ in range(2):
            response = await transport.open(post(server.url), PATIENCE, None)
            assert await response.read() == b"hello"
            assert await response.read() == b""

    with FaultServer([http(body=b"hello")]) as server, no_descriptor_more():
        transport = HttpxTransport(ALONE)
        for _ in range(3):
            asyncio.run(main())
            assert server.wait_for(0), "connections end with their loop"
        assert server.connections == 3
        asyncio.run(transport.close())


def test_loops_that_were_closed_carelessly(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        response = await transport.open(post(server.url), PATIENCE, None)
        await response.read()

    with FaultServer([http(body=b"hello")]) as server:
        transport = HttpxTransport(ALONE)
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
        asyncio.run(transport.close())
        with pytest.warns(ResourceWarning):  # asyncio's own, of each socket
            gc.collect()
    assert "Unclosed" not in capfd.readouterr().err


def test_a_transport_that_was_never_closed_prints_nothing() -> None:
    with FaultServer([http(body=b"hello")], ENDLESS) as server:
        program = f"""
import asyncio
from llmclients.config.values import Timeout
from llmclients.transports.base import HTTPRequest, TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport
transport = HttpxTransport(TransportSettings(trust_env=False))
request = HTTPRequest("POST", {server.url!r}, (), b"")
async def main():
    response = await transport.open(request, Timeout(), None)
    await response.read()
    global stream
    stream = await transport.open(request, Timeout(), None)
    await stream.read()
asyncio.run(main())
left = RequestsTransport(TransportSettings(trust_env=False)).open(request, Timeout(), None)
left.read()
"""
        done = subprocess.run(
            [sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_closing_from_another_loop_or_from_none() -> None:
    async def use() -> None:
        response = await transport.open(post(server.url), PATIENCE, None)
        await response.read()

    with FaultServer([http(body=b"hello")]) as server:
        transport = HttpxTransport(ALONE)
        loop = asyncio.new_event_loop()
        runner = threading.Thread(target=loop.run_forever)
        runner.start()
        asyncio.run_coroutine_threadsafe(use(), loop).result(5)
        assert server.open_connections() == 1
        asyncio.run(transport.close())
        assert server.wait_for(0), "the other loop has closed its connections"
        loop.call_soon_threadsafe(loop.stop)
        runner.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        with pytest.raises(StopIteration):
            transport.close().send(None)


def test_64_threads_share_a_transport() -> None:
    bodies: list[bytes] = []

    def work(number: int) -> None:
        for turn in range(5):
            response = transport.open(post(server.url, f"{number}.{turn}".encode()), PATIENCE, None)
            bodies.append(b"".join(iter(response.read, b"")))

    with FaultServer([0.001, CHUNKED_HEAD + chunked(b"hel", b"lo")]) as server, no_descriptor_more():
        transport = RequestsTransport(ALONE)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
        assert bodies == [b"hello"] * 320
        assert len(server.requests) == 320
        assert server.connections <= 64
        assert server.wait_for(0)


def test_300_tasks_share_a_transport() -> None:
    async def one(transport: HttpxTransport) -> bytes:
        response = await transport.open(post(server.url), PATIENCE, None)
        return await response.read()

    async def main() -> None:
        transport = HttpxTransport(ALONE)
        assert set(await asyncio.gather(*[one(transport) for _ in range(300)])) == {b"hello"}
        assert server.connections > 100, "no limit on connections"

    with FaultServer([0.2, http(body=b"hello")]) as server, no_descriptor_more():
        asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_does_not_share_connections() -> None:
    with FaultServer([http(body=b"hello")]) as server:
        transport = RequestsTransport(ALONE)
        assert transport.open(post(server.url), PATIENCE, None).read() == b"hello"
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = int(transport.open(post(server.url), PATIENCE, None).read() != b"hello")
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert transport.open(post(server.url), PATIENCE, None).read() == b"hello"
        assert server.connections == 2


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
        response = await HttpxTransport(ALONE).open(post(server.url), PATIENCE, None)
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
        response = await HttpxTransport(ALONE).open(post(server.url), PATIENCE, time.monotonic() + 0.25)
        await response.read()
        await asyncio.sleep(0.3)
        assert server.wait_for(0), "freed although nobody reads"
        with pytest.raises(APITimeoutError) as caught:
            await response.read()
        assert caught.value.phase == "total"

    with FaultServer(ENDLESS) as server:
        asyncio.run(main())


def test_connect_timeout() -> None:
    # A listener whose queue is full answers no further connection.
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        time.sleep(0.05)
        try:
            for side in (SYNC, ASYNC):
                error = side.fetch(url, timeout=Timeout(connect=0.15, read=5)).error
                assert isinstance(error, APITimeoutError)
                assert error.phase == "connect"
                assert "within 0.15 s" in str(error)
        finally:
            for filler in fillers:
                filler.close()
