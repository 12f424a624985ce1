"""Ctrl-C at every tenth of a second of the local model's start, beside busy processes: what is left, and how soon.

`python -m tests.local.interrupts` tries it 30 times, `--tries` and `--busy` change it. Exit status 1: something was.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EXIT_WITHIN = 1.0  # seconds

PROGRAMS = {
    "sync": """
from llmclients import Client
client = Client()
print("now", flush=True)
client.chat("Hello!", max_tokens=1500, extra={"ignore_eos": True})
""",
    "async": """
import asyncio
from llmclients import AsyncClient
async def main():
    async with AsyncClient() as client:
        print("now", flush=True)
        await client.chat("Hello!", max_tokens=1500, extra={"ignore_eos": True})
asyncio.run(main())
""",
}
"""Each says when it starts the engine. It then has enough to do until it is interrupted."""


class Outcome(NamedTuple):
    """What became of a program that was interrupted.

    Attributes:
        after: seconds from the engine's start to the signal.
        had_engine: whether a process of the engine was there by then.
        took: seconds from the signal to its end.
        left: processes of the engine that were there half a second later at the latest.
    """

    after: float
    had_engine: bool
    took: float
    left: list[int]

    @property
    def is_clean(self) -> bool:
        return self.took <= EXIT_WITHIN and not self.left


def interrupt(program: str, after: float, sent: signal.Signals = signal.SIGINT) -> Outcome:
    """Run a program, and send its group a signal so long after it has begun to start the engine."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLMCLIENTS_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"now\n"
        time.sleep(after)
        engines = marked(mark) - {running.pid}
        start = time.monotonic()
        os.killpg(running.pid, sent)  # as a terminal does
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
    took = time.monotonic() - start
    while (left := marked(mark)) and time.monotonic() < start + took + 0.5:
        time.sleep(0.01)
    return Outcome(after, bool(engines), took, sorted(left))


def marked(mark: str) -> set[int]:
    """The processes, zombies not counted, that have this mark in their environment."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"LLMCLIENTS_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:  # somebody else's, or gone
            continue
    return found


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute, for as long as the block runs."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> int:
    """Try it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=30)
    parser.add_argument("--busy", type=int, default=3)
    arguments = parser.parse_args()
    outcomes = []
    with busy_processes(arguments.busy):
        for number in range(arguments.tries):
            name = list(PROGRAMS)[number % len(PROGRAMS)]
            outcome = interrupt(PROGRAMS[name], 0.1 * number)
            outcomes.append(outcome)
            engine = "with" if outcome.had_engine else "without"
            print(
                f"{name:5} after {outcome.after:.1f} s, {engine} an engine: {outcome.took:.2f} s, left {outcome.left}"
            )
    clean = sum(outcome.is_clean for outcome in outcomes)
    print(
        f"{clean} of {len(outcomes)} clean; an engine was there in {sum(outcome.had_engine for outcome in outcomes)}; "
        f"the slowest exit took {max(outcome.took for outcome in outcomes):.2f} s"
    )
    return 0 if clean == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
