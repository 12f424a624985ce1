"""`python -m benchmarks.memory`: what an open stream holds, by the module that allocated it, and what a bare one does.

Python's own objects alone, without a socket: what the event loop and the kernel keep for a connection comes on top. The
process's memory per stream, in the tables of the page, has both, and what the allocator keeps in part-filled pools.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import llmclients
from benchmarks import parts, wire
from llmclients import AsyncClient
from llmclients.transports.httpx.pool import Pool
from llmclients.transports.httpx.protocol import Connection

STREAMS, FIRST = 2000, 5  # the first ones fill what is kept for all
_ROOT = Path(llmclients.__file__).parent
_SHOWN = 14


async def held(stream: parts.Stream, connections: list[Any]) -> Counter[str]:
    """Bytes that each module has allocated for one stream and not freed, while all wait for their third text."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[int]] = []

    async def open_streams(number: int) -> None:
        tasks.extend(loop.create_task(stream(loop, connections)) for _ in range(number))
        await parts.turn()
        for data in (wire.opening() + parts.CHUNK, parts.CHUNK):
            for connection in connections[-number:]:
                connection.data_received(data)
            await parts.turn()

    await open_streams(FIRST)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    await open_streams(STREAMS)
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sizes: Counter[str] = Counter()
    for difference in after.compare_to(before, "filename"):
        sizes[_name(difference.traceback[0].filename)] += difference.size_diff
    return Counter({name: round(size / STREAMS) for name, size in sizes.items()})


async def held_by_client() -> Counter[str]:
    """What a stream of `AsyncClient` holds, over connections that are fed by hand."""
    ours, theirs = socket.socketpair()
    connections: list[Any] = []
    buffer = memoryview(bytearray(65536))  # one for all connections of a loop, as in the transport

    async def connect(pool: Pool, exchange: Any) -> Connection:
        connection = Connection(asyncio.get_running_loop(), ours, buffer)
        connection.connection_made(parts.Wire())
        connections.append(connection)
        return connection

    with ours, theirs, patch.object(Pool, "_connect", connect):
        async with AsyncClient("openai", model=wire.MODEL, base_url="http://127.0.0.1:9", api_key="key") as client:
            return await held(parts.client_stream(client), connections)


def _name(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else f"{path.parent.name}/{path.name}"


def main() -> None:
    """The two totals, and the client's by module."""
    bare, client = asyncio.run(held(parts.bare_stream, [])), asyncio.run(held_by_client())
    write = sys.stdout.write
    for name, sizes in (("a bare protocol", bare), ("AsyncClient", client)):
        write(f"{sum(sizes.values()):7,}  bytes a stream, {name}\n")
    for name, size in client.most_common(_SHOWN):
        write(f"{size:7,}  {name}\n")


if __name__ == "__main__":
    main()
