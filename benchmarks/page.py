"""docs/benchmarks.md and its images, from a run's numbers: `python -m benchmarks.page benchmarks/results/full.json`."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import answer, plots
from benchmarks.bar import judge
from benchmarks.how import HOW
from benchmarks.processes import ROOT
from benchmarks.results import Results
from benchmarks.runners import RUNNERS

__all__ = ["write"]

_PAGE = ROOT / "docs" / "benchmarks.md"
_QUIET = 0.05  # of the cores' time
_CPU = {"cpu_us": "CPU µs"}
_COLUMNS = {
    "burst": {**_CPU, "wall_us": "wall µs"},
    "paced": {
        "steady_cpu_us": "CPU µs",
        "cpu_us": "with the set-up",
        "wall_s": "wall s",
        "late_p99_ms": "late at p99, ms",
        "resident_mb": "resident MB",
        "kb_per_stream": "KB a stream",
    },
    "chat": {**_CPU, "wall_us": "wall µs"},
    "bulk": {**_CPU, "rows_per_s": "rows/s"},
    "first": {"ms": "ms"},
    "import": {"ms": "ms", "import_ms": "the import alone"},
    "start": {"call_ms": "ms"},
}
_OURS = {"import": "llmclients Client", "start tls": "llmclients Client", "bulk 200": "llmclients-bulk"}


def write(path: Path) -> list[str]:
    """Write the page and the images; their names."""
    results = Results.load(path)
    images = plots.draw(results)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(_page(results, images)))
    _PAGE.write_text(text.rstrip() + "\n", encoding="utf-8")
    return [str(file.relative_to(ROOT)) for file in (_PAGE, *images.values())]


def _page(results: Results, images: dict[str, Path]) -> Iterator[str]:
    command = "make bench QUICK=1" if results.quick else "make bench"
    yield from ("# Benchmarks", "", f"<!-- Written by `{command}`; not by hand. -->", "")
    answer_image, runners_image, streams_image = images.items()
    yield from _answer(results, answer_image)
    yield from ("", "## The machine", "", _machine(results, command), "", "## CPU by library")
    yield from _plot(*runners_image)
    for workload, heading in (("burst", "Bursts"), ("paced", "Paced streams")):
        yield from ("", f"## {heading}", "")
        yield from _tasks(results, workload, "per chunk")
    yield from _plot(*streams_image)
    yield from ("", "## Whole answers", "")
    yield from _tasks(results, "chat", "per request")
    yield from ("", "## Many rows", "")
    yield from _tasks(
        results, "bulk", "per row; `bulk` reads a file and writes a journal and a file, the others keep nothing"
    )
    yield from ("", "## The first chunk, the first answer, and the import", "")
    yield from _tasks(results, "first", "from the call to the first text")
    yield from _tasks(results, "start", "wall time")
    yield from _tasks(results, "import", "wall time")
    yield from ("", "## Without a peer", "")
    yield from _without_peer(results)
    yield from ("", HOW, "## Versions", "")
    rows = ([_label(name), ", ".join(f"{p} {v}" for p, v in found.items())] for name, found in results.versions.items())
    yield from _table(["runner", "versions"], rows)
    if results.errors:
        yield from ("", "## What could not be measured", "")
        failed = ([results.titles[task], _label(runner), reason] for (task, runner), reason in results.failed())
        yield from _table(["workload", "runner", "reason"], failed)
    yield from _bar(results)


def _answer(results: Results, image: tuple[str, Path]) -> Iterator[str]:
    """A user's question first: in a sentence, a plot, and five rows."""
    rows = answer.rows(results)
    cpu = {peer: [row.times[peer] for row in rows if row.is_cpu] for peer in answer.PEERS}
    spans = {peer: _span([times for times in found if times is not None]) for peer, found in cpu.items()}
    hand, first, *others = (f"{peer} {span}" for peer, span in spans.items() if span)
    first = first.replace(" ", " takes ", 1)
    yield from textwrap.wrap(
        "**How fast is it, beside what you use?** For chunks and for chats, where llmclients takes a second of CPU, "
        f"{', '.join([first, *others])}; a loop {hand}, with requests or aiohttp. What a model takes to think is not "
        "in it: you notice the difference in a service with many streams, and when a script starts.",
        120,
    )
    yield from _plot(*image)
    yield ""
    table = ([row.title, _number(row.ours), *(_theirs(row, peer) for peer in answer.PEERS)] for row in rows)
    yield from _table(["", "llmclients", *answer.PEERS], table)
    yield ""
    counts = ", ".join(
        f"{_label(runner)} {count}" for runner, count in results.distributions.items() if runner != "llmclients"
    )
    yield from textwrap.wrap(
        "In brackets: how many times llmclients' own. By hand: httpx over aiohttp's connections with `aiter_lines` and "
        "json where it is asynchronous, requests with `iter_lines` and json where it is not; other loops are in the "
        "tables below. "
        + (f"An installation brings {results.distributions['llmclients']} distributions; {counts}." if counts else ""),
        120,
    )


