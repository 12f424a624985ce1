"""`python tests/bulk/many_rows.py ROWS`: a run of so many rows over canned answers; its memory and time as JSON.

The answers come from a transport in the process itself, each after a millisecond, so that what is measured is `bulk`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from figures import keep

from llmclients import AsyncClient
from llmclients.config.values import Timeout
from llmclients.transports.base import HTTPRequest, SystemClock

MIB = 2**20
TEXT = "An answer of some length, as models give it. " * 5
BODY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 45, "total_tokens": 57},
    }
).encode()


class Answer:
    """A whole answer."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        self._left = [b"", BODY]

    async def read(self) -> bytes:
        return self._left.pop() if self._left else b""

    async def drain(self) -> None: ...
    async def close(self) -> None: ...
    def abort(self) -> None: ...


class Canned:
    """Answers everything, a millisecond later."""

    clock = SystemClock()

    async def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Answer:
        await asyncio.sleep(0.001)
        return Answer()

    async def close(self) -> None: ...


def resident() -> float:
    """MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def highest() -> float:
    """MiB; what `getrusage` says would be that of whoever started this process, if that was larger."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def rows(count: int, seen: list[tuple[int, float, float]]) -> Iterator[Any]:
    """So many rows; every so often, how large the process is, and its CPU time."""
    every = max(count // 100, 1)
    for number in range(count):
        if number % every == 0:
            seen.append((number, resident(), time.process_time()))
        yield {"id": f"row-{number}", "prompt": f"Tell me about the number {number}."}


def measure(count: int) -> dict[str, Any]:
    """Run it."""
    seen: list[tuple[int, float, float]] = []

    async def main(folder: str) -> Any:
        async with AsyncClient("openai/m", api_key="k", transport=Canned()) as client:
            return await client.bulk(rows(count, seen), f"{folder}/out.jsonl", concurrency=200, progress=False)

    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(main(folder))
        written = Path(folder, "out.jsonl").stat().st_size / MIB
        with Path(folder, "out.jsonl").open("rb") as file:
            lines = sum(1 for _ in file)
    begin = next(index for index, (number, _, _) in enumerate(seen) if number >= min(10_000, count // 4))
    middle = len(seen) // 2
    first = (seen[middle][2] - seen[begin][2]) / (seen[middle][0] - seen[begin][0])
    second = (seen[-1][2] - seen[middle][2]) / (seen[-1][0] - seen[middle][0])
    return {
        "rows": report.rows,
        "answered": report.answered,
        "lines": lines,
        "output_mib": round(written, 1),
        "seconds": round(report.seconds, 1),
        "begin_mib": round(seen[begin][1], 1),
        "end_mib": round(resident(), 1),
        "highest_mib": round(highest(), 1),
        "first_half_us": round(first * 1e6),
        "second_half_us": round(second * 1e6),
        "memory": [[number, round(size, 1)] for number, size, _ in seen],
    }


def complaints(found: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    rules = {
        "every row is answered, on a line of its own": found["rows"] == found["answered"] == found["lines"],
        "memory stays under 150 MiB": found["highest_mib"] < 150,
        "memory is flat from 10,000 rows on": found["highest_mib"] - found["begin_mib"] < 24,
        "the second half takes no longer than the first": found["second_half_us"] < 1.25 * found["first_half_us"],
    }
    return [rule for rule, holds in rules.items() if not holds]


if __name__ == "__main__":
    count = int(sys.argv[1])
    result = {"command": f"python tests/bulk/many_rows.py {count}", **measure(count)}
    wrong = complaints(result)
    keep("many_rows", result, whole=count >= 200_000 and not wrong)
    print("\n".join(wrong) or "flat, and linear")
    sys.exit(1 if wrong else 0)
