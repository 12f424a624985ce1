"""Runs of `bulk` on Dask workers that are killed, and how much two workers do of what one does.

`python tests/bulk/workers.py ROWS SECONDS` is the long form, for a machine that does nothing else: a worker is killed
every so many seconds while ROWS rows are asked; then a twentieth of them by one worker, and by two. It prints what it found.

The scheduler, each worker, the server and the caller are processes of their own. On two cores, the second part can only
be right while all but the workers cost little: so each answer is checked by a type that takes 4 ms of CPU to do it,
which is the workers' work, beside some tenth of a millisecond a row of all others together.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from figures import keep
from kills import bulk_arguments, journaled, serving, write_rows
from pydantic import BaseModel, field_validator

from llmclients import Client
from llmclients.cli.main import main as main_of_llmclients

CHECK_SECONDS = 0.004
SHARD = 5  # times `concurrency`, in rows
WORKERS = {"OPENAI_API_KEY": "k", "NO_PROXY": "*", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}


class Checked(BaseModel):
    """An answer that takes its time to be checked."""

    text: str

    @field_validator("text")
    @classmethod
    def _check(cls, text: str) -> str:
        until = time.thread_time() + CHECK_SECONDS
        while time.thread_time() < until:
            pass
        return text


# `distributed` is loaded where it is used: half a second, which a process that only collects the tests need not spend.


async def _serve_scheduler(port: int, told: Connection) -> None:
    import distributed

    status = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # not 8787, which others may have
    async with distributed.Scheduler(host="127.0.0.1", port=port, **status) as scheduler:
        told.send(scheduler.address)
        await scheduler.finished()


async def _serve_worker(address: str, folder: str) -> None:
    import distributed

    async with distributed.Worker(address, nthreads=1, host="127.0.0.1", local_directory=folder) as worker:
        await worker.finished()


def _run(serve: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    asyncio.run(serve(*arguments))


def _call(arguments: list[str], errors: str) -> None:
    with Path(errors).open("w", encoding="utf-8") as sys.stderr:
        sys.exit(main_of_llmclients(arguments))


class Cluster:
    """A scheduler and workers without nannies, so that who is killed stays so.

    They, and callers, are forked from a process that has loaded what they need: who is to be killed is soon there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.environ |= WORKERS
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["distributed", "llmclients.bulk.cluster", "llmclients.client", "workers"])
        self._processes: list[Any] = []
        self.workers: list[Any] = []
        self.start_scheduler(0)

    def _start(self, *arguments: Any) -> Any:
        return self._start_process(_run, *arguments)

    def _start_process(self, target: Callable[..., None], *arguments: Any) -> Any:
        process = self._context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        return process

    def start_scheduler(self, port: int) -> None:
        """A scheduler; port 0 for any."""
        ours, theirs = self._context.Pipe(duplex=False)
        self.scheduler = self._start(_serve_scheduler, port, theirs)
        theirs.close()
        self.address: str = ours.recv()
        ours.close()

    def start_worker(self) -> None:
        """One more, with one thread."""
        self.workers.append(self._start(_serve_worker, self.address, str(self._folder / "dask")))

    def call(self, arguments: list[str], errors: Path) -> Any:
        """The command, begun, with this cluster; what it says of errors is in a file."""
        return self._start_process(_call, [*arguments, "--cluster", self.address], str(errors))

    def kill_worker(self, rng: random.Random) -> None:
        """SIGKILL for one of them, and a new one in its place."""
        worker = self.workers.pop(rng.randrange(len(self.workers)))
        worker.kill()
        worker.join()
        self.start_worker()

    def kill_all(self) -> None:
        """SIGKILL for the scheduler, which its workers do not outlive; and new ones at the same address."""
        count = len(self.workers)
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.join()
        self.workers.clear()
        self.start_scheduler(int(self.address.rpartition(":")[2]))
        for _ in range(count):
            self.start_worker()

    def close(self) -> None:
        """End all of them."""
        for process in reversed(self._processes):
            process.kill()
            process.join()
            process.close()


