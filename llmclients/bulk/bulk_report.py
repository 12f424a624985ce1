"""`BulkReport`: what became of a run, in numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llmclients.bulk.stats import Prices, Stats, cost_text
from llmclients.types.usage import Usage

__all__ = ["BulkReport"]


@dataclass(frozen=True, repr=False)
class BulkReport:
    """What became of a run of `bulk`. Counts, times and tokens are of this run, without what it found done.

    Attributes:
        out: the output's path.
        journal: the journal's path.
        rows: all rows of the output.
        answered: rows of the output that have an answer.
        failed: rows of the output that have an error.
        kept: rows that an earlier run had done.
        cached: rows that were answered from another journal, without asking.
        asked: rows that were asked.
        attempts: requests, those that were tried again included.
        errors: how many rows of this run ended in each class of error.
        usage: the tokens, as far as the provider told them; None if it told none.
        cost: what they cost, if the prices were given.
        seconds: how long it took.
        damaged: lines of the journal that could not be read: their rows were asked again.
        stopped: whether a signal had it end before the input did.
    """

    out: str
    journal: str
    rows: int
    answered: int
    failed: int
    kept: int
    cached: int
    asked: int
    attempts: int
    errors: Mapping[str, int]
    usage: Usage | None
    cost: float | None
    seconds: float
    damaged: int
    stopped: bool
    stats: Stats = field(compare=False)

    @classmethod
    def of_run(
        cls, out: str, journal: str, stats: Stats, *, failed: int, rows: int, seconds: float, prices: Prices | None,
        damaged: int, stopped: bool,
    ) -> BulkReport:  # fmt: skip
        """The report of a run with these counts."""
        return cls(
            out=out,
            journal=journal,
            rows=rows,
            answered=rows - failed,
            failed=failed,
            kept=stats.kept,
            cached=stats.cached,
            asked=stats.asked,
            attempts=stats.attempts,
            errors=dict(sorted(stats.errors.items(), key=lambda entry: -entry[1])),
            usage=stats.usage,
            cost=stats.cost(prices),
            seconds=seconds,
            damaged=damaged,
            stopped=stopped,
            stats=stats,
        )

    @property
    def ok(self) -> bool:
        """Whether every row of the output has an answer."""
        return not self.failed

    @property
    def rows_per_second(self) -> float:
        """Rows of this run, a second."""
        return self.stats.finished / self.seconds if self.seconds else 0.0

    def latency(self, share: float = 0.5) -> float | None:
        """Seconds within which this share of the rows that were asked was done; None if none was."""
        return self.stats.latency(share)

    def __str__(self) -> str:
        parts = [f"{self.rows:,} rows in {self.out}: {self.answered:,} answered, {self.failed:,} failed"]
        parts += [f"{count:,} {what}" for count, what in ((self.kept, "kept"), (self.cached, "from a cache")) if count]
        if self.asked:
            parts.append(f"{self.asked:,} asked in {self.seconds:,.1f} s ({self.rows_per_second:,.0f} rows/s)")
            parts.append(f"latency {self.latency(0.5):.3g} s, {self.latency(0.99):.3g} s at p99")
        if self.usage is not None:
            parts.append(f"{self.usage.input_tokens:,}+{self.usage.output_tokens:,} tokens")
        if self.cost is not None:
            parts.append(f"cost {cost_text(self.cost)}")
        if self.errors:
            parts.append("errors: " + ", ".join(f"{name} {count:,}" for name, count in self.errors.items()))
        if self.failed and not self.stopped:
            parts.append("retry_failed asks those that failed again")
        if self.damaged:
            parts.append(f"{self.damaged:,} damaged lines in the journal")
        if self.stopped:
            parts.append("stopped before the end")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"BulkReport({str(self)!r})"

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write it as one page with plots, which needs nothing from outside.

        Raises:
            OSError: it cannot be written.
        """
        from llmclients.bulk.html_page import html_page

        Path(path).write_text(html_page(self), encoding="utf-8")
