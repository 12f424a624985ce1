"""The public interface, as strict type checkers see it: right programs pass, each marked mistake is found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("api.py", "programs.py", "mistakes.py")
MARKED = {
    ("mistakes.py", number)
    for number, line in enumerate((HERE / "mistakes.py").read_text(encoding="utf-8").splitlines(), 1)
    if "# wrong" in line
}


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, *(str(HERE / name) for name in FILES)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # something was found, and nothing else went wrong
    return done.stdout


def mypy() -> dict[tuple[str, int], str]:
    # A cache of its own: that of `make types` is by other options, so each would have to make its own anew.
    output = run("mypy", f"--config-file={HERE / 'mypy.ini'}", "--cache-dir=.mypy_cache/examples")
    found = re.findall(r"^(.+?):(\d+): error: (.+)$", output, re.MULTILINE)
    return {(Path(path).name, int(line)): message for path, line, message in found}


def pyright() -> dict[tuple[str, int], str]:
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable))
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in report["generalDiagnostics"]
    }


@pytest.mark.long
@pytest.mark.parametrize(("checker", "misspelt"), [
    (mypy, 'Unexpected keyword argument "temprature" for "chat" of "Client"; did you mean "temperature"?'),
    (pyright, 'No parameter named "temprature"'),
], ids=["mypy", "pyright"])  # fmt: skip
def test_a_checker_finds_each_mistake_and_nothing_in_right_programs(checker: object, misspelt: str) -> None:
    found = checker()  # type: ignore[operator]

    assert {place: found[place] for place in found.keys() - MARKED} == {}
    assert MARKED - found.keys() == set()
    assert len(MARKED) >= 10
    assert found[min(MARKED)].startswith(misspelt), "the message tells what is meant"
