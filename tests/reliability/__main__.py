"""`make reliability`: write the page from the stored results. With the argument `faults`, run the fault table before."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

from .machine import described
from .page import PAGE, RESULTS, page

TABLE = "tests.faults.summary"


def run_fault_table() -> None:
    """Run it in a process of its own, and keep what it says."""
    if importlib.util.find_spec(TABLE) is None:
        sys.exit(f"there is no {TABLE}")
    run = subprocess.run([sys.executable, "-m", TABLE], capture_output=True, text=True, timeout=1200, check=False)
    if run.returncode:
        sys.exit(run.stderr or "the fault table failed")
    result = {"command": f"python -m {TABLE}", **described(), "markdown": run.stdout.strip() + "\n"}
    (RESULTS / "faults.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["faults"]:
        run_fault_table()
    PAGE.write_text(page(), encoding="utf-8")
