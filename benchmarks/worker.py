"""A runner's own process: takes jobs from its standard input, a line each, and answers with measurements.

It stays for many jobs, so that a library is loaded once, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


def main() -> None:
    """Answer jobs until there are no more."""
    from benchmarks.machine import RUNNER_CORE, allow_many_files, pin

    # Libraries print: what they print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    pin(RUNNER_CORE)
    allow_many_files()
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"numbers": _measure(**json.loads(line))}
        except BaseException as error:  # noqa: BLE001 - whatever it is, the page shows it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")


def _measure(function: str, runner: str, side: str, server: str, options: dict[str, Any]) -> dict[str, float]:
    if function in ("decoder", "long_conversation", "long_answer"):
        from benchmarks import without_peer

        return without_peer.WORKLOADS[function](server, **options)
    from benchmarks.runners import load
    from benchmarks.workloads import WORKLOADS

    return WORKLOADS[function](load(runner, side), server, **options)


if __name__ == "__main__":
    main()
