"""One transport over several event loops, threads, tasks and processes; and one that nobody closes."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading

import pytest

from llmclients.testing.fault_server import CHUNKED_HEAD, FaultServer, chunked, http
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport

from .helpers import NO_ENVIRONMENT, OPEN_BODY, no_new_descriptors
from .sides import PATIENCE, post


def test_one_transport_over_several_event_loops() -> None:
    async def main() -> None:
        for _ in range(2):
            response = await transport.open(post(server.url), PATIENCE, None)
            assert await response.read() == b"hello"
            assert await response.read() == b""

    with FaultServer([http(body=b"hello")]) as server, no_new_descriptors():
        transport = HttpxTransport(NO_ENVIRONMENT)
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
        transport = HttpxTransport(NO_ENVIRONMENT)
        gc.disable()  # the collector may come by at any time, and its warnings are for below
        try:
            for _ in range(3):
                loop = asyncio.new_event_loop()
                loop.run_until_complete(main())
                loop.close()
            asyncio.run(transport.close())
            with pytest.warns(ResourceWarning):  # asyncio's own, of each socket
                gc.collect()
        finally:
            gc.enable()
    assert "Unclosed" not in capfd.readouterr().err


def test_a_transport_that_was_never_closed_prints_nothing() -> None:
    with FaultServer([http(body=b"hello")], OPEN_BODY) as server:
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
        transport = HttpxTransport(NO_ENVIRONMENT)
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
    all_at_once = threading.Barrier(64)

    def work(number: int) -> None:
        for turn in range(3):
            all_at_once.wait(20)  # so that each needs a connection of its own, and finds it kept
            response = transport.open(post(server.url, f"{number}.{turn}".encode()), PATIENCE, None)
            bodies.append(b"".join(iter(response.read, b"")))

    with FaultServer([0.2, CHUNKED_HEAD + chunked(b"hel", b"lo")]) as server, no_new_descriptors():
        transport = RequestsTransport(NO_ENVIRONMENT)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
        assert bodies == [b"hello"] * 192
        assert len(server.requests) == 192
        assert server.connections <= 64
        assert server.wait_for(0)


def test_300_tasks_share_a_transport() -> None:
    async def one(transport: HttpxTransport) -> bytes:
        response = await transport.open(post(server.url), PATIENCE, None)
        return await response.read()

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        assert set(await asyncio.gather(*[one(transport) for _ in range(300)])) == {b"hello"}
        assert server.connections > 100, "no limit on connections"

    with FaultServer([0.2, http(body=b"hello")]) as server, no_new_descriptors():
        asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_does_not_share_connections() -> None:
    with FaultServer([http(body=b"hello")]) as server:
        transport = RequestsTransport(NO_ENVIRONMENT)
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
