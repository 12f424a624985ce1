"""A connection is freed at once, however a call is left.

Clients shared by threads, tasks and loops are in `faults/test_sharing.py`, forks and exits in `faults/test_processes.py`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers import open_descriptors

from llmclients import AsyncClient, AsyncStream, Client
from llmclients.config.values import Timeout
from llmclients.errors import (
    APIError,
    APIResponseError,
    ConfigurationError,
    InvalidRequestError,
    StreamInterruptedError,
)
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import (
    CHUNKED_HEAD,
    HOLD,
    Forever,
    ReceivedRequest,
    Script,
    chunked,
    http,
    wait_until,
)

OPEN_STREAM = [CHUNKED_HEAD, chunked(b"Hel", last=False), HOLD]
OPTIONS: dict[str, Any] = {"trust_env": False, "retry": 1, "timeout": Timeout(connect=10, read=20)}
AT_ONCE = 1.5  # seconds; what is feared takes 20
"""Seconds. A busy machine takes some; a collector or a timeout would take far more."""


def echo(request: ReceivedRequest) -> Script:
    """The prompt, in pieces."""
    prompt = request.json["prompt"].encode()
    return [CHUNKED_HEAD, *(chunked(prompt[at : at + 8], last=False) for at in range(0, len(prompt), 8)), chunked()]


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts file descriptors in /proc")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(OPEN_STREAM) as server:
        yield server


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    with Client("yqcloud", base_url=server.url, **OPTIONS) as client:
        yield client


@contextmanager
def freed_at_once(server: FaultServer) -> Iterator[None]:
    """Inside, a connection was opened; after it, there is none, and no descriptor more, though the client still lives."""
    assert server.wait_for(0)
    before = open_descriptors()
    yield
    start = time.monotonic()
    assert server.connections
    assert server.wait_for(0)
    assert wait_until(lambda: open_descriptors() <= before), (before, open_descriptors())
    assert time.monotonic() - start < AT_ONCE


# --- leaving a stream, sync -----------------------------------------------------------------------------------------


@needs_proc
def test_a_break_frees_the_connection(server: FaultServer, client: Client) -> None:
    with freed_at_once(server):
        for chunk in client.stream("Hi"):
            assert chunk.text == "Hel"
            assert server.open_connections() == 1
            break


@needs_proc
def test_leaving_the_block_frees_the_connection_though_the_stream_is_kept(server: FaultServer, client: Client) -> None:
    with freed_at_once(server), client.stream("Hi") as stream:
        next(stream)
    with pytest.raises(StreamInterruptedError, match="closed"):
        next(stream)


@needs_proc
def test_an_exception_frees_the_connection_though_its_traceback_is_kept(server: FaultServer, client: Client) -> None:
    with freed_at_once(server):
        try:
            with client.stream("Hi") as stream:
                next(stream)
                raise LookupError
        except LookupError as caught:
            kept = caught
    assert kept.__traceback__ is not None


@needs_proc
def test_dropping_a_stream_frees_the_connection_without_the_collector(server: FaultServer, client: Client) -> None:
    gc.disable()
    try:
        with freed_at_once(server):
            stream = client.stream("Hi")
            next(stream)
            del stream
    finally:
        gc.enable()


@needs_proc
@pytest.mark.parametrize("whose", ["stream", "client"])
def test_closing_in_another_thread_ends_a_wait(server: FaultServer, client: Client, whose: str) -> None:
    with freed_at_once(server):
        stream = client.stream("Hi")
        next(stream)
        closer = threading.Timer(0.05, stream.close if whose == "stream" else client.close)
        closer.start()
        start = time.monotonic()
        with pytest.raises(StreamInterruptedError, match="closed") as caught:
            next(stream)
        assert time.monotonic() - start < AT_ONCE
        assert not caught.value.retryable, "whoever closed it wants no other attempt"
        closer.join()


@needs_proc
def test_closing_in_another_thread_while_bytes_keep_coming(server: FaultServer, client: Client) -> None:
    server.use([CHUNKED_HEAD, Forever([chunked(b"x", last=False), 0.001])])
    with freed_at_once(server):
        stream = client.stream("Hi")
        next(stream)
        closer = threading.Timer(0.05, stream.close)
        closer.start()
        with pytest.raises(StreamInterruptedError, match="closed"):
            for _ in stream:
                pass
        closer.join()


@needs_proc
def test_closing_the_client_frees_idle_connections_though_an_error_is_kept() -> None:
    with FaultServer([http("400 No", body=b"no")]) as server, freed_at_once(server):
        client = Client("yqcloud", base_url=server.url, **OPTIONS)
        with pytest.raises(APIError) as caught:
            client.chat("Hi")
        assert server.open_connections() == 1
        client.close()
        assert server.wait_for(0), caught


def test_a_closed_client_sends_nothing_more(server: FaultServer, client: Client) -> None:
    server.use(echo)
    assert client.chat("one").text == "one"
    begun = client.stream("two")
    for _ in range(2):
        client.close()
        assert server.wait_for(0)
    for call in (
        lambda: client.chat("two"),
        lambda: client.stream("two"),
        client.models,
        client.__enter__,
        begun.__next__,
    ):
        with pytest.raises(ConfigurationError, match="the client is closed"):
            call()
    assert server.exchanges == 1


# --- leaving a stream, async ----------------------------------------------------------------------------------------


async def freed(server: FaultServer, before: int) -> None:
    """As `freed_at_once`, with the loop going on."""
    start = time.monotonic()
    assert server.connections
    while server.open_connections() or open_descriptors() > before:
        assert time.monotonic() - start < AT_ONCE, (server.open_connections(), before, open_descriptors())
        await asyncio.sleep(0.001)


@needs_proc
async def test_async_leaving_the_block_frees_the_connection(server: FaultServer) -> None:
    before = open_descriptors()
    async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
        async with client.stream("Hi") as stream:
            async for chunk in stream:
                assert chunk.text == "Hel"
                break
        await freed(server, before)
        with pytest.raises(StreamInterruptedError, match="closed"):
            await anext(stream)


@needs_proc
async def test_async_a_break_frees_the_connection_without_the_collector(server: FaultServer) -> None:
    before = open_descriptors()
    gc.disable()
    try:
        async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
            async for _ in client.stream("Hi"):
                break
            await freed(server, before)
    finally:
        gc.enable()


@needs_proc
async def test_async_an_exception_frees_the_connection(server: FaultServer) -> None:
    before = open_descriptors()
    async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
        try:
            async with client.stream("Hi") as stream:
                await anext(stream)
                raise LookupError
        except LookupError as caught:
            kept = caught
        await freed(server, before)
        assert kept.__traceback__ is not None


@needs_proc
@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("script", [OPEN_STREAM, [HOLD]], ids=["in the body", "before the head"])
async def test_cancelling_a_task_frees_the_connection(server: FaultServer, call: str, script: Script) -> None:
    server.use(script)
    before = open_descriptors()
    async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:

        async def work() -> None:
            if call == "chat":
                await client.chat("Hi")
            else:
                async for _ in client.stream("Hi"):
                    pass

        task = asyncio.create_task(work())
        while not server.requests:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await freed(server, before)


@needs_proc
async def test_a_timeout_around_a_call_frees_the_connection(server: FaultServer) -> None:
    before = open_descriptors()
    async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.chat("Hi"), 0.1)
        await freed(server, before)


@needs_proc
@pytest.mark.parametrize("whose", ["stream", "client"])
async def test_async_closing_in_another_thread_ends_a_wait(server: FaultServer, whose: str) -> None:
    client = AsyncClient("yqcloud", base_url=server.url, **OPTIONS)
    stream = client.stream("Hi")
    await anext(stream)
    before = open_descriptors() - 2  # the connection's two ends
    closing = stream.close if whose == "stream" else client.close
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.02)
    await asyncio.to_thread(lambda: asyncio.run(closing()))
    with pytest.raises(StreamInterruptedError, match="closed") as caught:
        await asyncio.wait_for(waiting, AT_ONCE)
    assert not caught.value.retryable
    await freed(server, before)
    await client.close()


# --- the end of the body, after the answer's --------------------------------------------------------------------------

ANSWER = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
LATE_END = [CHUNKED_HEAD, chunked(ANSWER, last=False), 0.02, b"0\r\n\r\n"]
NO_END = [CHUNKED_HEAD, chunked(ANSWER, last=False), HOLD]
ENDLESS_END = [CHUNKED_HEAD, chunked(ANSWER, last=False), Forever([chunked(b": " + b"x" * 2000 + b"\n\n", last=False)])]
BROKEN_END = [CHUNKED_HEAD, chunked(ANSWER, last=False), 0.02, b"no chunk\r\n"]
CLOSING = [CHUNKED_HEAD[:-2] + b"Connection: close\r\n\r\n", chunked(ANSWER, last=False), HOLD]
UNTIL_CLOSE = [b"HTTP/1.1 200 OK\r\n\r\n", ANSWER, HOLD]
WAIT = 0.1  # as `DRAIN_SECONDS`


def parse_text(stream: Any) -> tuple[list[str], float]:
    """A stream's texts, and how long it took to end after the last."""
    texts, last = [], time.monotonic()
    for chunk in stream:
        texts.append(chunk.text)
        last = time.monotonic()
    return texts, time.monotonic() - last


