"""The images of the page: beside what is used, and CPU time per chunk by runner and by the number of streams."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks import answer
from benchmarks.processes import ROOT
from benchmarks.results import Results
from benchmarks.runners import RUNNERS

__all__ = ["draw"]

_IMAGES = ROOT / "docs" / "images"
_OURS, _OTHERS = "#c0392b", "#7f8c9a"
_PEERS = ("#7f8c9a", "#2e86c1", "#27ae60", "#8e44ad")
_BARS = {"sync burst 1": "cpu_us", "paced 100": "steady_cpu_us", "async chat": "cpu_us"}
_UNITS = {"async chat": "CPU µs per chat"}
_BARE = ("floor", "protocol")
_CURVE = ("paced 100", "paced 500", "paced 2000")
"""The tasks with equally many chunks a second in all: only the number of streams differs."""

mpl.use("Agg")


def draw(results: Results) -> dict[str, Path]:
    """The images' titles and files."""
    _IMAGES.mkdir(exist_ok=True)
    return {
        "How many times what llmclients takes": _beside(results, _IMAGES / "benchmark-answer.png"),
        "CPU by library": _by_runner(results, _IMAGES / "benchmark-runners.png"),
        "CPU per chunk against the number of streams": _by_streams(results, _IMAGES / "benchmark-streams.png"),
    }


def _beside(results: Results, path: Path) -> Path:
    """A line for each question, and on it a point for each peer."""
    rows = answer.rows(results)[::-1]
    figure, place = plt.subplots(figsize=(9, 3.2), layout="constrained")
    place.axvline(1, color=_OURS, linewidth=2.5)
    place.annotate(
        "llmclients", (1, 1), (4, 3), xycoords=("data", "axes fraction"), textcoords="offset points", color=_OURS
    )
    for peer, colour in zip(answer.PEERS, _PEERS, strict=True):
        points = [(times, line) for line, row in enumerate(rows) if (times := row.times[peer]) is not None]
        place.scatter(*zip(*points, strict=True), color=colour, s=60, label=peer, zorder=3)
    for line, row in enumerate(rows):
        for peer in row.at_least:
            if (times := row.times[peer]) is not None:
                place.annotate("or more", (times, line), (6, -3), textcoords="offset points", fontsize=7)
    place.set_yticks(range(len(rows)), [row.title.rpartition(", ")[0] for row in rows])
    place.set_ylim(-0.6, len(rows) - 0.4)
    place.set_xscale("log")
    place.set_xlabel("how many times what llmclients takes: of CPU, in the last line of time; logarithmic")
    place.xaxis.set_major_formatter("{x:g} ×")
    place.xaxis.set_minor_formatter("")
    place.grid(axis="y", linewidth=0.5)
    place.spines[["top", "right", "left"]].set_visible(False)
    place.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return _save(figure, path)


def _by_runner(results: Results, path: Path) -> Path:
    figure, places = plt.subplots(1, len(_BARS), figsize=(13, 4), layout="constrained")
    for place, (task, metric) in zip(places, _BARS.items(), strict=True):
        # What nobody programs with is in the tables only.
        runners = [runner for runner in results.runners(task) if runner not in _BARE][::-1]
        values = [results.median(task, runner, metric) or 0.0 for runner in runners]
        colours = [_OURS if runner == "llmclients" else _OTHERS for runner in runners]
        bars = place.barh([RUNNERS[runner].label for runner in runners], values, color=colours)
        place.bar_label(
            bars, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", padding=3, fontsize=8
        )
        place.set_title(results.titles.get(task, task).replace(", ", ",\n"), fontsize=9)
        place.set_xlabel(f"{_UNITS.get(task, 'CPU µs per chunk')}, logarithmic")
        place.set_xscale("log")
        place.set_xlim(1, max(values, default=1.0) * 4)
        place.xaxis.set_major_formatter("{x:,.0f}")
        place.xaxis.set_minor_formatter("")
        place.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def _by_streams(results: Results, path: Path) -> Path:
    figure, place = plt.subplots(figsize=(7, 4), layout="constrained")
    for runner in results.runners(_CURVE[-1]):
        points = [
            (int(results.options[task]["streams"]), value)
            for task in _CURVE
            if (value := results.median(task, runner, "steady_cpu_us")) is not None
        ]
        style = {"color": _OURS, "linewidth": 2.5} if runner == "llmclients" else {"linewidth": 1.2}
        place.plot(*zip(*points, strict=True), marker="o", label=RUNNERS[runner].label, **style)
    place.set_xlabel("streams at a time, 2,500 chunks a second in all")
    place.set_ylabel("CPU µs per chunk")
    place.set_ylim(bottom=0)
    place.legend(frameon=False)
    place.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> Path:
    # Without metadata, the same numbers are the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path
