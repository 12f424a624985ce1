"""The machine: what it is, which core the server and the runners have, what a process uses and may use."""

from __future__ import annotations

import os
import platform
import resource
import time
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "RUNNER_CORE",
    "SERVER_CORE",
    "OthersMeter",
    "allow_many_files",
    "describe",
    "pin",
    "resident_bytes",
    "version_of",
]

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, RUNNER_CORE = _CORES[0], _CORES[-1]


def pin(core: int) -> None:
    """Keep this process, and those it starts, on one core."""
    os.sched_setaffinity(0, {core})


def allow_many_files() -> None:
    """Raise the limit of open files to the highest: thousands of streams are thousands of sockets."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def resident_bytes(*, highest: bool = False) -> int:
    """This process's resident memory. getrusage's maximum would be the parent's, where that was larger."""
    name = "VmHWM:" if highest else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


class OthersMeter:
    """How much of the cores' time, since it was made, went to processes that the benchmark did not start."""

    def __init__(self) -> None:
        self._wall, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def share(self) -> float | None:
        """Asked when the benchmark's own processes have ended; None where the system does not tell."""
        if not self._busy:
            return None
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return round(max(0.0, others / (time.monotonic() - self._wall) / (os.cpu_count() or 1)), 3)


def _busy_seconds() -> float:
    line = next(iter(_lines("stat")), "")
    user, nice, system, _idle, _wait, *rest = [int(ticks) for ticks in line.split()[1:]] or [0] * 5
    return (user + nice + system + sum(rest[:2])) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def version_of(distribution: str) -> str | None:
    """The installed version, if it is installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """What a reader needs to compare: no names, no paths."""
    cpu = next((line.split(":", 1)[1].strip() for line in _lines("cpuinfo") if line.startswith("model name")), "")
    memory = next((int(line.split()[1]) for line in _lines("meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cores": len(_CORES),
        "cpu": cpu or platform.machine(),
        "memory_gib": round(memory / 1024**2, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cores_of_its_own": SERVER_CORE != RUNNER_CORE,
    }


def _lines(name: str) -> list[str]:
    path = Path("/proc") / name
    return path.read_text().splitlines() if path.exists() else []
