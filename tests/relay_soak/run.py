"""The soak of the relay: its phases, what the relay's process takes and holds meanwhile, and what is not as it must be.

Four phases have the same streams: from the provider straight to plain clients, which says what delay there is anyhow;
from the provider to our own client, and from a bare uvicorn to plain clients, which together are what a relay has to do
at the least; and through the relay. Meanwhile a few more streams come straight from the provider, through the same two
processes: where their chunks are late, the machine was not idle, or had too few processors, and the rest says little.
What is added to a chunk's delay is the p99 of all chunks through the relay, less the median of those straight from the
provider when the relay did not run: nothing that a busy machine does to both is taken off.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

from llmclients.relay.collector import spare_streams

from .load import Tally, load, run_lightly
from .script import CHUNKS, INTERVAL

ROOT = Path(__file__).parents[2]
STREAMS = 500
BESIDE = 10
WARMUP = CHUNKS * INTERVAL  # seconds until all streams have begun
SECONDS = 1800.0
LEAVING = 0.1
MAX_ADDED_MS = 5.0
MAX_CPU_RATIO = 1.5
MAX_LATE_MS = 100.0
MIN_RATE = 0.95
GROWTH = {"rss_mib": 8.0, "descriptors": 20.0, "tasks": 20.0}
"""The most that the mean of the last third may be above that of the first; the last two without what streams need."""

_PER_STREAM = {"descriptors": 2, "tasks": 3}

PATH = b"/openai/v1/chat/completions"


def raise_descriptors() -> None:
    """As many descriptors as there may be: each stream through the relay needs two of it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def process(*command: str) -> Iterator[tuple[int, str]]:
    """A process of ours and its first line, while it runs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the log, which is written all the same
        text=True,
        cwd=ROOT,
        env=environment,
    ) as running:
        try:
            assert running.stdout is not None
            yield running.pid, running.stdout.readline()
        finally:
            running.kill()


@contextmanager
def relay(upstream: str) -> Iterator[tuple[int, int]]:
    """The relay's process and port."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "relay.toml"
        file.write_text(
            f"default = 'mine'\n[upstreams.mine]\nprovider = 'openai'\nbase_url = '{upstream}/v1'\napi_key = 'none'\n"
            f"[server]\nport = 0\n[server.limits]\nconnections = {4 * STREAMS}\n"
        )
        with process("llmclients", "relay", str(file), "--log", "json") as (pid, line):
            yield pid, int(line.partition(" at http://127.0.0.1:")[2].partition(",")[0])


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metrics(port: int) -> dict[str, float]:
    """What the relay's process holds, as it tells itself."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {
        "rss_mib": float(found["process_resident_memory_bytes"]) / 2**20,
        "descriptors": float(found["process_open_fds"]),
        "tasks": float(found["llmclients_relay_tasks"]),
        "streams": float(found["llmclients_relay_open_streams"]),
    }


async def measured(pid: int, work: Awaitable[Any], seconds: float) -> tuple[Any, float]:
    """What comes of it, and the share of a processor that a process takes in these seconds, without the first ones."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(WARMUP)
    begun, used = time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(max(seconds - WARMUP, 1))
    share = (cpu_seconds(pid) - used) / (time.monotonic() - begun)
    return await task, share


async def sampled(
    port: int, work: Awaitable[Tally], seconds: float, tally: Tally, quiet: bool
) -> tuple[Tally, list[dict[str, float]]]:
    """What comes of it, and what the relay holds in these seconds, with the chunks so far and the time.

    A look takes milliseconds of the relay's loop, so there is none every second of a long run.
    """
    task = asyncio.ensure_future(work)
    end = time.monotonic() + seconds
    await asyncio.sleep(WARMUP)
    samples: list[dict[str, float]] = []
    while time.monotonic() < end:
        held = await asyncio.to_thread(metrics, port)
        samples.append({**held, "chunks": len(tally.delays), "at": time.monotonic()})
        if not quiet and len(samples) % 10 == 0:
            print(" ".join(f"{name} {value:.0f}" for name, value in samples[-1].items()), flush=True)
        await asyncio.sleep(min(max(seconds / 60, 0.5), 5))
    return await task, samples


