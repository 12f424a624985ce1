"""`Results`: the measurements of a run by task, runner and round, their medians and ratios, as a JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "Results"]

RESULTS = Path(__file__).parent / "results"


@dataclass
class Results:
    """A run of the benchmark.

    Attributes:
        samples: task, runner, round (as text: these are JSON's names), metric.
        errors: task, runner.
        distributions: by runner, how many an installation of its library brings, itself included.
        others_share: the part of the cores' time that went to other processes; None where the system does not tell.
    """

    quick: bool
    date: str
    rounds: int
    machine: dict[str, Any]
    versions: dict[str, dict[str, str]]
    titles: dict[str, str]
    options: dict[str, dict[str, Any]]
    metrics: dict[str, str]
    others_share: float | None = None
    distributions: dict[str, int] = field(default_factory=dict)
    samples: dict[str, dict[str, dict[str, dict[str, float]]]] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, task: str, runner: str, number: int, numbers: dict[str, float]) -> None:
        """Keep a measurement."""
        rounded = {name: float(f"{value:.5g}") for name, value in numbers.items()}
        self.samples.setdefault(task, {}).setdefault(runner, {})[str(number)] = rounded

    def fail(self, task: str, runner: str, reason: str) -> None:
        """Keep why there is none."""
        self.errors.setdefault(task, {})[runner] = reason

    def has_failed(self, task: str, runner: str) -> bool:
        """Whether it has in an earlier round."""
        return runner in self.errors.get(task, {})

    def failed(self) -> Iterator[tuple[tuple[str, str], str]]:
        """All that failed, with their reasons."""
        for task, reasons in self.errors.items():
            for runner, reason in reasons.items():
                yield (task, runner), reason

    def runners(self, task: str) -> list[str]:
        """Those that were measured, in the plan's order."""
        return list(self.samples.get(task, {}))

    def values(self, task: str, runner: str, metric: str) -> dict[str, float]:
        """By round."""
        rounds = self.samples.get(task, {}).get(runner, {})
        return {number: numbers[metric] for number, numbers in rounds.items() if metric in numbers}

    def median(self, task: str, runner: str, metric: str) -> float | None:
        """None where nothing was measured."""
        values = self.values(task, runner, metric)
        return statistics.median(values.values()) if values else None

    def compare(
        self, task: str, metric: str, *, runner: str = "llmclients", to: str, minus: bool = False
    ) -> float | None:
        """The median over the rounds of a runner's value divided by another's; with `minus`, of the differences.

        Round by round, because what disturbs a round disturbs both.
        """
        values, others = self.values(task, runner, metric), self.values(task, to, metric)
        both = [(values[number], others[number]) for number in values if number in others]
        return statistics.median(a - b if minus else a / b for a, b in both) if both else None

    def save(self) -> Path:
        """Write the file."""
        path = RESULTS / ("quick.json" if self.quick else "full.json")
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read it."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