async def async_texts_of(stream: Any) -> tuple[list[str], float]:
    texts, last = [], time.monotonic()
    async for chunk in stream:
        texts.append(chunk.text)
        last = time.monotonic()
    return texts, time.monotonic() - last


def outcomes(side: str, server: FaultServer, count: int, **options: Any) -> list[tuple[list[str], float]]:
    """Streams one after the other, over one client that is still open when they have ended."""
    arguments = {**OPTIONS, "model": "m", "base_url": server.url, **options}
    if side == "sync":
        with Client("openai", **arguments) as client:
            return [parse_text(client.stream("Hi")) for _ in range(count)]

    async def main() -> list[tuple[list[str], float]]:
        async with AsyncClient("openai", **arguments) as client:
            return [await async_texts_of(client.stream("Hi")) for _ in range(count)]

    return asyncio.run(main())


both = pytest.mark.parametrize("side", ["sync", "async"])


@both
def test_what_came_in_a_packet_before_malformed_chunks_is_handed_out_first(side: str) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    with FaultServer([CHUNKED_HEAD + chunked(event, last=False) + b"zz\r\n", HOLD]) as server:
        with pytest.raises(APIResponseError, match="malformed") as caught:
            outcomes(side, server, 1)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Hi"
        assert server.wait_for(0)


