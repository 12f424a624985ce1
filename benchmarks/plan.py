"""The plan: which tasks are measured, of what size, and how often. A quick run has fewer and smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.decoding import EVENT_CODECS, codecs
from benchmarks.imports import LOADS

__all__ = ["Task", "rounds", "tasks"]

_SYNC = ("floor", "requests", "httpx", "llmclients", "openai", "any-llm", "litellm")
_ASYNC = ("floor", "httpx", "httpx-aiohttp", "llmclients", "openai", "openai-aiohttp", "any-llm", "litellm")
# What a quick run measures once: they are slow, and the bar asks for other peers in nearly every line.
_ONCE = frozenset({"httpx", "openai-aiohttp", "any-llm", "any-llm-function", "litellm"})


@dataclass(frozen=True)
class Task:
    """A workload with its numbers, for some runners.

    Attributes:
        metric: the one that the tables put first.
        max_rounds: the rounds that it takes part in at most; few for what takes long.
        once: the runners that have one round only.
        fresh: whether each run needs a process that has done nothing before.
    """

    name: str
    title: str
    function: str
    side: str
    runners: tuple[str, ...]
    options: dict[str, Any]
    metric: str = "cpu_us"
    max_rounds: int = 100
    once: frozenset[str] = field(default_factory=frozenset)
    fresh: bool = False

    def round_has(self, runner: str, number: int) -> bool:
        """Whether the runner takes part in this round."""
        return number < self.max_rounds and (not number or runner not in self.once)


def rounds(quick: bool) -> int:
    """How many runs the medians are of."""
    return 3 if quick else 5


def tasks(quick: bool) -> list[Task]:
    """All tasks, in the page's order."""
    once = _ONCE if quick else frozenset()
    return [*_bursts(quick, once), *_paced(quick, once), *_calls(quick, once), *_imports(quick), *_without_peer(quick)]


def _bursts(quick: bool, once: frozenset[str]) -> list[Task]:
    # Of one size in either run: what a stream costs to open is part of the cost per chunk.
    size, async_size, seconds = 1000, 500, 0.15 if quick else 1.0
    found: list[Task] = []
    for per_chunk in (1, 64):
        left_out = once if per_chunk > 1 else frozenset[str]()
        sync_runners, async_runners = (tuple(r for r in runners if r not in left_out) for runners in (_SYNC, _ASYNC))
        events = f"{per_chunk} event{'s' * (per_chunk > 1)} in an HTTP chunk"
        options = {"per_chunk": per_chunk, "seconds": seconds}
        name = f"burst {per_chunk}"
        title = f"Sync, bursts of {size:,} chunks, {events}"
        found.append(
            Task(f"sync {name}", title, "sync_burst", "sync", sync_runners, {"size": size, **options}, once=once)
        )
        title = f"Async, 20 bursts of {async_size} chunks at a time, {events}"
        options |= {"size": async_size, "streams": 20}
        found.append(Task(f"async {name}", title, "async_burst", "async", async_runners, options, once=once))
    return found


def _paced(quick: bool, once: frozenset[str]) -> list[Task]:
    few = ("floor", "httpx-aiohttp", "llmclients")
    many = (*few, "openai") if not quick else few
    slow = frozenset({"httpx-aiohttp"}) if quick else frozenset[str]()
    # Name, streams, milliseconds between a stream's chunks, chunks of a stream in a full and in a quick run.
    plan = [
        ("paced 100", 100, 40, 250, 40, _ASYNC, once, False),
        ("paced 500", 500, 200, 50, 7, few, once, False),
        ("paced 1000", 1000, 200, 50, 15, many, slow, True),
        ("paced 2000", 2000, 800, 13, 4, few, slow, True),
    ]
    return [
        Task(
            name,
            f"Async, {streams:,} streams, a chunk every {every} ms each",
            "paced",
            "async",
            runners,
            {"streams": streams, "every_ms": every, "size": quick_size if quick else size},
            metric="steady_cpu_us",
            max_rounds=2 if quick else 100,
            once=single,
            fresh=fresh,
        )
        for name, streams, every, size, quick_size, runners, single, fresh in plan
    ]


def _calls(quick: bool, once: frozenset[str]) -> list[Task]:
    chat = {"requests": 100 if quick else 1000, "seconds": 0.3 if quick else 3.0}
    first = {"requests": 20 if quick else 200}
    extra = ("any-llm-function",)
    in_flight = {**chat, "in_flight": 50, "requests": chat["requests"] * 3}
    first_sync = ("floor", "requests", "httpx", "llmclients", "openai")
    first_async = ("floor", "httpx", "httpx-aiohttp", "llmclients", "openai")
    return [
        Task("sync chat", "Sync chat, one after the other", "sync_chat", "sync", _SYNC + extra, chat, once=once),
        Task("async chat", "Async chat, 50 in flight", "async_chat", "async", _ASYNC + extra, in_flight, once=once),
        Task("sync first", "Sync, the first chunk", "sync_first_chunk", "sync", first_sync, first, "ms", once=once),
        Task(
            "async first", "Async, the first chunk", "async_first_chunk", "async", first_async, first, "ms", once=once
        ),
    ]


def _imports(quick: bool) -> list[Task]:
    once = frozenset({"any-llm", "litellm"}) if quick else frozenset[str]()
    title = "Import, and the first call of the first five"
    return [Task("import", title, "import", "", tuple(LOADS), {}, "ms", once=once)]


def _without_peer(quick: bool) -> list[Task]:
    runners, max_rounds = ("llmclients",), 1 if quick else 100
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
