"""The public interface, as a strict type checker sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

API = Path(__file__).with_name("api.py")


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Strict by the project's own settings, so that what `make types` has read is not read again.
    command = [sys.executable, "-m", "mypy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=API.parents[2], check=False)


def test_the_public_interface_is_typed_as_users_write_it() -> None:
    done = mypy(str(API))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success: no issues found in 1 source file" in done.stdout
