"""How many distributions a library brings: itself, what it requires, what that requires, and so on, as installed here.

As a program (`python benchmarks/distributions.py REQUIREMENT…`), the number for those requirements.
"""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

__all__ = ["distributions"]

_LIBRARIES = {"openai": "openai", "any-llm": "any-llm-sdk[openai]", "litellm": "litellm"}


def distributions() -> dict[str, int]:
    """By runner. Ours are counted from what setup.cfg requires, not from what some installation was made of."""
    from benchmarks.processes import ROOT, interpreter_of

    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    ours = [line for line in setup["options"]["install_requires"].split("\n") if line and not line.startswith("#")]
    found = {"llmclients": _ask(interpreter_of("llmclients"), ours) + 1}
    for runner, requirement in _LIBRARIES.items():
        python = interpreter_of(runner)
        if python.exists():
            found[runner] = _ask(python, [requirement])
    return found


def _ask(python: Path, requirements: list[str]) -> int:
    command = [str(python), __file__, *requirements]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _closure(requirements: list[str]) -> set[str]:
    from packaging.requirements import Requirement  # each environment has it, for others' sake

    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        key = requirement.name.lower().replace("_", "-"), frozenset(requirement.extras)
        if key in seen:
            continue
        seen.add(key)
        names.add(key[0])
        for line in metadata.requires(requirement.name) or ():
            found = Requirement(line)
            if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in ("", *key[1])):
                waiting.append(found)
    return names


if __name__ == "__main__":
    sys.stdout.write(f"{len(_closure(sys.argv[1:]))}\n")
