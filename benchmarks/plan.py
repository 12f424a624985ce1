"""The plan: which tasks are measured, of what size, and how often. A quick run has fewer and smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.decoding import EVENT_CODECS, codecs
from benchmarks.imports import IMPORTS, STARTS

__all__ = ["Task", "rounds", "tasks"]

_SYNC = ("floor", "requests", "httpx", "llmclients", "openai", "any-llm", "litellm")
_ASYNC = ("floor", "httpx", "httpx-aiohttp", "llmclients", "openai", "openai-aiohttp", "any-llm", "litellm")
_FEW = ("protocol", "httpx-aiohttp", "llmclients", "openai")
# What few rounds measure: they are slow, and the bar asks for other peers in nearly every line.
_SLOW = frozenset({"httpx", "openai-aiohttp", "any-llm", "any-llm-function", "litellm"})


@dataclass(frozen=True)
class Task:
    """A workload with its numbers, for some runners.

    Attributes:
        metric: the one that the tables put first.
        max_rounds: the rounds that it takes part in at most; few for what takes long.
        slow: the runners that have `slow_rounds` only.
        fresh: whether each run needs a process that has done nothing before.
        tls: whether the server is asked over TLS.
    """

    name: str
    title: str
    function: str
    side: str
    runners: tuple[str, ...]
    options: dict[str, Any]
    metric: str = "cpu_us"
    max_rounds: int = 100
    slow: frozenset[str] = field(default_factory=frozenset)
    slow_rounds: int = 1
    fresh: bool = False
    tls: bool = False

    def round_has(self, runner: str, number: int) -> bool:
        """Whether the runner takes part in this round."""
        return number < (min(self.max_rounds, self.slow_rounds) if runner in self.slow else self.max_rounds)


def rounds(quick: bool) -> int:
    """How many runs the medians are of."""
    return 3 if quick else 5


def tasks(quick: bool) -> list[Task]:
    """All tasks, in the page's order."""
    found = [
        *(*_bursts(quick), *_paced(quick), *_many(quick), *_calls(quick), *_rows(quick), *_imports()),
        *_without_peer(quick),
    ]
    return found if quick else [replace(task, slow_rounds=2) for task in found]


def _bursts(quick: bool) -> list[Task]:
    # Of one size in either run: what a stream costs to open is part of the cost per chunk.
    size, async_size, seconds = 1000, 500, 0.15 if quick else 0.4
    found: list[Task] = []
    for per_chunk in (1, 64):
        left_out = _SLOW if per_chunk > 1 and quick else frozenset[str]()
        sync_runners, async_runners = (tuple(r for r in runners if r not in left_out) for runners in (_SYNC, _ASYNC))
        events = f"{per_chunk} event{'s' * (per_chunk > 1)} in an HTTP chunk"
        options = {"per_chunk": per_chunk, "seconds": seconds}
        name = f"burst {per_chunk}"
        title = f"Sync, bursts of {size:,} chunks, {events}"
        found.append(
            Task(f"sync {name}", title, "sync_burst", "sync", sync_runners, {"size": size, **options}, slow=_SLOW)
        )
        title = f"Async, 20 bursts of {async_size} chunks at a time, {events}"
        options |= {"size": async_size, "streams": 20}
        found.append(Task(f"async {name}", title, "async_burst", "async", async_runners, options, slow=_SLOW))
    return found


def _paced_task(name: str, streams: int, every_ms: int, size: int, runners: tuple[str, ...], **more: Any) -> Task:
    options: dict[str, Any] = {"streams": streams, "every_ms": every_ms, "size": size}
    how = "TLS, " if more.get("tls") else ""
    if (loop := more.pop("loop", "")) != "":
        options["loop"] = loop
        how += f"{loop}, "
    title = f"Async, {how}{streams:,} streams, a chunk every {every_ms:,} ms each"
    return Task(name, title, "paced", "async", runners, options, metric="steady_cpu_us", **more)


def _paced(quick: bool) -> list[Task]:
    """Up to 2,000 streams, on asyncio's own loop; 100 on uvloop and over TLS as well."""
    few = ("floor", "httpx-aiohttp", "llmclients")
    # openai too in a full run
    thousand = ("floor", "httpx-aiohttp", "llmclients", *(() if quick else ("openai",)))
    size, size_500, size_2000 = (40, 7, 4) if quick else (60, 12, 4)
    aside = _SLOW | {"httpx-aiohttp", "openai"}
    most = {"max_rounds": 2} if quick else {}
    return [
        _paced_task("paced 100", 100, 40, size, ("floor", "protocol", *_ASYNC[1:]), slow=_SLOW, **most),
        _paced_task("paced 100 uvloop", 100, 40, size, _FEW, slow=aside, loop="uvloop", **most),
        _paced_task("paced 100 tls", 100, 40, size, _FEW, slow=aside, tls=True, **most),
        _paced_task("paced 500", 500, 200, size_500, few, max_rounds=2),
        _paced_task("paced 1000", 1000, 200, 15, thousand, slow=aside, fresh=True, max_rounds=2 if quick else 3),
        _paced_task("paced 2000", 2000, 800, size_2000, few, slow=aside, fresh=True, max_rounds=2 if quick else 3),
    ]


