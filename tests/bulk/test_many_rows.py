"""Memory and time of a run do not depend on how many rows there are: the short form of `many_rows.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_six_thousand_rows_take_no_more_memory_than_fifteen_hundred() -> None:
    command = [sys.executable, str(Path(__file__).with_name("many_rows.py")), "6000"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/bin"}
    )

    assert done.stderr == ""
    found = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    assert found["rows"] == found["answered"] == found["lines"] == 6000
    assert found["highest_mib"] < 100
    assert found["highest_mib"] - found["begin_mib"] < 12