def _span(times: list[float]) -> str:
    """From the least to the most: `2.7 to 27`."""
    return f"{_ratio(min(times))} to {_ratio(max(times))}" if times else ""


def _theirs(row: answer.Row, peer: str) -> str:
    value, times = _number(row.theirs[peer]), row.times[peer]
    if peer in row.at_least:
        return f"over {value}"
    return value if times is None else f"{value} ({_ratio(times)} ×)"


def _ratio(times: float) -> str:
    return f"{times:.0f}" if times >= 10 else f"{times:.1f}"


def _bar(results: Results) -> Iterator[str]:
    yield from ("", "## The bar", "")
    yield from textwrap.wrap(
        "What llmclients asks of itself. Each line is a ratio of llmclients to another, or a limit of its own. The "
        "floor's own is what a bare socket and a C parser come to in its place: where that is at the bar, the bar is "
        "as much as the machine can do. Lines 10 to 17 came later, with the transports, line 18 with `bulk`; where "
        "they name what a line above names as well, they are tighter.",
        120,
    )
    yield ""
    rows = ([str(v.number), v.line, v.value, v.bar, v.outcome, v.floor] for v in judge(results))
    yield from _table(["", "line", "measured", "the bar", "outcome", "the floor's own"], rows)


def _plot(title: str, path: Path) -> Iterator[str]:
    yield from ("", f"![{title}](images/{path.name})")


def _machine(results: Results, command: str) -> str:
    machine, share = results.machine, results.others_share
    cores = "The server and the runners have a core each." if machine["cores_of_its_own"] else "All share one core."
    first = (
        f"`{command}`, {results.date}: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']:g} GiB of "
        f"memory, {machine['system']}, {machine['python']}. {cores} Numbers are medians of {results.rounds} runs, "
        "of fewer for the slowest"
    )
    first += ": a quick run, rough. The bar asks for five." if results.quick else "."
    paragraphs = [first]
    if share is not None and share > _QUIET:
        paragraphs.append(
            f"**The machine was shared while measuring:** other work ran beside, and took {share:.0%} of the cores' "
            "time."
        )
    return "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in paragraphs)


def _tasks(results: Results, workload: str, per: str) -> Iterator[str]:
    for task in results.samples:
        if workload not in task.split():
            continue
        found = {
            metric for runner in results.samples[task].values() for numbers in runner.values() for metric in numbers
        }
        names = {column: head for column, head in _COLUMNS[workload].items() if column in found}
        metric = results.metrics[task]
        yield from (f"{results.titles[task]}, {per}:", "")
        ours = {"llmclients Client": "`Client` is", "llmclients-bulk": "`bulk` is"}.get(_OURS.get(task, ""))
        yield from _table(
            ["runner", *names.values(), ours or "llmclients is"], _rows(results, task, metric, list(names))
        )
        yield ""


def _rows(results: Results, task: str, metric: str, columns: list[str]) -> Iterator[list[str]]:
    for runner in results.runners(task):
        values = [_number(results.median(task, runner, column)) for column in columns]
        ours = _OURS.get(task, "llmclients")
        ratio = results.compare(task, metric, runner=ours, to=runner)
        yield [_label(runner), *values, "" if ratio is None or runner == ours else f"{ratio:.2f} ×"]


def _without_peer(results: Results) -> Iterator[str]:
    rows = (
        [
            results.titles[task],
            f"{results.median(task, 'llmclients', 'chunks_per_s') or 0:,.0f}",
            _number(results.median(task, "llmclients", "mb_per_s")),
        ]
        for task in results.samples
        if task.startswith("decoder ")
    )
    yield from _table(["decoder", "chunks/s", "MB/s"], rows)

    def ours(task: str, metric: str) -> str:
        return _number(results.median(task, "llmclients", metric))

    if "conversation" in results.samples:
        yield ""
        yield (
            f"{results.titles['conversation']}, sent and saved: {ours('conversation', 'ms')} ms of CPU; "
            f"of half as many: {ours('conversation', 'half_ms')} ms."
        )
    if "answer" in results.samples:
        yield ""
        yield (
            f"{results.titles['answer']}: {ours('answer', 'cpu_us')} µs of CPU per chunk, {ours('answer', 'growth')} "
            f"of twice the time of half as many; {ours('answer', 'memory_per_text')} times the memory of its "
            f"{ours('answer', 'text_mb')} MB of text."
        )


def _label(runner: str) -> str:
    return RUNNERS[runner].label if runner in RUNNERS else runner


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(write(Path(sys.argv[1]))) + "\n")
