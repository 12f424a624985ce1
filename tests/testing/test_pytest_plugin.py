"""The fixture `mock_clients`, in a pytest of its own as a user's project runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from llmclients.testing import Reply, ScriptExhausted
from program import title


def test_an_answer(mock_clients):
    mock = mock_clients(Reply.text("A title"))
    assert title("A long text") == "A title"
    assert mock.requests[0].prompt == "A long text"


def test_a_second_script_takes_over(mock_clients):
    mock_clients(Reply.text("one"))
    mock_clients(Reply.text("two"))
    assert title("text") == "two"


def test_nothing_of_the_test_before_stays(mock_clients):
    with pytest.raises(ScriptExhausted, match="it is empty"):
        title("text")


def test_one_that_fails(mock_clients):
    mock_clients(Reply.text("A title"))
    assert title("text") == "Another title"


def test_without_the_fixture_nothing_stands_in():
    from llmclients.transports.stand_in import is_mocked
    assert not is_mocked()
"""


def test_the_fixture(tmp_path: Path) -> None:
    program = 'from llmclients import Client\n\nclient = Client("openai/gpt-4.1-mini", api_key="none")\n\n\n'
    (tmp_path / "program.py").write_text(program + "def title(text):\n    return client.chat(text).text\n")
    (tmp_path / "test_program.py").write_text(TESTS)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "llmclients.testing.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert "1 failed, 4 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_program.py::test_one_that_fails" in done.stdout