async def same_work(seconds: float) -> list[float]:
    """How many microseconds the same few lines of Python take, over and over: how evenly the machine works."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        for _ in range(2000):
            pass
        took.append((time.perf_counter() - begun) * 1e6)
        await asyncio.sleep(0.05)
    return took


def rate(samples: list[dict[str, float]]) -> float:
    """Chunks a second. Fewer than are due would make less work, and the CPU that it takes look small."""
    if len(samples) < 2:
        return 0.0
    return (samples[-1]["chunks"] - samples[0]["chunks"]) / (samples[-1]["at"] - samples[0]["at"])


def thirds(samples: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Means of the first and the last third, without the first tenth, in which pools and caches fill."""
    settled = [
        {name: value - _PER_STREAM.get(name, 0) * sample["streams"] for name, value in sample.items()}
        for sample in samples[len(samples) // 10 :]
    ]
    size = len(settled) // 3
    if size < 3:
        return {}
    return {
        name: (round(mean(s[name] for s in settled[:size]), 2), round(mean(s[name] for s in settled[-size:]), 2))
        for name in GROWTH
    }


def soak(seconds: float, width: int = STREAMS, *, quiet: bool = False) -> dict[str, Any]:
    """Run it."""
    raise_descriptors()
    spare_streams()
    return run_lightly(_soak(seconds, width, quiet))


async def _soak(seconds: float, width: int, quiet: bool) -> dict[str, Any]:
    short = min(seconds, 30.0)
    servers = f"{__package__}.servers"
    with process(servers, "upstream") as (_, line):
        port = int(line)
        url = f"http://127.0.0.1:{port}"
        direct = await load(port, width, short)
        with process(servers, "client", url, str(width)) as (pid, _):
            _, client_cpu = await measured(pid, asyncio.sleep(short), short)
        with process(servers, "uvicorn") as (pid, line):
            echoed, uvicorn_cpu = await measured(pid, load(int(line), width, short), short)
        with relay(url) as (pid, relay_port):
            through = Tally()
            work = load(relay_port, width, seconds, PATH, LEAVING, label="relayed", tally=through)
            watched = measured(pid, sampled(relay_port, work, seconds, through, quiet), seconds)
            straight = load(port, BESIDE, seconds, label="beside")
            ((through, samples), relay_cpu), beside, took = await asyncio.gather(watched, straight, same_work(seconds))
            await asyncio.sleep(0.5)
            at_rest = metrics(relay_port)
        seen = json.loads(await asyncio.to_thread(get, f"{url}/"))
    lost, sent = seen["left"], set(seen["sent"])  # all was sent to some before they left
    left = {name: at for name, at in through.left.items() if name not in sent}
    late = [(lost[name] - at) / 1e6 if name in lost else float("inf") for name, at in left.items()]
    return {
        "streams": width,
        "seconds": seconds,
        "chunks": len(through.delays),
        "chunks_per_second": {"due": width / INTERVAL, "relay": round(rate(samples), 1)},
        "outcomes": dict(through.outcomes),
        "delay_ms": {
            name: {"p50": tally.p(50), "p99": tally.p(99)}
            for name, tally in (("direct", direct), ("uvicorn", echoed), ("relay", through), ("beside", beside))
        },
        "same_work": {f"p{percent}": round(_percentile(took, percent) / min(took), 1) for percent in (50, 90, 99)},
        "added_p99_ms": round(through.p(99) - direct.p(50), 2),
        "cpu": {"client": round(client_cpu, 3), "uvicorn": round(uvicorn_cpu, 3), "relay": round(relay_cpu, 3)},
        "cpu_ratio": round(relay_cpu / (client_cpu + uvicorn_cpu), 2) if client_cpu + uvicorn_cpu else 0.0,
        "left": len(late),
        "upstream_ended_ms": {
            "p50": _percentile(late, 50),
            "p99": _percentile(late, 99),
            "most": _percentile(late, 100),
        },
        "thirds": thirds(samples),
        "limits": {
            "added_p99_ms": MAX_ADDED_MS,
            "cpu_ratio": MAX_CPU_RATIO,
            "late_p99_ms": MAX_LATE_MS,
            "growth": GROWTH,
        },
        "at_rest": {name: round(value, 1) for name, value in at_rest.items()},
    }


def get(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as reply:
        data: bytes = reply.read()
        return data


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)], 1) if ordered else 0.0


def complaints(result: dict[str, Any], *, timings: bool = True) -> list[str]:
    """What is not as it must be. `timings`: also what another program on the machine may spoil."""
    found = [
        f"{count} streams: {outcome}"
        for outcome, count in result["outcomes"].items()
        if outcome not in ("whole", "left")
    ]
    if not result["left"] or result["upstream_ended_ms"]["most"] == float("inf"):
        found.append("a client left, and its upstream stream did not end")
    if not result["thirds"] and result["seconds"] >= SECONDS:
        found.append("what the relay holds was not seen")
    for name, (first, last) in result["thirds"].items():
        if last - first > GROWTH[name]:
            found.append(f"{name} grew from {first} to {last}")
    if result["at_rest"]["streams"] or result["at_rest"]["tasks"] > 10:
        found.append(f"something is left at the end: {result['at_rest']}")
    beside = result["delay_ms"]["beside"]["p99"]
    if timings and beside > MAX_ADDED_MS:
        found.append(f"{beside} ms meanwhile without the relay (p99): the machine is busy, so the rest says little")
    limits: list[tuple[str, float, float]] = [
        ("ms are added to a chunk's delay (p99)", result["added_p99_ms"], MAX_ADDED_MS),
        ("times the CPU of our client and a bare uvicorn", result["cpu_ratio"], MAX_CPU_RATIO),
        ("ms until the upstream's stream had ended (p99)", result["upstream_ended_ms"]["p99"], MAX_LATE_MS),
    ]
    due, came = result["chunks_per_second"]["due"], result["chunks_per_second"]["relay"]
    if timings and came < MIN_RATE * due:
        found.append(f"{came} chunks a second: {due:g} were due, so the rest says little")
    found += [f"{value} {what}: at most {limit:g}" for what, value, limit in limits if timings and value > limit]
    return found
