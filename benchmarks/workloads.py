"""The workloads for all runners, as a runner's process performs them: warm up, measure, count.

Each takes the class of a runner, the server's address and its own numbers, and returns its measurements by name. CPU is
the process's own, user and system time together.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from array import array
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from benchmarks import wire
from benchmarks.machine import resident_bytes
from benchmarks.runners import AsyncRunner, SyncRunner

__all__ = ["WORKLOADS"]

Numbers: TypeAlias = dict[str, float]
_MANY = 1000  # streams


class _Meter:
    """Takes CPU and wall time from its start on."""

    def __init__(self) -> None:
        gc.collect()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def cpu(self) -> float:
        return time.process_time() - self._cpu

    def wall(self) -> float:
        return time.perf_counter() - self._wall


def _expect(texts: list[str], expected: list[str]) -> None:
    if texts != expected:
        raise AssertionError(f"{len(texts)} texts came, not the {len(expected)} that were sent")


def sync_burst(make: Callable[[str], SyncRunner], server: str, *, size: int, per_chunk: int, seconds: float) -> Numbers:
    """One stream after the other, each all at once."""
    runner, expected = make(f"{server}/burst/{size}/{per_chunk}/v1"), wire.texts(size)
    rounds, meter = -1, _Meter()
    while rounds < 1 or meter.wall() < seconds:
        texts: list[str] = []
        runner.stream(texts.append)
        _expect(texts, expected)
        rounds += 1
        if not rounds:  # that was the warm-up
            meter = _Meter()
    cpu, wall = meter.cpu(), meter.wall()
    runner.close()
    return {"cpu_us": cpu / rounds / size * 1e6, "wall_us": wall / rounds / size * 1e6, "count": rounds * size}


def async_burst(
    make: Callable[[str], AsyncRunner], server: str, *, size: int, per_chunk: int, streams: int, seconds: float
) -> Numbers:
    """Some streams at a time, each all at once."""
    expected = wire.texts(size)

    async def one(runner: AsyncRunner) -> None:
        texts: list[str] = []
        await runner.stream(texts.append)
        _expect(texts, expected)

    async def main() -> Numbers:
        runner = make(f"{server}/burst/{size}/{per_chunk}/v1")
        rounds, meter = -1, _Meter()
        while rounds < 1 or meter.wall() < seconds:
            await asyncio.gather(*(one(runner) for _ in range(streams)))
            rounds += 1
            if not rounds:
                meter = _Meter()
        cpu, wall, count = meter.cpu(), meter.wall(), rounds * streams * size
        await runner.close()
        return {"cpu_us": cpu / count * 1e6, "wall_us": wall / count * 1e6, "count": count}

    return asyncio.run(main())


class _Lateness:
    """Seconds from when each text says it was sent to when it came; CPU time and memory while all streams were open."""

    def __init__(self, streams: int, size: int) -> None:
        self.resident = 0  # bytes, when the first stream ended
        self.count = 0
        # Made and filled beforehand: the memory that the streams take is counted.
        self._seconds = array("d", bytes(8 * streams * size))
        self._not_begun = streams
        self._last = str(size - 1)
        self._all_begun: tuple[float, int] | None = None
        self._first_ended: tuple[float, int] | None = None

    def take(self, text: str) -> None:
        index, _, sent = text.partition(":")
        self._seconds[self.count] = time.monotonic() - float(sent)
        self.count += 1
        if index == "0":
            self._not_begun -= 1
            if not self._not_begun:
                self._all_begun = time.process_time(), self.count
        elif index == self._last and self._first_ended is None:
            self._first_ended = time.process_time(), self.count
            self.resident = resident_bytes()

    def p99(self) -> float:
        """Seconds."""
        return sorted(self._seconds)[int(self.count * 0.99)]

    def steady(self) -> float:
        """CPU per text, without what the streams' opening and closing took."""
        assert self._first_ended is not None
        if self._all_begun is None or self._all_begun[1] >= self._first_ended[1]:
            raise AssertionError("the first stream ended before the last one began: no number of a steady state")
        cpu, count = self._first_ended[0] - self._all_begun[0], self._first_ended[1] - self._all_begun[1]
        return cpu / count


def paced(
    make: Callable[[str], AsyncRunner], server: str, *, streams: int, every_ms: int, size: int, loop: str = "asyncio"
) -> Numbers:
    """Many streams at a time, each a text at a time."""

    async def main() -> Numbers:
        warm = make(f"{server}/burst/5/1/v1")
        await warm.stream(str)
        await warm.close()
        runner, lateness = make(f"{server}/paced/{every_ms}/{size}/{every_ms}/v1"), _Lateness(streams, size)
        meter, before = _Meter(), resident_bytes()
        await asyncio.gather(*(runner.stream(lateness.take) for _ in range(streams)))
        cpu, wall, steady = meter.cpu(), meter.wall(), lateness.steady()
        if lateness.count != streams * size:
            raise AssertionError(f"{lateness.count} texts came, not {streams * size}")
        await runner.close()
        memory = (lateness.resident - before) / streams / 1e3
        numbers = {
            "cpu_us": cpu / lateness.count * 1e6,
            "steady_cpu_us": steady * 1e6,
            "wall_s": wall,
            "late_p99_ms": lateness.p99() * 1e3,
            "resident_mb": resident_bytes(highest=True) / 1e6,
            "count": lateness.count,
        }
        # With few streams it is noise, and a process that has had others before has the memory already.
        return numbers if streams < _MANY else {**numbers, "kb_per_stream": memory}

    return _run(main(), loop)


