"""The bar: what llmclients has to reach, line by line, and whether a run's numbers do."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.results import Results

__all__ = ["Verdict", "judge"]

_LINEAR = 1.2  # twice as long may take this much more than twice the time


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the bar against one run; `outcome` is `met`, `not met` or `not judged`.

    `floor`: where a line is of another library, what the bare socket comes to: nobody can be below it.
    """

    number: int
    line: str
    value: str
    bar: str
    outcome: str
    floor: str = ""


def judge(results: Results) -> list[Verdict]:
    """Every line, in order."""
    return [
        *_bursts(results),
        *_paced(results),
        *_calls(results),
        *_without_peer(results),
        *_protocols(results),
        *_transports(results),
        *_rows(results),
    ]


def _bursts(results: Results) -> list[Verdict]:
    ratio = results.compare
    return [
        _at_most(
            1,
            "sync burst, of the requests loop",
            ratio("sync burst 1", "cpu_us", to="requests"),
            0.75,
            floor=_floor(results, "sync burst 1", "requests"),
        ),
        _at_most(
            1,
            "sync burst, of openai",
            ratio("sync burst 1", "cpu_us", to="openai"),
            1 / 5,
            floor=_floor(results, "sync burst 1", "openai"),
        ),
        _at_most(2, "async burst, of the floor", ratio("async burst 1", "cpu_us", to="floor"), 4),
        _at_most(
            2,
            "async burst, of openai",
            ratio("async burst 1", "cpu_us", to="openai"),
            1 / 12,
            floor=_floor(results, "async burst 1", "openai"),
        ),
    ]


def _paced(results: Results) -> list[Verdict]:
    ratio = results.compare
    many = "paced 1000"
    rate = "steady_cpu_us"
    return [
        _at_most(3, "100 paced streams, of the floor", ratio("paced 100", rate, to="floor"), 1.3),
        _at_most(
            3,
            "100 paced streams, of openai",
            ratio("paced 100", rate, to="openai"),
            1 / 5,
            floor=_floor(results, "paced 100", "openai", rate),
        ),
        _at_most(
            3,
            "100 paced streams, of litellm",
            ratio("paced 100", rate, to="litellm"),
            1 / 10,
            floor=_floor(results, "paced 100", "litellm", rate),
        ),
        _at_most(4, "1,000 paced streams, of the floor", ratio(many, rate, to="floor"), 2.2),
        _at_most(4, "1,000 paced streams, wall time, of the floor's", ratio(many, "wall_s", to="floor"), 1.15),
        _at_most(4, "1,000 paced streams, lateness at p99", _our_median(results, many, "late_p99_ms"), 250, " ms"),
        _at_most(
            4, "2,000 paced streams, of 100", _growth(results), 1.2, floor=f"{_growth(results, 'floor') or 0:.3g}"
        ),
        _at_most(4, "1,000 paced streams, resident memory", _our_median(results, many, "resident_mb"), 90, " MB"),
    ]


def _floor(results: Results, task: str, peer: str, metric: str = "cpu_us") -> str:
    """What the bare socket comes to in our place."""
    value = results.compare(task, metric, runner="floor", to=peer)
    return "" if value is None else f"{value:.3g}"


def _growth(results: Results, runner: str = "llmclients") -> float | None:
    """A chunk's cost at 2,000 streams, of that at 100."""
    few, many = (results.values(task, runner, "steady_cpu_us") for task in ("paced 100", "paced 2000"))
    ratios = [many[number] / few[number] for number in many if number in few]
    return statistics.median(ratios) if ratios else None


def _calls(results: Results) -> list[Verdict]:
    ratio = results.compare
    sync_first = ratio("sync first", "ms", to="requests", minus=True)
    async_first = ratio("async first", "ms", to="httpx-aiohttp", minus=True)
    client, async_client = "llmclients Client", "llmclients AsyncClient"
    bare, bare_async = "requests + pydantic", "httpx + aiohttp + pydantic"
    return [
        _at_most(5, "sync chat, of bare requests", ratio("sync chat", "cpu_us", to="requests"), 1.15),
        _at_most(5, "async chat, of bare httpx over aiohttp", ratio("async chat", "cpu_us", to="httpx-aiohttp"), 1.3),
        _at_most(5, "async chat, of openai", ratio("async chat", "cpu_us", to="openai"), 1 / 3),
        _at_most(6, "sync, first chunk, over the requests loop", sync_first, 0.3, " ms"),
        _at_most(6, "async, first chunk, over the httpx over aiohttp loop", async_first, 0.3, " ms"),
        _at_most(7, f"import of `Client`, of {bare}", ratio("import", "ms", runner=client, to=bare), 1.3),
        _at_most(7, "import of `Client`, of openai", ratio("import", "ms", runner=client, to="openai"), 0.5),
        _at_most(
            7,
            f"import of `AsyncClient`, of {bare_async}",
            ratio("import", "ms", runner=async_client, to=bare_async),
            1.3,
        ),
    ]


