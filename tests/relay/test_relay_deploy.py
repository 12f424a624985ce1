"""docs/deploy: the commands are ones that the program has, and the files are what their own tools call right."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmclients.cli.arguments import make_parser
from llmclients.cli.main import main
from llmclients.cli.relay_command import RELAY_KEY_VARIABLE

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
PROGRAM = "/opt/llmclients/bin/llmclients"


def of_dockerfile() -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    entry, command = (
        json.loads(re.findall(rf"^{name} (\[.*\])$", text, re.MULTILINE)[0]) for name in ("ENTRYPOINT", "CMD")
    )
    assert entry == [PROGRAM]
    return list(command)


def of_unit() -> list[list[str]]:
    text = (DEPLOY / "llmclients-relay.service").read_text()
    commands = [shlex.split(line) for line in re.findall(r"^ExecStart(?:Pre)?=(.*)$", text, re.MULTILINE)]
    assert all(command[0] == PROGRAM for command in commands)
    return [command[1:] for command in commands]


def test_the_commands_are_right_with_the_file_beside_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(RELAY_KEY_VARIABLE, raising=False)
    for variable in re.findall(r"\$(\w+)", (DEPLOY / "relay.toml").read_text()):
        monkeypatch.setenv(variable, f"sk-{variable.lower()}")
    commands = [of_dockerfile(), *of_unit()]
    assert len(commands) == 3
    for command in commands:
        assert make_parser().parse_args(command).config == "/etc/llmclients/relay.toml"
        here = [str(DEPLOY / "relay.toml") if word.startswith("/etc/") else word for word in command]
        assert main([*here, "--check"]) == 0
        assert capsys.readouterr().out.startswith("relay.toml is right\n  gpt-*: openai\n")


def test_systemd_waits_longer_than_the_relay_drains() -> None:
    command = of_unit()[-1]
    drain = float(command[command.index("--drain-seconds") + 1])
    text = (DEPLOY / "llmclients-relay.service").read_text()
    assert float(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0]) > drain


def test_hadolint_calls_the_dockerfile_right() -> None:
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if linter is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [linter, "--no-color", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_systemd_calls_the_unit_right(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "llmclients-relay.service"
    # It wants the program to be there.
    unit.write_text((DEPLOY / "llmclients-relay.service").read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    about_the_unit = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, about_the_unit) == (0, [])
