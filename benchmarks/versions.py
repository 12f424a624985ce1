"""The versions of the libraries that the runners use, asked of the interpreter that has each."""

from __future__ import annotations

import json
import subprocess

from benchmarks.processes import ROOT, environment, interpreter_of
from benchmarks.runners import RUNNERS

__all__ = ["versions"]

_ASK = """
import json, sys
from benchmarks.machine import version_of
print(json.dumps({name: version_of(name) for name in sys.argv[1:]}))
"""


def versions() -> dict[str, dict[str, str]]:
    """By runner, by distribution; what is not installed is not there."""
    found = {}
    for name, runner in RUNNERS.items():
        python = interpreter_of(name)
        if python.exists():
            command = [str(python), "-c", _ASK, *runner.packages]
            done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
            answer: dict[str, str | None] = json.loads(done.stdout)
            found[name] = {package: version for package, version in answer.items() if version}
    return found