def _without_peer(results: Results) -> list[Verdict]:
    conversation = _our_median(results, "conversation", "growth")
    growth = _our_median(results, "answer", "growth")
    memory = _our_median(results, "answer", "memory_per_text")
    messages = results.options["conversation"]["messages"]
    chunks = results.options["answer"]["chunks"]
    decoders = [task for task in results.samples if task.startswith("decoder ")]
    rates = [rate for task in decoders if (rate := _our_median(results, task, "chunks_per_s"))]
    slowest = min(rates, default=None)
    if slowest is None:
        outcome, value = "not judged", "–"
    else:
        outcome, value = "met" if slowest >= 200_000 else "not met", f"{slowest:,.0f} chunks/s"
    return [
        _at_most(8, f"a conversation of {messages:,} messages, of twice the time of half", conversation, _LINEAR),
        _at_most(8, f"an answer of {chunks:,} chunks, of twice the time of half", growth, _LINEAR),
        _at_most(8, f"an answer of {chunks:,} chunks, memory, of its text", memory, 3),
        Verdict(9, "the slowest decoder alone", value, "at least 200,000 chunks/s", outcome),
    ]


def _protocols(results: Results) -> list[Verdict]:
    """Against a bare protocol on the same loop, plain or TLS as we are."""
    rate, many = "steady_cpu_us", "paced 4000 uvloop"

    def of_protocol(task: str, metric: str = rate) -> float | None:
        return results.compare(task, metric, to="protocol")

    memory = _our_median(results, many, "kb_per_stream")
    floor = results.median(many, "protocol", "kb_per_stream")
    return [
        _at_most(10, "100 paced streams, of a bare protocol", of_protocol("paced 100"), 1.1),
        _at_most(10, "100 paced streams on uvloop, of a bare protocol", of_protocol("paced 100 uvloop"), 1.25),
        _at_most(10, "100 paced streams over TLS, of a bare protocol", of_protocol("paced 100 tls"), 1.2),
        _at_most(11, "4,000 streams on uvloop, of a bare protocol", of_protocol(many), 1.3),
        _at_most(11, "4,000 streams on uvloop, wall time, of a bare protocol's", of_protocol(many, "wall_s"), 1.1),
        _at_most(
            11,
            "4,000 streams on uvloop, memory of a stream",
            memory,
            12,
            " KB",
            floor="" if floor is None else f"{floor:.3g} KB",
        ),
        _at_most(11, "2,000 streams on uvloop over TLS, of a bare protocol", of_protocol("paced 2000 uvloop tls"), 1.3),
        _at_most(12, "8,000 streams on uvloop, of a bare protocol", of_protocol("paced 8000 uvloop"), 1.5),
    ]


def _transports(results: Results) -> list[Verdict]:
    """Against the HTTP libraries, tighter than above, and what an installation brings."""
    ratio = results.compare
    client, async_client = "llmclients Client", "llmclients AsyncClient"
    bare_async, start = "httpx + aiohttp + pydantic", "start tls"
    plain, tls = (ratio(task, "cpu_us", to="httpx-aiohttp") for task in ("async chat", "async chat tls"))
    first_sync = ratio(start, "call_ms", runner=client, to="requests")
    first_async = ratio(start, "call_ms", runner=async_client, to="httpx")
    imported, called = (ratio("import", metric, runner=async_client, to=bare_async) for metric in ("import_ms", "ms"))
    return [
        _at_most(13, "async chat, of bare httpx over aiohttp", plain, 0.85),
        _at_most(13, "async chat over TLS, of bare httpx over aiohttp", tls, 0.85),
        _at_most(14, "async burst, of the floor", ratio("async burst 1", "cpu_us", to="floor"), 2),
        _at_most(
            14,
            "sync burst, of the requests loop",
            ratio("sync burst 1", "cpu_us", to="requests"),
            0.6,
            floor=_floor(results, "sync burst 1", "requests"),
        ),
        _at_most(15, "`Client`, first answer over TLS, of bare requests", first_sync, 1.1),
        _at_most(15, "`AsyncClient`, first answer over TLS, of bare httpx", first_async, 1.1),
        # 0.8 times what it was of the libraries that it needed: see `how`.
        _at_most(16, f"import of `AsyncClient` alone, of {bare_async}", imported, 0.8 * 0.66),
        _at_most(16, f"import of `AsyncClient` and the first call, of {bare_async}", called, 0.8 * 1.07),
        _at_most(17, "distributions for a chat, itself included", results.distributions.get("llmclients"), 16),
    ]


def _rows(results: Results) -> list[Verdict]:
    """`bulk`, with its journal, beside pools that keep nothing."""

    def of(peer: str, metric: str = "cpu_us") -> float | None:
        return results.compare("bulk 200", metric, runner="llmclients-bulk", to=peer)

    return [
        _at_most(18, "`bulk`, 200 in flight, wall time, of an aiohttp loop's", of("aiohttp", "wall_us"), 1 / 0.75),
        _at_most(18, "`bulk`, 200 in flight, of an aiohttp loop", of("aiohttp"), 2),
        _at_most(18, "`bulk`, 200 in flight, of openai", of("openai"), 1 / 5),
        _at_most(18, "`bulk`, 200 in flight, of litellm", of("litellm"), 1 / 8),
    ]


def _our_median(results: Results, task: str, metric: str) -> float | None:
    return results.median(task, "llmclients", metric)


def _at_most(number: int, line: str, value: float | None, limit: float, unit: str = "", *, floor: str = "") -> Verdict:
    bar = f"at most {limit:.3g}{unit}"
    if value is None:
        return Verdict(number, line, "–", bar, "not judged")
    return Verdict(number, line, f"{value:.3g}{unit}", bar, "met" if value <= limit else "not met", floor)