def _many(quick: bool) -> list[Task]:
    """Thousands of streams on a core, on uvloop."""
    size_4000, size_8000 = (15, 4) if quick else (18, 6)
    both = ("protocol", "llmclients")
    rounds_4000, rounds_8000, rounds_tls = (2, 1, 1) if quick else (5, 3, 2)
    return [
        _paced_task("paced 4000 uvloop", 4000, 200, size_4000, both, loop="uvloop", fresh=True, max_rounds=rounds_4000),
        _paced_task(
            "paced 2000 uvloop tls",  # not more: all handshakes must be over before the first stream ends
            2000,
            400,
            size_4000,
            both,
            loop="uvloop",
            fresh=True,
            tls=True,
            max_rounds=rounds_tls,
        ),
        _paced_task(
            "paced 8000 uvloop", 8000, 1000, size_8000, both, loop="uvloop", fresh=True, max_rounds=rounds_8000
        ),
    ]


def _calls(quick: bool) -> list[Task]:
    chat = {"requests": 100 if quick else 1000, "seconds": 0.3 if quick else 1.0}
    first = {"requests": 20 if quick else 200}
    extra = ("any-llm-function",)
    in_flight = {**chat, "in_flight": 50, "requests": chat["requests"] * 3}
    first_sync = ("floor", "requests", "httpx", "llmclients", "openai")
    first_async = ("floor", "httpx", "httpx-aiohttp", "llmclients", "openai")
    everyone = ("floor", "protocol", *_ASYNC[1:], *extra)
    return [
        Task("sync chat", "Sync chat, one after the other", "sync_chat", "sync", _SYNC + extra, chat, slow=_SLOW),
        Task("async chat", "Async chat, 50 in flight", "async_chat", "async", everyone, in_flight, slow=_SLOW),
        Task("async chat tls", "Async chat, TLS, 50 in flight", "async_chat", "async", _FEW, in_flight, tls=True),
        Task("sync first", "Sync, the first chunk", "sync_first_chunk", "sync", first_sync, first, "ms", slow=_SLOW),
        Task(
            "async first", "Async, the first chunk", "async_first_chunk", "async", first_async, first, "ms", slow=_SLOW
        ),
    ]


def _rows(quick: bool) -> list[Task]:
    options = {"rows": 2000 if quick else 6000, "in_flight": 200, "delay_ms": 50}
    title = "200 in flight, each answer after 50 ms"
    runners = ("aiohttp", "llmclients", "llmclients-bulk", "openai", "litellm")
    return [Task("bulk 200", title, "bulk_rows", "async", runners, options, slow=_SLOW | {"openai"})]


def _imports() -> list[Task]:
    return [
        Task(
            "import",
            "Import, and the first call of the first five",
            "import",
            "",
            IMPORTS,
            {},
            "ms",
            slow=frozenset({"any-llm", "litellm"}),
        ),
        Task(
            "start tls",
            "The first answer over TLS of a process that has had one without",
            "import",
            "",
            STARTS,
            {},
            "call_ms",
            tls=True,
        ),
    ]


def _without_peer(quick: bool) -> list[Task]:
    runners, max_rounds = ("llmclients",), 1 if quick else 2
    found: list[Task] = []
    for codec in codecs():
        for per_read in (1, 64) if codec in EVENT_CODECS else (1,):
            options = {"codec": codec, "size": 2000, "per_read": per_read, "seconds": 0.1 if quick else 0.5}
            title = f"`{codec}`, {per_read} in a read"
            found.append(
                Task(f"decoder {codec} {per_read}", title, "decoder", "", runners, options, "chunks_per_s", max_rounds)
            )
    messages, chunks = 10_000, 300_000 if quick else 1_000_000
    title = f"A turn of a conversation of {messages:,} messages"
    found.append(
        Task("conversation", title, "long_conversation", "", runners, {"messages": messages}, "ms", max_rounds)
    )
    title = f"An answer of {chunks:,} chunks"
    found.append(
        Task("answer", title, "long_answer", "", runners, {"chunks": chunks}, "cpu_us", max_rounds, fresh=True)
    )
    return found
