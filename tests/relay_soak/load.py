"""The soak's clients: streams on plain sockets, each chunk's delay, and when those left that leave early."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from .script import CHUNKS, DONE, INTERVAL, SENT_AT, length, request

T = TypeVar("T")


def run_lightly(work: Coroutine[Any, Any, T]) -> T:
    """Run it on uvloop, where there is one, with half the work for each chunk and nothing for the collector.

    What clients and provider take of the machine's few processors, and how long they hold up their chunks for a
    collection, would be taken for the relay's delay.
    """
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run(work)
    return uvloop.run(work)


@dataclass
class Tally:
    """What came of the streams.

    Attributes:
        delays: of each chunk, in seconds, since it was sent.
        outcomes: how many streams were whole, were left, and anything else by its reason.
        left: when which client left, on the machine's clock, in nanoseconds.
    """

    delays: array[float] = field(default_factory=lambda: array("d"))
    outcomes: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)

    def p(self, percent: float) -> float:
        """A percentile of the delays, in milliseconds."""
        ordered = sorted(self.delays)
        return round(ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000, 2) if ordered else 0.0


class Client(asyncio.Protocol):
    """One stream."""

    def __init__(self, tally: Tally, port: int, name: str, path: bytes, leaves_after: int) -> None:
        self.tally, self.port, self.name, self.path = tally, port, name, path
        self.leaves_after = leaves_after
        self.buffer = b""
        self.chunks = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(request(self.port, self.name, self.path))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.buffer += data
        whole, separator, self.buffer = self.buffer.rpartition(b"\n\n")
        for sent_at in SENT_AT.findall(whole):
            self.chunks += 1
            self.tally.delays.append((now - int(sent_at)) / 1e9)
        if self.leaves_after and self.chunks >= self.leaves_after:
            self.end("left")
            self.tally.left[self.name] = time.monotonic_ns()
        elif DONE in whole + separator:
            self.end("whole" if self.chunks == length(self.name) else f"{self.chunks} chunks")

    def connection_lost(self, error: Exception | None) -> None:
        self.end(f"broken off: {self.buffer[:200]!r}" if not self.chunks else "broken off")

    def end(self, outcome: str) -> None:
        if not self.ended.done():
            self.tally.outcomes[outcome] += 1
            self.ended.set_result(None)
            self.transport.close()


async def load(
    port: int,
    width: int,
    seconds: float,
    path: bytes = b"/v1/chat/completions",
    leaving: float = 0.0,
    spread: float = CHUNKS * INTERVAL,
    label: str = "stream",
    tally: Tally | None = None,
) -> Tally:
    """So many streams at once, for so long. `leaving`: the share that leave early; `spread`: until all have begun.

    `label`: with a number, the name of each. `tally`: where it is counted, to be looked at meanwhile.
    """
    rng, loop = random.Random(7), asyncio.get_running_loop()
    tally = tally or Tally()
    end = loop.time() + seconds
    names = iter(range(10**9))

    async def one_after_another() -> None:
        await asyncio.sleep(rng.random() * spread)
        while loop.time() < end:
            name = f"{label} {next(names)}"
            leaves_after = rng.randrange(1, length(name)) if rng.random() < leaving else 0
            _, client = await loop.create_connection(
                lambda name=name, leaves_after=leaves_after: Client(tally, port, name, path, leaves_after),  # type: ignore[misc]
                "127.0.0.1",
                port,
            )
            await client.ended

    await asyncio.gather(*(one_after_another() for _ in range(width)))
    return tally
