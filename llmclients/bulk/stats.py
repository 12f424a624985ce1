"""`Stats`: what a run has done so far, in counts, a histogram and a time line of a fixed size. Pure."""

# However many rows there are, this stays as it is. Latencies are counted in buckets, each a fifth wider than the one
# before, so a quantile is right to a tenth. The time line has up to 240 slots; when they are full, two become one.

from __future__ import annotations

from math import log
from typing import NamedTuple

from llmclients.types.usage import Usage

__all__ = ["Prices", "Slot", "Stats", "bucket_seconds", "cost_text"]

_SLOTS = 240
_SHORTEST = 0.001  # seconds
_FACTOR = log(1.2)
_BUCKETS = 96  # up to eleven hours


class Prices(NamedTuple):
    """What a million tokens cost, of requests and of answers, in any currency."""

    input: float
    output: float


def cost_text(cost: float) -> str:
    """A cost to read: a few rows are far below the hundredth of anything."""
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.6f}".rstrip("0").rstrip(".")


class Slot:
    """What happened in one span of the time line."""

    __slots__ = ("errors", "input_tokens", "output_tokens", "rows")

    def __init__(self) -> None:
        self.rows = self.errors = self.input_tokens = self.output_tokens = 0

    def add(self, other: Slot) -> None:
        """Take what happened in another span."""
        self.rows += other.rows
        self.errors += other.errors
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens


class Stats:
    """Counts of rows, errors, attempts, tokens.

    Attributes:
        kept: rows that an earlier run has left.
        cached: rows that were answered from another journal.
        answered: rows that were answered.
        failed: rows that ended in an error.
        errors: how many of each class.
        asked: rows that were sent.
        attempts: requests, those that were tried again included.
        slots: the time line, each `slot_seconds` long.
        latencies: how many rows took how long, by bucket; `bucket_seconds` says how long.
    """

    def __init__(self) -> None:
        self.kept = self.cached = self.answered = self.failed = self.asked = self.attempts = 0
        self.errors: dict[str, int] = {}
        self.input_tokens = self.output_tokens = 0
        self._has_usage = False
        self.slots: list[Slot] = []
        self.slot_seconds = 1.0
        self.latencies = [0] * _BUCKETS
        self.longest = 0.0

    @property
    def finished(self) -> int:
        """Rows of this run that have come to an end."""
        return self.answered + self.failed + self.cached

    def add(self, at: float, seconds: float, attempts: int, usage: Usage | None, error: str | None = None) -> None:
        """A row was asked, and is finished.

        Args:
            at: seconds since the run began.
            seconds: how long it took.
            error: the class of its error.
        """
        slot = self._slot(at)
        slot.rows += 1
        self.attempts += attempts
        if error is None:
            self.answered += 1
        else:
            self.failed += 1
            slot.errors += 1
            self.errors[error] = self.errors.get(error, 0) + 1
        if attempts:
            self.asked += 1
            index = int(log(seconds / _SHORTEST) / _FACTOR) + 1 if seconds > _SHORTEST else 0
            self.latencies[min(index, _BUCKETS - 1)] += 1
            if seconds > self.longest:
                self.longest = seconds
        if usage is not None:
            counts = usage.__dict__
            read, written = counts["input_tokens"] or 0, counts["output_tokens"] or 0
            self._has_usage = True
            self.input_tokens += read
            self.output_tokens += written
            slot.input_tokens += read
            slot.output_tokens += written

    def merge(self, other: Stats) -> None:
        """Take what another one has seen whose seconds began at the same time. What it kept is its business."""
        for name in ("cached", "answered", "failed", "asked", "attempts", "input_tokens", "output_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for error, count in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + count
        self._has_usage = self._has_usage or other._has_usage
        for index, slot in enumerate(other.slots):
            if slot.rows:
                self._slot(index * other.slot_seconds).add(slot)
        self.latencies = [mine + others for mine, others in zip(self.latencies, other.latencies, strict=True)]
        self.longest = max(self.longest, other.longest)

    def _slot(self, at: float) -> Slot:
        slots = self.slots
        index = int(at / self.slot_seconds)
        if index >= _SLOTS:
            while index >= _SLOTS:
                for place in range(0, len(slots) - 1, 2):
                    slots[place].add(slots[place + 1])
                del slots[1::2]
                self.slot_seconds *= 2
                index = int(at / self.slot_seconds)
        while len(slots) <= index:
            slots.append(Slot())
        return slots[index]

    @property
    def usage(self) -> Usage | None:
        """The tokens of this run; None if no answer has told any."""
        if not self._has_usage:
            return None
        total = self.input_tokens + self.output_tokens
        return Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens, total_tokens=total)

    def cost(self, prices: Prices | None) -> float | None:
        """What this run has cost, if the prices are known."""
        if prices is None:
            return None
        return (self.input_tokens * prices.input + self.output_tokens * prices.output) / 1e6

    def latency(self, share: float) -> float | None:
        """Seconds within which this share of the rows was done; None if none was asked."""
        total = sum(self.latencies)
        if not total:
            return None
        count = 0
        for index, number in enumerate(self.latencies):
            count += number
            if count >= share * total:
                return min(bucket_seconds(index), self.longest)
        return self.longest


def bucket_seconds(index: int) -> float:
    """The longest that a row of this bucket took."""
    return _SHORTEST * float(1.2**index)
