"""Memory and time of a run do not depend on how many rows there are: the short form of `many_rows.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = 3000


@pytest.mark.long
def test_three_thousand_rows_take_no_more_memory_than_a_quarter_of_them() -> None:
    command = [sys.executable, str(Path(__file__).with_name("many_rows.py")), str(ROWS)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/bin"}
    )

    assert done.stderr == ""
    found = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    assert found["rows"] == found["answered"] == found["lines"] == ROWS
    assert found["highest_mib"] < 100
    # Less than 2.7 kB for each row since.
    assert found["highest_mib"] - found["begin_mib"] < 6
