"""`_ChunkedReader`: the asynchronous transport's reader of chunked bodies, in place of aiohttp's."""

from __future__ import annotations

import asyncio

import pytest

from llmclients.testing import FaultServer
from llmclients.testing.fault_server import CHUNKED_HEAD, Script, chunked
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.connection import _ChunkedReader
from llmclients.transports.httpx.transport import HttpxTransport
from tests.transports.sides import ASYNC, PATIENCE, post

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def bodies(server: FaultServer, count: int) -> list[bytes]:
    """Of requests one after the other, over one transport."""
    found = ASYNC.run(*[post(server.url)] * count, trust_env=False)
    assert [outcome.error for outcome in found] == [None] * count
    return [outcome.body for outcome in found]


def test_it_is_the_one_that_reads() -> None:
    async def main() -> None:
        transport = HttpxTransport(TransportSettings(trust_env=False))
        response = await transport.open(post(server.url), PATIENCE, None)
        assert response._direct is not None
        assert type(response._direct.content) is _ChunkedReader
        await response.close()
        await transport.close()

    with FaultServer([CHUNKED_HEAD + chunked(b"hello")]) as server:
        asyncio.run(main())


@pytest.mark.parametrize("head", [CHUNKED_HEAD, EARLY_HINTS + CHUNKED_HEAD, CHUNKED_HEAD.replace(b"\r\n", b"\n")])
def test_a_head_however_it_is_cut(head: bytes) -> None:
    cuts: list[Script] = [[head[:place], 0.001, head[place:] + chunked(b"hello")] for place in range(1, len(head))]
    with FaultServer(*cuts, per_request=True) as server:
        assert bodies(server, len(cuts)) == [b"hello"] * len(cuts)
        assert server.connections == 1


def test_a_body_that_nobody_reads_holds_the_server_up() -> None:
    whole = b"x" * 50_000
    limit = 2 * 64 * 1024 + 256 * 1024  # what may lie unread, and one read of asyncio's

    async def main() -> None:
        transport = HttpxTransport(TransportSettings(trust_env=False))
        response = await transport.open(post(server.url), PATIENCE, None)
        pieces = [await response.read()]
        while pieces[-1]:
            await asyncio.sleep(0.005)
            pieces.append(await response.read())
        assert b"".join(pieces) == whole * 100
        assert 100_000 < max(map(len, pieces)) <= limit
        await transport.close()

    with FaultServer([CHUNKED_HEAD, *[chunked(whole, last=False)] * 100, chunked()]) as server:
        asyncio.run(main())


@pytest.mark.parametrize("pause", [[], [0.02]], ids=["at once", "later"])
def test_bytes_after_the_body_end_the_connection(pause: Script) -> None:
    answer = CHUNKED_HEAD + chunked(b"hello")
    script: Script = [answer, *pause, b"HTTP/1.1 200 OK\r\n\r\n"] if pause else [answer + b"HTTP/1.1 200 OK\r\n\r\n"]

    async def main() -> None:
        transport = HttpxTransport(TransportSettings(trust_env=False))
        for _ in range(2):
            response = await transport.open(post(server.url), PATIENCE, None)
            assert (await response.read(), await response.read()) == (b"hello", b"")
            await asyncio.sleep(0.05)
        await transport.close()

    with FaultServer(script, per_request=True) as server:
        asyncio.run(main())
        assert server.connections == 2
