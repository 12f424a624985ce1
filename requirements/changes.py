"""Lists what this environment has in another version than the lock: `python requirements/changes.py`."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).parent / "test.txt"


def locked(text: str) -> dict[str, str]:
    """Each package and its version that the lock's text has for this Python."""
    lines = (line.removesuffix("\\") for line in text.splitlines() if line[:1].isalnum())
    pins = (Requirement(line) for line in lines)
    return {pin.name: str(pin.specifier)[2:] for pin in pins if pin.marker is None or pin.marker.evaluate()}


def changes() -> list[str]:
    """A line for each package that is here in another version than in the lock, or not at all."""
    found = []
    for name, before in locked(LOCK.read_text(encoding="utf-8")).items():
        try:
            now = version(name)
        except PackageNotFoundError:
            now = "not installed"
        if now != before:
            found.append(f"{name}: {before} -> {now}")
    return found


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in changes() or ["nothing differs from the lock"]))
