"""One client, shared by threads, tasks and event loops."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmclients import AsyncClient, Client
from llmclients.config.values import Timeout
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import CHUNKED_HEAD, ReceivedRequest, Script, chunked, wait_until
from tests.helpers import open_descriptors

OPTIONS: dict[str, Any] = {"trust_env": False, "retry": 1, "timeout": Timeout(connect=10, read=20)}


def echo(request: ReceivedRequest) -> Script:
    """The prompt, in pieces."""
    prompt = request.json["prompt"].encode()
    return [CHUNKED_HEAD, *(chunked(prompt[at : at + 8], last=False) for at in range(0, len(prompt), 8)), chunked()]


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts file descriptors in /proc")


@needs_proc
def test_a_client_shared_by_64_threads() -> None:
    threads, rounds = 64, 2
    before = open_descriptors()

    def work(number: int) -> None:
        for turn in range(rounds):
            text = f"thread {number}, turn {turn}, " * 5
            assert client.chat(text).text == text
            assert "".join(chunk.text for chunk in client.stream(text)) == text
            with client.stream(text) as stream:
                assert text.startswith(next(stream).text)

    with FaultServer(echo) as server:
        with Client("yqcloud", base_url=server.url, **OPTIONS) as client:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(work, number) for number in range(threads)]:
                    done.result()
            assert len(server.requests) == threads * rounds * 3
            assert server.open_connections() <= threads
        assert server.wait_for(0)
    assert wait_until(lambda: open_descriptors() <= before)


@needs_proc
async def test_an_async_client_in_a_thousand_tasks() -> None:
    before = open_descriptors()

    async def work(number: int) -> None:
        text = f"task {number}, " * 5
        if number % 2:
            assert (await client.chat(text)).text == text
        else:
            assert "".join([chunk.text async for chunk in client.stream(text)]) == text

    with FaultServer(echo) as server:
        async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
            await asyncio.gather(*(work(number) for number in range(1000)))
            assert len(server.requests) == 1000
        assert await asyncio.to_thread(server.wait_for, 0)
    assert await asyncio.to_thread(wait_until, lambda: open_descriptors() <= before)


@needs_proc
def test_one_async_client_over_two_loops() -> None:
    before = open_descriptors()

    async def work() -> str:
        return (await client.chat("one")).text + "".join([chunk.text async for chunk in client.stream("two")])

    with FaultServer(echo) as server:
        client = AsyncClient("yqcloud", base_url=server.url, **OPTIONS)
        for _ in range(3):
            assert asyncio.run(work()) == "onetwo"
            assert server.wait_for(0), "connections end with their loop"
        assert len(server.requests) == 6
    assert wait_until(lambda: open_descriptors() <= before)


@needs_proc
def test_one_async_client_in_loops_of_several_threads_at_a_time() -> None:
    async def work(number: int) -> None:
        for turn in range(5):
            assert (await client.chat(f"{number} {turn}")).text == f"{number} {turn}"

    with FaultServer(echo) as server:
        client = AsyncClient("yqcloud", base_url=server.url, **OPTIONS)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: asyncio.run(work(number)), range(16)))
        assert server.wait_for(0)


async def test_a_sync_client_in_a_thread_of_a_running_loop() -> None:
    with FaultServer(echo) as server, Client("yqcloud", base_url=server.url, **OPTIONS) as client:
        responses = await asyncio.gather(*(asyncio.to_thread(client.chat, str(number)) for number in range(20)))
        assert [response.text for response in responses] == list(map(str, range(20)))


async def test_an_async_client_in_nested_tasks() -> None:
    async def work(depth: int) -> str:
        text = (await client.chat(str(depth))).text
        return text if not depth else text + await asyncio.create_task(work(depth - 1))

    with FaultServer(echo) as server:
        async with AsyncClient("yqcloud", base_url=server.url, **OPTIONS) as client:
            assert await work(5) == "543210"
