"""The soak itself: the phases, what the process holds meanwhile, and whether that stays flat."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

from .load import FAULTS, run_async, run_sync, tasks

ROOT = Path(__file__).parents[2]
CHATS, STREAMS = 100_000, 10_000
THREADS, TASKS = 8, 64
GROWTH = {"rss_mib": 6.0, "descriptors": 8.0, "threads": 1.0}
"""The most that the mean of a phase's last third may be above the mean of its first third."""

LIVE_OBJECTS = 1_000
"""The most Python objects that may be left of a phase. What the allocator keeps for later is in `rss_mib` only."""

_ENOUGH = 15  # samples of a phase, to speak of thirds


@contextmanager
def server() -> Iterator[str]:
    """The server's address, while it runs in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.server"]
    path = str(ROOT if __package__ == "tests.soak" else ROOT / "tests")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([path, str(ROOT)])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def holdings() -> dict[str, float]:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "rss_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,  # without the one that lists them
        "threads": threading.active_count(),
    }


def at_rest() -> dict[str, float]:
    """The same between two phases, and how many Python objects there are."""
    gc.collect()
    return {**{name: round(value, 2) for name, value in holdings().items()}, "objects": len(gc.get_objects())}


class Sampler(threading.Thread):
    """Looks at the process every so often, and says how far the phase is."""

    def __init__(self, label: str, interval: float, quiet: bool) -> None:
        super().__init__(daemon=True)
        self.samples: list[dict[str, float]] = []
        self.done = 0
        self._label = label
        self._interval = interval
        self._quiet = quiet
        self._over = threading.Event()

    def counted(self, todo: Iterator[Any]) -> Iterator[Any]:
        """The same calls, counted as they are taken."""
        for task in todo:
            self.done += 1
            yield task

    def run(self) -> None:
        start = told = time.monotonic()
        while not self._over.wait(self._interval):
            now = time.monotonic()
            self.samples.append({"second": now - start, **holdings()})
            if not self._quiet and now - told >= 5:
                told = now
                held = ", ".join(f"{name} {value:.0f}" for name, value in self.samples[-1].items())
                print(f"{self._label}: {self.done} calls; {held}", flush=True)

    def stop(self) -> None:
        self._over.set()
        self.join()


def thirds(samples: list[dict[str, float]]) -> dict[str, dict[str, float]] | None:
    """Means of the first and the last third, without the first tenth, in which pools and caches fill."""
    settled = samples[len(samples) // 10 :]
    if len(settled) < _ENOUGH:
        return None
    size = len(settled) // 3
    return {
        name: {
            "first_third": round(mean(sample[name] for sample in settled[:size]), 2),
            "last_third": round(mean(sample[name] for sample in settled[-size:]), 2),
            "most": round(max(sample[name] for sample in settled), 2),
        }
        for name in GROWTH
    }


def soak(scale: float = 1.0, *, quiet: bool = False) -> dict[str, Any]:
    """Run it. The result has, for each phase, what came of its calls, and what the process held."""
    phases = []
    with server() as url:
        for side, run, width in (("sync", run_sync, THREADS), ("async", run_async, TASKS)):
            for kind, total in (("chats", CHATS), ("streams", STREAMS)):
                count = max(round(total * scale / 2), 20)
                run(tasks(kind, 40), url, width, kind == "streams")  # what is loaded once is loaded now
                before = at_rest()
                sampler = Sampler(f"{side} {kind}", 0.5 if kind == "chats" else 0.15, quiet)
                sampler.start()
                start = time.monotonic()
                tally = run(sampler.counted(tasks(kind, count)), url, width, kind == "streams")
                seconds = time.monotonic() - start
                sampler.stop()
                phases.append(
                    {
                        "side": side,
                        "kind": kind,
                        "calls": count,
                        "at_a_time": width,
                        "seconds": round(seconds, 1),
                        "characters_verified": tally.characters,
                        "outcomes": dict(sorted(tally.outcomes.items())),
                        "wrong": tally.wrong,
                        "thirds": thirds(sampler.samples),
                        "before": before,
                        "after": at_rest(),
                    }
                )
    return {"scale": scale, "faults": FAULTS, "allowed_growth": GROWTH, "phases": phases}


def complaints(result: dict[str, Any]) -> list[str]:
    """What is not as it must be: calls that came out wrong, and what grew."""
    found = []
    for phase in result["phases"]:
        label = f"{phase['side']} {phase['kind']}"
        found += [f"{label}: {wrong}" for wrong in phase["wrong"]]
        if sum(phase["outcomes"].values()) != phase["calls"]:
            found.append(f"{label}: {phase['calls']} calls, but {phase['outcomes']}")
        for name, most in GROWTH.items():
            if phase["thirds"] is not None:
                held = phase["thirds"][name]
                if held["last_third"] - held["first_third"] > most:
                    found.append(f"{label}: {name} grew from {held['first_third']} to {held['last_third']}")
            if name != "rss_mib" and phase["after"][name] > phase["before"][name]:
                found.append(f"{label}: {name} stayed above the start: {phase['before']} {phase['after']}")
        objects = phase["after"]["objects"] - phase["before"]["objects"]
        if objects > LIVE_OBJECTS:
            found.append(f"{label}: {objects} more Python objects than before")
    return found
