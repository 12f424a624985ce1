"""Runs the fault table and writes what came of it as Markdown: `python -m tests.faults.summary > FILE`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from itertools import groupby

from .expect import ANY, MODELS, RAW_TEXT, TEXT, Case, cases_of
from .harness import Bench, Outcome
from .positions import POSITION_ROWS
from .statuses import EVERY_STATUS_ROWS, REDIRECT_ROWS, RETRY_ROWS, STATUS_ROWS
from .table import EVENT_ROWS, TRANSPORT_ROWS
from .test_faults import check_attempts, check_error, check_released

SECTIONS = (
    ("On the way", TRANSPORT_ROWS),
    ("Errors inside a 200, and streams without their end", EVENT_ROWS),
    ("Error statuses", STATUS_ROWS),
    ("Redirects", REDIRECT_ROWS),
    ("How long to wait", RETRY_ROWS),
)
COUNTED = (
    ("Every status from 400 to 599 with every kind of body", EVERY_STATUS_ROWS),
    ("Every position of an event's and a reply's JSON with every other type", POSITION_ROWS),
)

Cell = tuple[str, str, str]


class Results:
    """What each case came to."""

    def __init__(self) -> None:
        self.cells: dict[str, Cell] = {}
        self.failed: list[str] = []
        self.seconds = 0.0

    def run(self, cases: Iterable[Case]) -> None:
        bench = Bench()
        start = time.monotonic()
        try:
            for case in cases:
                outcome = bench.run(case)
                self.cells[case.id] = cell(case, outcome)
                try:
                    check_error(case, outcome)
                    check_attempts(case, outcome)
                    check_released(outcome)
                except AssertionError:
                    self.failed.append(case.id)
        finally:
            bench.close()
            self.seconds += time.monotonic() - start


def cell(case: Case, outcome: Outcome) -> Cell:
    """What the caller is told, after how many attempts, with what of the answer."""
    error = outcome.error
    if error is None:
        told = (
            "the answer" if outcome.text == TEXT else "what came, as an answer" if outcome.text else "an empty answer"
        )
        return (told, str(outcome.exchanges), "–")
    details = [str(value) for name in ("phase", "status_code") if (value := getattr(error, name, None)) is not None]
    told = f"`{type(error).__name__}`" + (f" ({', '.join(details)})" if details else "")
    partial = None if error.partial is None else error.partial.text
    kept = "as much as came" if case.expect.partial == ANY else "–" if partial is None else f"“{partial}”"
    return told, str(outcome.exchanges), kept


def lines(results: Results, cases: list[Case]) -> list[str]:
    """One line for each fault and each group of providers that fare alike."""
    found = []
    for name, group in groupby(cases, key=lambda case: case.row.name):
        by_provider: dict[str, dict[tuple[str, str], Cell]] = {}
        for case in group:
            by_provider.setdefault(case.provider, {})[case.side, case.mode] = results.cells[case.id]
        alike: dict[tuple[tuple[tuple[str, str], Cell], ...], list[str]] = {}
        for provider, fates in by_provider.items():
            alike.setdefault(tuple(sorted(fates.items())), []).append(provider)
        for fates, providers in alike.items():
            found += _lines_of(name, providers, dict(fates))
    return found


def _lines_of(name: str, providers: list[str], fates: dict[tuple[str, str], Cell]) -> list[str]:
    sides = ("sync", "async")
    modes = [mode for mode in ("chat", "stream") if any((side, mode) in fates for side in sides)]
    same = all(fates.get(("sync", mode)) == fates.get(("async", mode)) for mode in modes)
    found = []
    for side in ("sync",) if same else sides:
        chat, stream = (fates.get((side, mode), ("", "", "")) for mode in ("chat", "stream"))
        cells = [name, _names(providers), "sync and async" if same else side, *chat, *stream]
        found.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
    return found


def _names(providers: list[str]) -> str:
    if len(providers) == len(MODELS):
        return "all"
    if tuple(providers) == RAW_TEXT:
        return "raw text"
    return ", ".join(sorted(providers, key=list(MODELS).index))


def counted(results: Results, cases: list[Case]) -> list[str]:
    """How often each outcome came."""
    counts: dict[str, int] = {}
    for case in cases:
        told = results.cells[case.id][0]
        counts[told.partition(" (")[0]] = counts.get(told.partition(" (")[0], 0) + 1
    return [f"| {told} | {count} |" for told, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


HEADER = (
    "| fault | providers | client | `chat` | attempts | partial | `stream` | attempts | partial |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def render() -> tuple[str, Results]:
    results = Results()
    page: list[str] = []
    total = 0
    for title, rows in SECTIONS:
        cases = cases_of(rows)
        total += len(cases)
        results.run(cases)
        page += ["", f"### {title}", "", f"{len(cases)} cases.", "", *HEADER, *lines(results, cases)]
    for title, rows in COUNTED:
        cases = cases_of(rows)
        total += len(cases)
        results.run(cases)
        page += ["", f"### {title}", "", f"{len(cases)} cases.", "", "| told | cases |", "| --- | --- |"]
        page += counted(results, cases)
    right = total - len(results.failed)
    head = (
        f"{right} of {total} cases came out as the table says, in {results.seconds:.0f} s: the exact error and its fields, "
        "the attempts that the server saw, the partial answer, no connection and no file descriptor left. "
        "The policy had two attempts; where silence is the fault, mostly one. “Raw text” is "
        f"{', '.join(RAW_TEXT)}, whose answers have no frame of their own: what their wire cannot show, no client can see."
    )
    return "\n".join([head, *page, ""]), results


if __name__ == "__main__":
    text, results = render()
    print(text)
    for name in results.failed:
        print(f"not as the table says: {name}", file=sys.stderr)
    sys.exit(bool(results.failed))
