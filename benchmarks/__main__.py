"""`python -m benchmarks`: every task for every runner, the numbers kept, the page written. QUICK=1 for a small run."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone

from tqdm import tqdm

from benchmarks import page
from benchmarks.bar import judge
from benchmarks.distributions import distributions
from benchmarks.imports import load
from benchmarks.machine import OthersMeter, describe
from benchmarks.plan import Task, rounds, tasks
from benchmarks.processes import Addresses, RunnerFailedError, Server, Workers
from benchmarks.results import Results
from benchmarks.versions import versions


def main() -> int:
    """Run, write, and say what the bar says."""
    quick = os.environ.get("QUICK", "") not in ("", "0")
    plan, others = tasks(quick), OthersMeter()
    results = Results(
        quick=quick,
        date=datetime.now(timezone.utc).date().isoformat(),
        rounds=rounds(quick),
        machine=describe(),
        versions=versions(),
        distributions=distributions(),
        titles={task.name: task.title for task in plan},
        options={task.name: task.options for task in plan},
        metrics={task.name: task.metric for task in plan},
    )
    with Server() as server, Workers() as workers:
        _run(plan, results, server, workers)
    results.others_share = others.share()
    path = results.save()
    written = page.write(path)
    lines = [
        f"numbers: benchmarks/results/{path.name}; page: {', '.join(written)}",
        *(f"{v.outcome:>10}  {v.number}. {v.line}: {v.value} (the bar: {v.bar})" for v in judge(results)),
        *(f"{task}, {runner}: {reason}" for (task, runner), reason in results.failed()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _run(plan: list[Task], results: Results, server: Addresses, workers: Workers) -> None:
    jobs = [
        (task, runner, number)
        for number in range(results.rounds)
        for task in plan
        # Every other round the other way round: what drifts strikes all alike.
        for runner in (task.runners if number % 2 == 0 else task.runners[::-1])
        if task.round_has(runner, number)
    ]
    bar = tqdm(jobs, unit="run", dynamic_ncols=True, smoothing=0)
    for task, runner, number in bar:
        if results.has_failed(task.name, runner):
            continue  # it will again, and slowly
        bar.set_description(f"{task.name}, {runner}")
        try:
            results.add(task.name, runner, number, _measure(task, runner, server, workers))
        except RunnerFailedError as error:
            results.fail(task.name, runner, str(error))


def _measure(task: Task, runner: str, server: Addresses, workers: Workers) -> dict[str, float]:
    address = server.of(tls=task.tls)
    if task.function == "import":
        return load(runner, address, server.plain if task.tls else "")
    job = {"function": task.function, "side": task.side, "server": address, "options": task.options}
    return workers.do(runner, job, fresh=task.fresh)


if __name__ == "__main__":
    sys.exit(main())