@contextmanager
def cluster_of(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster with so many workers, while it runs."""
    cluster = Cluster(folder)
    try:
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()


def finished(out: Path) -> int:
    """About how many rows are finished, in the run's journal and in its shards'."""
    shards = 0
    for path in Path(f"{out}.shards").glob("*.journal"):
        try:
            shards += path.read_bytes().count(b"\n") - 1
        except OSError:
            continue
    return journaled(out) + shards


def killed_workers(
    folder: Path,
    rows: int,
    *,
    seconds: float,
    concurrency: int,
    delay_ms: float,
    seed: int,
    kills: int | None = None,
    all_others: bool = False,
) -> dict[str, Any]:
    """Kill a worker every so many seconds of a run of two, until so many are; compare.

    With `all_others`, the caller is killed after a third of the rows, and the scheduler after two.
    """
    rng, killed = random.Random(seed), 0
    others = ["caller", "scheduler"] if all_others else []
    source, out, errors = folder / "in.jsonl", folder / "out.jsonl", folder / "errors"
    write_rows(source, rows)
    with serving(delay_ms) as server, cluster_of(folder, 2) as cluster:
        arguments = bulk_arguments(server, source, out, concurrency)
        run = cluster.call(arguments, errors)
        while not finished(out):
            assert run.is_alive(), errors.read_text(encoding="utf-8")
            time.sleep(0.02)
        began = last = time.monotonic()
        while run.is_alive():
            time.sleep(0.02)
            if time.monotonic() - last >= seconds and killed != kills:
                cluster.kill_worker(rng)
                killed, last = killed + 1, time.monotonic()
            if others and finished(out) > rows * (3 - len(others)) / 3:
                if others.pop(0) == "caller":
                    run.kill()
                    run.join()
                    run = cluster.call(arguments, errors)
                else:
                    cluster.kill_all()
        run.join()
        code = run.exitcode
        took = time.monotonic() - began
        counts = server.counts()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    ids = [line["id"] for line in lines]
    asked = counts["asked"]
    return {
        "code": code,
        "errors": errors.read_text(encoding="utf-8"),
        "kills": killed,
        "others_left": others,
        "seconds": round(took, 1),
        "lost": rows - len(set(ids)),
        "double": len(ids) - len(set(ids)),
        "in_order": ids == [f"r{number}" for number in range(rows)],
        "wrong": sum(line["text"] != f"ROW {line['id'][1:]}" for line in lines),
        "asked_again": sum(asked.values()) - rows,
        "left": [path.name for path in folder.iterdir() if path.name.startswith("out.jsonl.s")],
        "shard_rows": SHARD * concurrency,
        "allowed": (killed + (2 + 2 if all_others else 0)) * SHARD * concurrency,
    }


def rates(folder: Path, rows: int) -> dict[str, Any]:
    """Rows a second of one worker, and of two, when the workers' CPU is the bound."""
    found: dict[str, Any] = {"rows": rows, "check_ms": CHECK_SECONDS * 1000}
    with serving(20, "json") as server, cluster_of(folder, 1) as cluster:
        for number, name in enumerate(("one", "two")):
            if number:
                cluster.start_worker()
            with Client("openai/m", base_url=server.url) as client:
                for run, count in (("warm", 400), ("run", rows)):
                    if run == "run" and number:
                        _wait_for(cluster, 2)
                    prompts = [f"row {index}" for index in range(count)]
                    report = client.bulk(
                        prompts,
                        folder / f"{name}-{run}.jsonl",
                        cluster=cluster.address,
                        concurrency=50,
                        response_format=Checked,
                        progress=False,
                    )
                    assert report.answered == count, report
            found[name] = round(report.rows_per_second, 1)
    found["ratio"] = round(found["two"] / found["one"], 3)
    return found


def _wait_for(cluster: Cluster, workers: int) -> None:
    import distributed

    with distributed.Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)


def main() -> int:
    rows, seconds = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        killed = killed_workers(Path(folder), rows, seconds=seconds, concurrency=200, delay_ms=50, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        rated = rates(Path(folder), rows // 20)
    good = killed["code"] == 0 and killed["kills"] and killed["in_order"] and killed["asked_again"] <= killed["allowed"]
    good = bool(good and not (killed["lost"] or killed["double"] or killed["wrong"]) and rated["ratio"] >= 1.8)
    line = f"python tests/bulk/workers.py {rows} {seconds:g}"
    result = {"command": line, "rows": rows, "every": seconds, "killed": killed, "rates": rated}
    keep("workers", result, whole=good and killed["kills"] >= 5)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
