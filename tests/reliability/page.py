"""The page, made from the stored results alone: the same results make the same page, on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RESULTS", "page"]

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

_INTRODUCTION = """\
# Reliability

<!-- Written by `make reliability` from the files in tests/reliability/results; not by hand. -->

What was measured, and the command that measured it. Everything here talks to servers on the same machine, over its
loopback address. `make test` replays all of it on a small scale: a two-hundredth of the soak, every input that the fuzzer
ever found, random courses of calls and decoders against models of what they may do, and the whole fault table.
"""


def page(results: Path = RESULTS) -> str:
    """The whole page; a section for each result that is there."""
    parts = [_INTRODUCTION]
    for name, section in (("soak", _soak), ("relay", _relay), ("fuzz", _fuzz), ("faults", _faults)):
        path = results / f"{name}.json"
        if path.exists():
            parts.append(section(json.loads(path.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def _measured(result: dict[str, Any], more: str = "") -> str:
    return (
        f"`{result['command']}`, {result['date']}: {result['cores']} cores, {result['memory_gib']} GiB of memory, "
        f"{result['system']}, Python {result['python']}{more}.\n"
    )


def _table(head: list[str], rows: list[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def _soak(result: dict[str, Any]) -> str:
    phases = result["phases"]
    totals = {kind: sum(phase["calls"] for phase in phases if phase["kind"] == kind) for kind in ("chats", "streams")}
    rows = [
        [
            phase["side"],
            phase["kind"],
            f"{phase['calls']:,}",
            phase["at_a_time"],
            f"{phase['seconds']:g} s",
            f"{phase['outcomes']['whole']:,}",
            f"{phase['outcomes'].get('whole after a retry', 0):,}",
            f"{_failed(phase):,}",
            f"{phase['characters_verified']:,}",
            len(phase["wrong"]),
        ]
        for phase in phases
    ]
    calls = _table(
        ["client", "calls", "how many", "at a time", "took", "whole", "after a retry", "failed", "characters", "wrong"],
        rows,
    )
    errors = sorted({name for phase in phases for name in phase["outcomes"]} - {"whole", "whole after a retry"})
    failures = _table(
        ["error", *(f"{phase['side']} {phase['kind']}" for phase in phases)],
        [[f"`{name}`", *(f"{phase['outcomes'].get(name, 0):,}" for phase in phases)] for name in errors],
    )
    held = _table(
        ["client", "calls", "resident MiB", "descriptors", "threads", "Python objects before, after"],
        [[phase["side"], phase["kind"], *_held(phase)] for phase in phases],
    )
    growth = result["allowed_growth"]
    return f"""\
## Soak

{_measured(result)}
{totals["chats"]:,} chats and {totals["streams"]:,} streams, half through each client, against a server in another process
that spoils {result["faults"]:.0%} of them: resets and ends before and inside an answer, 503 and 429 with a time to wait,
400, bodies and events that do not parse, HTML, errors inside a 200, streams without their end mark, silence. Every text
that came was compared with the one that was sent, character by character; every failure had to be the exact class of the
error table. Some faults strike only the first attempt, and the client has to mend them: a stream by starting again.

{calls}
{failures}
What the process held: the mean of each phase's first third and last third, without the first tenth. The run fails where
the last third is above the first by more than {growth["rss_mib"]:g} MiB, {growth["descriptors"]:g} descriptors or
{growth["threads"]:g} thread, and where a phase leaves a descriptor, a thread or a thousand Python objects behind.

{held}"""


def _failed(phase: dict[str, Any]) -> int:
    whole: int = phase["outcomes"]["whole"] + phase["outcomes"].get("whole after a retry", 0)
    return int(phase["calls"]) - whole


def _held(phase: dict[str, Any]) -> list[str]:
    thirds = phase["thirds"]
    names = ("rss_mib", "descriptors", "threads")
    means = [f"{thirds[name]['first_third']:g} → {thirds[name]['last_third']:g}" if thirds else "–" for name in names]
    return [*means, f"{phase['before']['objects']:,} → {phase['after']['objects']:,}"]


def _relay(result: dict[str, Any]) -> str:
    delays, ended, limits = result["delay_ms"], result["upstream_ended_ms"], result["limits"]
    even = [f"{result['same_work'][percent]:g}" for percent in ("p50", "p90", "p99")]
    ways = {
        "direct": "straight",
        "uvicorn": "from a bare uvicorn",
        "relay": "through the relay",
        "beside": "straight, a few more meanwhile",
    }
    delay = _table(
        ["from the provider to its client", "median", "p99"],
        [[way, f"{delays[name]['p50']:g} ms", f"{delays[name]['p99']:g} ms"] for name, way in ways.items()],
    )
    growth = limits["growth"]
    held = _table(
        ["the relay holds", "first third", "last third", "more than that is a failure"],
        [[name, *(f"{mean:g}" for mean in result["thirds"][name]), f"{growth[name]:g} more"] for name in growth],
    )
    return f"""\
## The relay under load

{_measured(result)}
{result["streams"]} streams at once through a relay, a chunk each 100 ms, for {result["seconds"] / 60:g} minutes:
{result["chunks"]:,} chunks, {result["outcomes"]["whole"]:,} whole streams, and {result["outcomes"]["left"]:,} whose client left in
mid-answer. The provider, the relay and the clients are three processes on this machine. How evenly it worked: the same few
lines of Python took {even[0]} times the shortest time (median), {even[1]} (p90), {even[2]} (p99).

{delay}
So the relay adds {result["added_p99_ms"]:g} ms, its p99 against the median of the straight way ({limits["added_p99_ms"]:g} are
allowed), and takes {result["cpu_ratio"]:g} times the CPU of our own client and a bare uvicorn together
({limits["cpu_ratio"]:g}). When a client left, the provider's stream had ended after {ended["p50"]:g} ms (median),
{ended["p99"]:g} ms (p99; {limits["late_p99_ms"]:g}), {ended["most"]:g} ms at the most.

{held}
Descriptors and tasks are those beyond what the open streams need."""


def _fuzz(result: dict[str, Any]) -> str:
    targets = result["targets"]
    rows = [
        [
            f"`{name}`",
            f"{target['executions']:,}",
            f"{target['executions_per_second']:,}",
            target["edges_covered"] if target["edges_covered"] is not None else "–",
            len(target["crashes"]),
        ]
        for name, target in targets.items()
    ]
    table = _table(["target", "executions", "per second", "edges covered", "failures"], rows)
    executions = sum(target["executions"] for target in targets.values())
    failures = sum(len(target["crashes"]) for target in targets.values())
    return f"""\
## Fuzzing

{_measured(result, f", atheris {result['atheris']}")}
{result["seconds_each"]} seconds for each of {len(targets)} targets, {executions:,} executions, {failures} failures. The
search begins with the recordings in `tests/wire`. What must hold is in `tests/fuzz/targets.py`: bytes come to the same
however they are cut — the same text, the same error, at the same end —, nothing but an `APIError` comes out of a decoder,
an error body never breaks the error, and no URL or header of the caller's slips through or shows its password.

{table}"""


def _faults(result: dict[str, Any]) -> str:
    return f"""\
## Fault table

{_measured(result)}
{result["markdown"]}"""
