"""The lock: it meets `setup.cfg` on every Python, has a hash for each file, and does not say where it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from llmclients.local.packages import WEIGHTS_REQUIREMENT

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")


def pins(lock: str, python: str) -> dict[str, str]:
    """Each package of a lock and its version, for that Python."""
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    found = [Requirement(line.removesuffix("\\")) for line in text.splitlines() if line[:1].isalnum()]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in found if fits(pin, python)}


def fits(requirement: Requirement, python: str) -> bool:
    there = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
    return requirement.marker is None or requirement.marker.evaluate({**there, "extra": ""})


def required(*extras: str) -> Iterator[Requirement]:
    """What `setup.cfg` asks for, with these extras and those that they name."""
    lines = CONFIG["options"]["install_requires"] if not extras else CONFIG["options.extras_require"][extras[0]]
    for line in lines.split("\n"):
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.name != "llmclients":
                yield requirement
            for extra in requirement.extras if requirement.name == "llmclients" else ():
                yield from required(extra)
    if len(extras) > 1:
        yield from required(*extras[1:])


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "extras"), [("demo", ("relay", "local")), ("test", ("test", "relay", "local"))])
def test_all_that_is_asked_for_is_there_as_it_is_asked_for(lock: str, extras: tuple[str, ...], python: str) -> None:
    locked = pins(lock, python)
    for requirement in (*required(), *required(*extras)):
        if fits(requirement, python):
            name = re.sub(r"[._]", "-", requirement.name.lower())
            assert requirement.specifier.contains(locked[name]), (
                f"{requirement}: {locked[name]} is locked: run make lock"
            )


@pytest.mark.parametrize("python", PYTHONS)
def test_the_demo_runs_on_what_is_tested(python: str) -> None:
    assert pins("demo", python).items() <= pins("test", python).items()


def test_the_weights_are_locked_as_well() -> None:
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", WEIGHTS_REQUIREMENT)


@pytest.mark.parametrize("lock", ["demo", "test", "uv"])
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    lines = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.lstrip().startswith("#"):
            continue
        assert re.fullmatch(r"[a-z0-9.-]+==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert line.endswith("\\") is after.startswith("    --hash="), line
    assert not re.search("://|--index|--find|/(root|home|work|tmp)/", "\n".join(lines))