def _run(main: Coroutine[Any, Any, Numbers], loop: str) -> Numbers:
    if loop == "asyncio":
        return asyncio.run(main)
    import uvloop  # not in each runner's environment

    numbers: Numbers = uvloop.run(main)
    return numbers


def sync_chat(make: Callable[[str], SyncRunner], server: str, *, requests: int, seconds: float) -> Numbers:
    """One whole answer after the other."""
    runner = make(f"{server}/chat/v1")
    expected = runner.chat()
    runner.chat()
    done, meter = 0, _Meter()
    while done < requests and meter.wall() < seconds:
        if runner.chat() != expected:
            raise AssertionError("another answer came")
        done += 1
    cpu, wall = meter.cpu(), meter.wall()
    runner.close()
    return {"cpu_us": cpu / done * 1e6, "wall_us": wall / done * 1e6, "count": done}


def async_chat(
    make: Callable[[str], AsyncRunner], server: str, *, in_flight: int, requests: int, seconds: float
) -> Numbers:
    """So many whole answers at a time."""

    async def main() -> Numbers:
        runner = make(f"{server}/chat/v1")
        await asyncio.gather(*(runner.chat() for _ in range(in_flight)))
        done, meter = 0, _Meter()

        async def chat_until_done() -> None:
            nonlocal done
            while done < requests and meter.wall() < seconds:
                done += 1
                if not await runner.chat():
                    raise AssertionError("no answer came")

        await asyncio.gather(*(chat_until_done() for _ in range(in_flight)))
        cpu, wall = meter.cpu(), meter.wall()
        await runner.close()
        return {"cpu_us": cpu / done * 1e6, "wall_us": wall / done * 1e6, "count": done}

    return asyncio.run(main())


def bulk_rows(make: Callable[[str], Any], server: str, *, rows: int, in_flight: int, delay_ms: int) -> Numbers:
    """So many answers in all, so many at a time, from a slow server: by `bulk`, or by a pool of tasks."""

    async def pool(runner: AsyncRunner, count: int) -> int:
        todo = iter(range(count))

        async def chat_until_done() -> int:
            return sum([bool(await runner.chat()) for _ in todo])

        return sum(await asyncio.gather(*(chat_until_done() for _ in range(in_flight))))

    async def main() -> Numbers:
        runner = make(f"{server}/delayed/{delay_ms}/v1")
        ask = runner.bulk if hasattr(runner, "bulk") else None
        await pool(runner, in_flight)
        if ask is not None:
            await ask(1, 1)
        meter = _Meter()
        answered = await (pool(runner, rows) if ask is None else ask(rows, in_flight))
        cpu, wall = meter.cpu(), meter.wall()
        await runner.close()
        if answered != rows:
            raise AssertionError(f"{answered} answers came, not {rows}")
        return {"cpu_us": cpu / rows * 1e6, "wall_us": wall / rows * 1e6, "rows_per_s": rows / wall, "count": rows}

    return asyncio.run(main())


class _FirstText:
    """How long the first text of each stream takes."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []

    def start(self) -> Callable[[str], None]:
        start, milliseconds = time.perf_counter(), self.milliseconds

        def take(_text: str) -> None:
            nonlocal start
            if start:
                milliseconds.append((time.perf_counter() - start) * 1e3)
                start = 0.0

        return take

    def result(self) -> Numbers:
        return {"ms": statistics.median(self.milliseconds), "count": len(self.milliseconds)}


_FIRST_STREAM = "paced/3/2/0/v1"


def sync_first_chunk(make: Callable[[str], SyncRunner], server: str, *, requests: int) -> Numbers:
    """From the call to the first text."""
    runner, first = make(f"{server}/{_FIRST_STREAM}"), _FirstText()
    runner.stream(str)
    for _ in range(requests):
        runner.stream(first.start())
    runner.close()
    return first.result()


def async_first_chunk(make: Callable[[str], AsyncRunner], server: str, *, requests: int) -> Numbers:
    """From the call to the first text."""

    async def main() -> Numbers:
        runner, first = make(f"{server}/{_FIRST_STREAM}"), _FirstText()
        await runner.stream(str)
        for _ in range(requests):
            await runner.stream(first.start())
        await runner.close()
        return first.result()

    return asyncio.run(main())


WORKLOADS: dict[str, Callable[..., Numbers]] = {
    function.__name__: function
    for function in (
        sync_burst,
        async_burst,
        paced,
        sync_chat,
        async_chat,
        bulk_rows,
        sync_first_chunk,
        async_first_chunk,
    )
}
