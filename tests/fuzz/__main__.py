"""`make fuzz`: every target for FUZZ_SECONDS each (default 60), or those that are named as arguments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

from tests.reliability.machine import described

from .seeds import CORPUS, WORDS, seeds
from .targets import TARGETS

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "tests" / "reliability" / "results" / "fuzz.json"

_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")


def search(target: str, seconds: int) -> dict[str, Any]:
    """Search one target, in a process of its own; an input that fails is kept as a regression input."""
    with tempfile.TemporaryDirectory() as folder:
        begin, crashes = Path(folder, "begin"), Path(folder, "crashes")
        begin.mkdir()
        crashes.mkdir()
        for number, seed in enumerate(seeds(target)):
            (begin / str(number)).write_bytes(seed)
        words = Path(folder, "words")
        escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS)
        words.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
        command = [sys.executable, "-m", "tests.fuzz.search", target, f"-max_total_time={seconds}", "-max_len=4096"]
        command += [f"-dict={words}", f"-artifact_prefix={crashes}/", "-timeout=20", "-rss_limit_mb=2048", str(begin)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=seconds * 2 + 120, check=False)
        said = run.stderr.decode("utf-8", "replace") + run.stdout.decode("utf-8", "replace")
        kept = []
        for crash in sorted(crashes.iterdir()):
            (CORPUS / target).mkdir(parents=True, exist_ok=True)
            (CORPUS / target / crash.name).write_bytes(crash.read_bytes())
            kept.append(crash.name)
    done, covered = _DONE.findall(said), _COVERAGE.findall(said)
    if run.returncode and not kept:
        kept.append(f"ended with {run.returncode}")
    if kept:
        print(said[-3000:])
    runs, took = map(int, done[-1]) if done else (0, 0)
    return {
        "executions": runs,
        "seconds": took,
        "executions_per_second": round(runs / took) if took else 0,
        "edges_covered": int(covered[-1][0]) if covered else None,
        "features": int(covered[-1][1]) if covered else None,
        "inputs_that_add_coverage": int(covered[-1][2]) if covered else None,
        "crashes": kept,
    }


def main() -> int:
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    chosen = sys.argv[1:] or list(TARGETS)
    results = {}
    for target in chosen:
        results[target] = search(target, seconds)
        print(f"{target}: {results[target]}", flush=True)
    crashed = [target for target, result in results.items() if result["crashes"]]
    command = f"make fuzz FUZZ_SECONDS={seconds}" if seconds != 60 else "make fuzz"
    version = getattr(atheris, "__version__", None) or _installed("atheris")
    whole = {"command": command, **described(), "atheris": version, "seconds_each": seconds, "targets": results}
    if set(chosen) == set(TARGETS) and not crashed:
        RESULT.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"crashed: {', '.join(crashed)}" if crashed else "no crash")
    return 1 if crashed else 0


def _installed(name: str) -> str:
    from importlib.metadata import version

    return version(name)


if __name__ == "__main__":
    sys.exit(main())
