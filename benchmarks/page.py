"""docs/benchmarks.md and its images, from a run's numbers: `python -m benchmarks.page benchmarks/results/full.json`."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import plots
from benchmarks.bar import judge
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
    },
    "chat": {**_CPU, "wall_us": "wall µs"},
    "first": {"ms": "ms"},
    "import": {"ms": "ms"},
}

_HOW = """\
## How

`make bench` makes an environment with the peers, and within it one for litellm, which needs an older openai; then it
runs everything and writes this page. `make bench QUICK=1` does so in about two minutes, with fewer and smaller runs.

```sh
make bench
make bench QUICK=1
make bench-micro
python -m benchmarks.page benchmarks/results/full.json
```

`make bench-micro` has the decoders and the accumulator alone, by pytest-benchmark. The last line writes the page anew
from the numbers of a run that is over.

- The server sends prerendered bytes from a process of its own, on a core of its own. Every runner has its own process,
  on the other core, and gets the same bytes; the texts that come out are compared with those that were sent.
- Each library is used as its own documentation says, with a client that is kept where it has one, and is warmed up.
- CPU is the process's own, user and system. A round has every runner once, the next round in the other order; a ratio
  is taken within each round, and the median of the rounds counts.
- One event in an HTTP chunk is what servers send as they generate, and what the bar is about; 64 in one is what a
  proxy makes of them.
- Paced streams: CPU is counted from where all streams have begun to where the first ends; `with the set-up` is all of
  it. Their beginnings are spread over one interval, so that each chunk wakes its reader alone. With 100, 500 and 2,000
  streams, as many chunks a second come in all: 2,500. Resident memory is the process's highest; from 1,000 streams on,
  of a new process.
- The floor is a socket, a search for the events and a C JSON parser; it checks nothing. For a whole answer, it is
  http.client.
- An import is timed in a new process, with a first call, but for any-llm (a client made) and litellm (the import only).
"""


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
    yield from (_introduction(results, command), "", "## The bar", "")
    yield (
        "Each line is a ratio of llmclients to another, or a limit of its own. The floor's own is what a bare socket\n"
        "and a C parser come to in its place: where that is at the bar, the bar is as much as the machine can do."
    )
    yield ""
    rows = ([str(v.number), v.line, v.value, v.bar, v.outcome, v.floor] for v in judge(results))
    yield from _table(["", "line", "measured", "the bar", "outcome", "the floor's own"], rows)
    for workload, heading in (("burst", "Bursts"), ("paced", "Paced streams")):
        yield from ("", f"## {heading}", "")
        yield from _tasks(results, workload, "per chunk")
    yield from _plots(images)
    yield from ("", "## Whole answers", "")
    yield from _tasks(results, "chat", "per request")
    yield from ("", "## The first chunk, and the import", "")
    yield from _tasks(results, "first", "from the call to the first text")
    yield from _tasks(results, "import", "wall time")
    yield from ("", "## Without a peer", "")
    yield from _without_peer(results)
    yield from ("", _HOW, "## Versions", "")
    rows = ([_label(name), ", ".join(f"{p} {v}" for p, v in found.items())] for name, found in results.versions.items())
    yield from _table(["runner", "versions"], rows)
    if results.errors:
        yield from ("", "## What could not be measured", "")
        failed = ([results.titles[task], _label(runner), reason] for (task, runner), reason in results.failed())
        yield from _table(["workload", "runner", "reason"], failed)


def _introduction(results: Results, command: str) -> str:
    machine, share = results.machine, results.others_share
    cores = "The server and the runners have a core each." if machine["cores_of_its_own"] else "All share one core."
    first = (
        f"`{command}`, {results.date}: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']:g} GiB of "
        f"memory, {machine['system']}, {machine['python']}. {cores} Numbers are medians of {results.rounds} runs"
    )
    first += ", of fewer for the slowest: a quick run, rough. The bar asks for five." if results.quick else "."
    paragraphs = [first]
    if share is not None and share > _QUIET:
        paragraphs.append(
            f"**The machine was shared while measuring:** other work ran beside, and took {share:.0%} of the cores' "
            "time."
        )
    return "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in paragraphs)


def _plots(images: dict[str, Path]) -> Iterator[str]:
    for title, path in images.items():
        yield from ("", f"![{title}](images/{path.name})")


def _tasks(results: Results, workload: str, per: str) -> Iterator[str]:
    for task in results.samples:
        if workload not in task.split():
            continue
        names = _COLUMNS[workload]
        metric = results.metrics[task]
        yield from (f"{results.titles[task]}, {per}:", "")
        ours = "`Client` is" if workload == "import" else "llmclients is"
        yield from _table(["runner", *names.values(), ours], _rows(results, task, metric, list(names)))
        yield ""


def _rows(results: Results, task: str, metric: str, columns: list[str]) -> Iterator[list[str]]:
    for runner in results.runners(task):
        values = [_number(results.median(task, runner, column)) for column in columns]
        ours = "llmclients" if task != "import" else "llmclients Client"
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
