"""What a user asks of the benchmark: how fast it is beside what they use. Five rows, for a table and a plot."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Results

__all__ = ["PEERS", "Row", "rows"]

PEERS = ("by hand", "openai", "any-llm", "litellm")
"""What is used besides llmclients, in the table's order."""

_ASYNC, _SYNC, _BARE_IMPORT = "httpx-aiohttp", "requests", "requests + pydantic"
_CPU = (
    ("a streamed chunk, 100 streams at a time, CPU µs", "paced 100", "steady_cpu_us", _ASYNC),
    ("a streamed chunk, one stream at full speed, CPU µs", "sync burst 1", "cpu_us", _SYNC),
    ("a chat, 50 in flight, CPU µs", "async chat", "cpu_us", _ASYNC),
    ("a chat, one after the other, CPU µs", "sync chat", "cpu_us", _SYNC),
)
"""The title, the task and its metric, and who does it by hand there."""


@dataclass(frozen=True)
class Row:
    """One question, and what was measured.

    Attributes:
        ours: llmclients' own number.
        theirs: by peer, its number; None: it was not measured.
        times: by peer, how many times llmclients' own that is; None: it was not measured.
        at_least: the peers whose number is not the whole of it.
        is_cpu: whether it is CPU time, and not what a clock on the wall shows.
    """

    title: str
    ours: float | None
    theirs: dict[str, float | None]
    times: dict[str, float | None]
    at_least: frozenset[str] = frozenset()
    is_cpu: bool = True


def rows(results: Results) -> list[Row]:
    """The five, in the table's order."""
    found = []
    for title, task, metric, by_hand in _CPU:
        runners = dict(zip(PEERS, (by_hand, *PEERS[1:]), strict=True))
        found.append(
            Row(
                title,
                results.median(task, "llmclients", metric),
                {peer: results.median(task, runner, metric) for peer, runner in runners.items()},
                {
                    peer: results.compare(task, metric, runner=runner, to="llmclients")
                    for peer, runner in runners.items()
                },
            )
        )
    ours = "llmclients Client"
    runners = dict(zip(PEERS, (_BARE_IMPORT, *PEERS[1:]), strict=True))
    found.append(
        Row(
            "from the import to the first answer, wall ms",
            results.median("import", ours, "ms"),
            {peer: results.median("import", runner, "ms") for peer, runner in runners.items()},
            {peer: results.compare("import", "ms", runner=runner, to=ours) for peer, runner in runners.items()},
            frozenset({"any-llm", "litellm"}),
            is_cpu=False,
        )
    )
    return found
