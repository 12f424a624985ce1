"""The figures of `docs/bulk.md` and `docs/bulk-on-dask.md`: `python tests/bulk/figures.py` writes them.

They are of what the long runs have left in `results`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results"
PAGE = ROOT / "docs" / "bulk.md"
DASK_PAGE = ROOT / "docs" / "bulk-on-dask.md"
IMAGE = ROOT / "docs" / "images" / "bulk-memory.svg"
_BEGIN, _END = "<!-- figures: python tests/bulk/figures.py -->", "<!-- end of the figures -->"


def keep(name: str, result: dict[str, Any], *, whole: bool) -> None:
    """Print a result; keep it, if it is of a whole run that went well."""
    print(json.dumps({key: value for key, value in result.items() if key != "memory"}, indent=1))
    if whole:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result) + "\n", encoding="utf-8")


def figures() -> str:
    """The section between the two marks."""
    many, kills = (json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in ("many_rows", "kills"))
    rows = [
        (
            f"{many['rows']:,} rows, answers of 225 characters",
            f"resident memory {many['begin_mib']} MiB at a hundredth of them, {many['end_mib']} at the end, "
            f"{max(many['highest_mib'], many['end_mib'])} at most; {many['first_half_us']} µs of CPU a row in the first half, "
            f"{many['second_half_us']} in the second",
            many["command"],
        ),
        (
            f"{kills['rows']:,} rows, 200 in flight, killed {kills['kills']} times by SIGKILL",
            f"{kills['lost']} rows lost, {kills['double']} double lines; {kills['asked_again'] / kills['kills']:.0f} "
            "rows asked again for each kill",
            kills["command"],
        ),
    ]
    lines = ["| run | found | command |", "| --- | --- | --- |"]
    lines += [f"| {run} | {found} | `{command}` |" for run, found, command in rows]
    return "\n".join([*lines, "", "![Resident memory by rows](images/bulk-memory.svg)"])


def dask_figures(found: dict[str, Any]) -> str:
    """The section of the page about Dask."""
    killed, rates = found["killed"], found["rates"]
    rows = [
        (
            f"{found['rows']:,} rows, two workers, one of them killed by SIGKILL every {found['every']:g} seconds",
            f"{killed['kills']} kills in {killed['seconds']:.0f} s: {killed['lost']} rows lost, {killed['double']} double "
            f"lines; {killed['asked_again'] / killed['kills']:.0f} rows asked again for each kill, of a shard's "
            f"{killed['shard_rows']:,}",
        ),
        (
            f"{rates['rows']:,} rows, each of whose answers takes a worker {rates['check_ms']:g} ms of CPU to check",
            f"one worker {rates['one']:.0f} rows/s, two {rates['two']:.0f}: {rates['ratio']:.2f} times as many",
        ),
    ]
    lines = ["| run | found |", "| --- | --- |", *(f"| {run} | {what} |" for run, what in rows)]
    return "\n".join([*lines, "", f"The command: `{found['command']}`, on a machine with two cores."])


def plot(points: list[list[float]]) -> str:
    """Memory by rows, from zero."""
    width, height, left, bottom = 720, 200, 56, 26
    most_rows, most = points[-1][0], 160.0
    path = " ".join(
        f"{left + (width - left - 8) * rows / most_rows:.1f},{height - bottom - (height - bottom - 8) * mib / most:.1f}"
        for rows, mib in points
    )
    marks = []
    for mib in (0, 50, 100, 150):
        y = height - bottom - (height - bottom - 8) * mib / most
        marks.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - 8}" y2="{y:.1f}" stroke="#ccd"/>')
        marks.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mib} MiB</text>')
    for share in (0, 0.5, 1):
        x = left + (width - left - 8) * share
        anchor = {0: "start", 1: "end"}.get(share, "middle")
        marks.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{most_rows * share:,.0f} rows</text>')
    body = "\n".join(marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11" fill="#667">\n<rect width="{width}" height="{height}" fill="#fff"/>\n{body}\n'
        f'<polyline points="{path}" fill="none" stroke="#3b6fb6" stroke-width="2"/>\n</svg>\n'
    )


def replace_section(page: Path, section: str) -> None:
    """Write it between the two marks."""
    text = page.read_text("utf-8")
    whole = f"{_BEGIN}\n\n{section}\n\n{_END}"
    page.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: whole, text, flags=re.DOTALL), encoding="utf-8")


def main() -> None:
    """Write the pages' sections and the image."""
    many = json.loads((RESULTS / "many_rows.json").read_text("utf-8"))
    IMAGE.write_text(plot(many["memory"]), encoding="utf-8")
    replace_section(PAGE, figures())
    workers = RESULTS / "workers.json"
    if workers.exists():
        replace_section(DASK_PAGE, dask_figures(json.loads(workers.read_text("utf-8"))))


if __name__ == "__main__":
    main()
