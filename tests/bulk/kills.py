"""Runs of the command `bulk` that are killed at random moments and begun again: what is lost, double, or asked twice.

`python tests/bulk/kills.py ROWS KILLS` is the long form: it prints what it found.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import keep

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "k", "NO_PROXY": "*"}


class Server:
    """The canned server, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"

    def counts(self) -> dict[str, Any]:
        """How often each prompt was asked, and the most requests that were open at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def serving(milliseconds: float, *more: str) -> Iterator[Server]:
    """The server, while it runs."""
    command = [sys.executable, str(HERE / "bulk_server.py"), str(milliseconds), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def write_rows(path: Path, count: int) -> None:
    """So many rows, each with an id."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"id": f"r{number}", "prompt": f"row {number}"}) + "\n")


def bulk_arguments(server: Server, rows: Path, out: Path, concurrency: int) -> list[str]:
    """What the command is given."""
    arguments = ["bulk", str(rows), str(out), "-p", "openai", "-m", "m", "--base-url", server.url]
    return [*arguments, "--concurrency", str(concurrency), "--no-progress"]


def command(server: Server, rows: Path, out: Path, concurrency: int) -> subprocess.Popen[str]:
    """The command, begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "llmclients", *bulk_arguments(server, rows, out, concurrency)],
        env=ENVIRONMENT,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def journaled(out: Path) -> int:
    """About how many rows the journal has."""
    try:
        return Path(f"{out}.journal").read_bytes().count(b"\n") - 1
    except OSError:
        return 0


def killed_runs(folder: Path, rows: int, kills: int, concurrency: int, delay_ms: float, seed: int) -> dict[str, Any]:
    """Kill so many runs over one input, each at a random moment of what is left; let the last one end; compare.

    A moment is a number of rows in the journal: at it, or a little after, the process gets SIGKILL.
    """
    rng = random.Random(seed)
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    write_rows(source, rows)
    moments = sorted(rng.randrange(rows) for _ in range(kills))
    done_kills = 0
    with serving(delay_ms) as server:
        for moment in moments:
            process = command(server, source, out, concurrency)
            while journaled(out) < moment and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.random() * delay_ms / 1000)
            done_kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        last = command(server, source, out, concurrency)
        _, errors = last.communicate()
        counts = server.counts()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    ids = [line["id"] for line in lines]
    asked = counts["asked"]
    return {
        "code": last.returncode,
        "errors": errors,
        "kills": done_kills,
        "lost": sum(1 for number in range(rows) if f"r{number}" not in set(ids)) if len(set(ids)) < rows else 0,
        "double": len(ids) - len(set(ids)),
        "in_order": ids == [f"r{number}" for number in range(rows)],
        "wrong": sum(line["text"] != f"ROW {line['id'][1:]}" for line in lines),
        "asked_again": sum(asked.values()) - rows,
        "most_open": counts["most_open"],
        "allowed": done_kills * concurrency,
    }


def main() -> int:
    rows, kills = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        found = killed_runs(Path(folder), rows, kills, concurrency=200, delay_ms=50, seed=7)
    good = not (found["lost"] or found["double"] or found["wrong"]) and found["asked_again"] <= found["allowed"]
    good = good and found["code"] == 0
    command = f"python tests/bulk/kills.py {rows} {kills}"
    keep("kills", {"command": command, "rows": rows, **found}, whole=good and rows >= 20_000 and kills >= 100)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
