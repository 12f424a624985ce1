"""`python -m benchmarks.where`: where a paced chunk's CPU time goes, in the kernel and out of it."""

from __future__ import annotations

import cProfile
import pstats
import resource
import sys
from functools import partial

from benchmarks.machine import RUNNER_CORE, allow_many_files, pin
from benchmarks.processes import Server
from benchmarks.runners import load
from benchmarks.workloads import paced

STREAMS, EVERY_MS, CHUNKS = 100, 40, 250


def main() -> None:
    """One line for each runner, then what the profiler says of ours: its numbers are shares, itself being slow."""
    with Server() as server:
        pin(RUNNER_CORE)
        allow_many_files()
        for runner in ("floor", "protocol", "llmclients") * 2:
            run = partial(paced, load(runner, "async"), server.plain, streams=STREAMS, every_ms=EVERY_MS, size=CHUNKS)
            before = resource.getrusage(resource.RUSAGE_SELF)
            run()
            after = resource.getrusage(resource.RUSAGE_SELF)
            system, user = after.ru_stime - before.ru_stime, after.ru_utime - before.ru_utime
            per_chunk = 1e6 / (STREAMS * CHUNKS)
            sys.stdout.write(f"{runner}: {user * per_chunk:.1f} µs, and {system * per_chunk:.1f} in the kernel\n")
        profile = cProfile.Profile()
        profile.runcall(run)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(16)


if __name__ == "__main__":
    main()
