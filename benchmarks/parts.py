"""`python -m benchmarks.parts`: what each part of a chunk costs, without a socket, and what a bare protocol does.

First for streams that bring one chunk in a read, then for a burst, of which one read brings hundreds; at the end for
thousands of streams, whose chunks come in no order, so that no cache has what they need: with Python's own settings for
its garbage collector, and with those of `tune_gc`.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import statistics
import sys
import time
import timeit
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

from pydantic_core import from_json

from benchmarks import wire
from benchmarks.machine import RUNNER_CORE, pin
from benchmarks.runners.floor import Events
from benchmarks.runners.protocol import _Connection as BareConnection
from llmclients import AsyncClient, tune_gc
from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.openai_chat.reply import EventDecoder
from llmclients.transports.framing import ChunkedBody
from llmclients.transports.httpx.pool import Pool
from llmclients.transports.httpx.protocol import Connection
from llmclients.types.response import make_text_chunk

STREAMS, CHUNKS, ROUNDS = 50, 400, 7
MANY_STREAMS, FEW_CHUNKS = 8000, 6
EVENT = wire.event({"content": "tok12 "})
CHUNK = wire.chunked(EVENT)
BURST = 64 * 1024 // len(CHUNK)
_TURNS = 3

Stream = Callable[[asyncio.AbstractEventLoop, list[Any]], Coroutine[Any, Any, int]]


class Wire(asyncio.Transport):
    """The other end of a connection that nothing is sent over."""

    def write(self, data: Any) -> None: ...

    def close(self) -> None: ...

    abort = pause_reading = resume_reading = close

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def bare_stream(loop: asyncio.AbstractEventLoop, connections: list[Any]) -> int:
    """A stream of a bare protocol: how many texts came."""
    texts: list[str] = []
    connection = BareConnection(loop)
    connection.connection_made(Wire())
    connections.append(connection)
    events = Events(texts.append)
    while not events.feed(await connection.read()):
        pass
    return len(texts)


def client_stream(client: AsyncClient) -> Stream:
    """The same of a client, whose connections the caller has put in place."""

    async def stream(loop: asyncio.AbstractEventLoop, connections: list[Any]) -> int:
        count = 0
        async for chunk in client.stream(wire.PROMPT):
            count += bool(chunk.text)
        return count

    return stream


async def turn() -> None:
    """Let the event loop go round until whoever was woken has run."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _fed(stream: Stream, connections: list[Any], per_read: int, streams: int) -> float:
    """Seconds of CPU for each chunk of each of the streams, all of them open."""
    reads, data = (CHUNKS if streams == STREAMS else FEW_CHUNKS) // per_read or 1, CHUNK * per_read
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(stream(loop, connections)) for _ in range(streams)]

    async def feed(data: bytes, order: list[Any]) -> None:
        for connection in order:
            connection.data_received(data)
        await turn()

    await feed(b"", connections)  # the connections come only now
    await feed(wire.opening() + CHUNK, connections)
    orders = [random.sample(connections, streams) for _ in range(min(reads, FEW_CHUNKS))]
    gc.collect()
    start = time.process_time()
    for number in range(reads):
        await feed(data, orders[number % FEW_CHUNKS])
    seconds = time.process_time() - start
    await feed(wire.closing(), connections)
    if set(await asyncio.gather(*tasks)) != {reads * per_read + 1}:
        raise AssertionError("a stream has not got what it was fed")
    return seconds / reads / per_read / streams


async def _fed_client(per_read: int, streams: int) -> float:
    ours, theirs = socket.socketpair()
    connections: list[Any] = []

    async def connect(pool: Pool, exchange: Any) -> Connection:
        connection = Connection(asyncio.get_running_loop(), ours, memoryview(bytearray(1024)))
        connection.connection_made(Wire())
        connections.append(connection)
        return connection

    with ours, theirs, patch.object(Pool, "_connect", connect):
        async with AsyncClient("openai", model=wire.MODEL, base_url="http://127.0.0.1:9", api_key="key") as client:
            return await _fed(client_stream(client), connections, per_read, streams)


def _timed(part: Callable[[], object], number: int = 20_000) -> float:
    return min(timeit.repeat(part, number=number, repeat=ROUNDS)) / number


def _parts() -> dict[str, Callable[[], object]]:
    body, lines, decoder, accumulator = ChunkedBody(), SSEDecoder(), EventDecoder(), Accumulator()
    data = EVENT[6:-2]
    list(lines.feed(EVENT)), list(decoder.feed(EVENT))
    payload = from_json(data)
    chunk = make_text_chunk("tok12 ", wire.MODEL, "id", payload)
    return {
        "HTTP's framing": lambda: body.feed(CHUNK),
        "the event's framing": lambda: lines.feed_plain(EVENT),
        "the JSON parser": lambda: from_json(data, cache_strings="keys"),
        "the decoder, with the two above and the chunk": lambda: list(decoder.feed(EVENT)),
        "a `Chunk`": lambda: make_text_chunk("tok12 ", wire.MODEL, "id", payload),
        "adding it up": lambda: accumulator.add(chunk),
        "the clock, for the limit on waiting": time.monotonic,
        "a pydantic model of the same, validated": lambda: type(chunk)(text="tok12 ", model=wire.MODEL, id="id"),
    }


def _parts_of_a_burst() -> dict[str, Callable[[], object]]:
    body, lines, decoder = ChunkedBody(), SSEDecoder(), EventDecoder()
    list(lines.feed(EVENT)), list(decoder.feed(EVENT))
    bare, chunks, events = Events(len), CHUNK * BURST, EVENT * BURST
    return {
        "a bare search for the events, and the JSON parser": lambda: bare.feed(chunks),
        "HTTP's framing": lambda: body.feed(chunks),
        "the events' framing": lambda: lines.feed_plain(events),
        "the decoder, with the one above, the JSON parser and the chunks": lambda: sum(1 for _ in decoder.feed(events)),
    }


def _totals(per_read: int, streams: int = STREAMS) -> str:
    """What a chunk costs in all, the best of some rounds in turn, µs."""
    rounds = [
        (asyncio.run(_fed(bare_stream, [], per_read, streams)), asyncio.run(_fed_client(per_read, streams)))
        for _ in range(ROUNDS)
    ]
    bare, ours = map(min, zip(*rounds, strict=True))
    difference = statistics.median(ours - bare for bare, ours in rounds)
    return (
        f"{bare * 1e6:6.2f}  a bare protocol, a chunk in all\n"
        f"{ours * 1e6:6.2f}  AsyncClient, a chunk in all\n"
        f"{difference * 1e6:6.2f}  the median difference of a round\n"
    )


def main() -> None:
    """The totals, and the parts alone, of which each is its best round."""
    pin(RUNNER_CORE)
    write = sys.stdout.write
    for per_read, parts in ((1, _parts()), (BURST, _parts_of_a_burst())):
        write(f"{per_read} in a read:\n{_totals(per_read)}")
        for name, part in parts.items():
            write(f"{_timed(part, 20_000 // per_read) / per_read * 1e6:6.2f}  {name}\n")
    write(f"1 in a read, {MANY_STREAMS} streams:\n{_totals(1, MANY_STREAMS)}")
    tune_gc()
    write(f"the same after tune_gc:\n{_totals(1, MANY_STREAMS)}")


if __name__ == "__main__":
    main()