@both
def test_a_connection_is_kept_though_the_end_of_the_body_comes_after_the_end_mark(side: str) -> None:
    with FaultServer(LATE_END, per_request=True) as server:
        assert [texts for texts, _ in outcomes(side, server, 10)] == [["Hi"]] * 10
        assert server.connections == 1
        assert server.exchanges == 10


@both
@pytest.mark.parametrize("script", [NO_END, ENDLESS_END, BROKEN_END], ids=["none", "endless", "broken"])
def test_a_body_that_does_not_end_costs_a_short_wait_and_its_connection(side: str, script: Script) -> None:
    with FaultServer(script, per_request=True) as server:
        for texts, wait in outcomes(side, server, 2):
            assert texts == ["Hi"]
            assert wait < WAIT + AT_ONCE
        assert server.connections == 2
        assert server.wait_for(0)


@both
def test_the_deadline_bounds_the_wait_for_the_end_and_is_no_error_then(side: str) -> None:
    with FaultServer(NO_END) as server:
        start = time.monotonic()
        ((texts, _),) = outcomes(side, server, 1, timeout=Timeout(connect=10, read=20, total=0.05))
        assert texts == ["Hi"]
        assert time.monotonic() - start < 0.05 + AT_ONCE


@both
@pytest.mark.parametrize("script", [CLOSING, UNTIL_CLOSE], ids=["close", "no length"])
def test_a_connection_that_cannot_be_kept_is_not_waited_for(side: str, script: Script) -> None:
    with FaultServer(script) as server:
        ((texts, wait),) = outcomes(side, server, 1)
        assert texts == ["Hi"]
        assert wait < WAIT
        assert server.wait_for(0)


@needs_proc
async def test_cancelling_the_wait_for_the_end_frees_the_connection(server: FaultServer) -> None:
    server.use(NO_END)
    before = open_descriptors()
    async with AsyncClient("openai", model="m", base_url=server.url, **OPTIONS) as client:
        stream = client.stream("Hi")
        assert (await anext(stream)).text == "Hi"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await freed(server, before)


@needs_proc
def test_a_stream_that_is_dropped_with_chunks_not_taken_frees_its_connection(server: FaultServer) -> None:
    server.use([CHUNKED_HEAD, chunked(ANSWER * 50, last=False), HOLD])
    with Client("openai", model="m", base_url=server.url, **OPTIONS) as client, freed_at_once(server):
        next(client.stream("Hi"))


# --- two readers of one stream --------------------------------------------------------------------------------------

PAUSED = [CHUNKED_HEAD, chunked(b"Hel", last=False), 0.2, chunked(b"lo")]
TWO_READERS = "the stream is being read already"


def test_a_second_thread_that_reads_a_stream_is_told_so_and_the_first_reads_on() -> None:
    with FaultServer(PAUSED) as server, Client("yqcloud", base_url=server.url, **OPTIONS) as client:
        stream = client.stream("Hi")
        first = next(stream).text
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.extend(chunk.text for chunk in stream))
        reader.start()
        time.sleep(0.05)
        with pytest.raises(InvalidRequestError, match=TWO_READERS):
            next(stream)
        reader.join()
    assert first + "".join(texts) == "Hello"


async def test_a_second_task_that_reads_a_stream_is_told_so_and_the_first_reads_on() -> None:
    for script in (PAUSED, [0.1, *PAUSED]):  # while a read waits, and before the head has come
        with FaultServer(script) as server:
            async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
                stream = client.stream("Hi")
                first = "" if script is not PAUSED else (await anext(stream)).text
                reader = asyncio.create_task(texts_of(stream))
                await asyncio.sleep(0.05)
                with pytest.raises(InvalidRequestError, match=TWO_READERS):
                    await anext(stream)
                assert first + "".join(await reader) == "Hello"


async def texts_of(stream: AsyncStream[Any]) -> list[str]:
    return [chunk.text async for chunk in stream]
