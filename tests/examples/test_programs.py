"""The programs of examples/ that end by themselves: each run as its first line says, by a script in the model's place."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from upstream import BOUND, EXAMPLES, Upstream

from llmclients.relay import RelayServer
from llmclients.testing import MockRequest, Reply, mock_clients

Run = Callable[..., str]
CALL, WARM = Reply.tool_call("weather", city="Oslo"), Reply.text("4 degrees.")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a program in this process; what it prints."""

    def run(name: str, *arguments: str, stdin: str = "") -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_receipt_is_an_object_and_has_a_price(run: Run) -> None:
    receipt = {"shop": "Baker", "items": ["bread", "bun"], "total": 4.5}
    with mock_clients(Reply.parsed(receipt)) as mock:
        shown = run("receipt.py", stdin="BAKER 1 bread 1 bun 4.50")

    words, dollars = shown.splitlines()
    assert words == "Baker: 2 items, 4.50"
    assert 0 < float(dollars.removeprefix("$")) < 0.0001
    assert "1 bread" in mock.requests[0].prompt


def test_a_tool_runs_in_three_ways(run: Run) -> None:
    with mock_clients(*[CALL, WARM] * 3) as mock:
        shown = run("tools.py")

    result = '{"city":"Oslo","degrees":4}'
    assert shown == f"4 degrees.\n4 degrees.\n[weather says {result}]\n4 degrees.\n"
    assert [request.prompt for request in mock.requests[1::2]] == [result] * 3


def test_two_hundred_prompts_of_a_csv(run: Run, tmp_path: Path) -> None:
    refused = set[str]()
    lock = threading.Lock()

    def provider(request: MockRequest) -> Reply:
        number = request.prompt.partition("\n")[0]
        with lock:
            busy = int(number) % 7 == 0 and number not in refused
            refused.add(number)
        if busy:
            return Reply.error(429, retry_after=1)
        return Reply.error(400, "unlucky") if number == "13" else Reply.text(f"answer {number}, in \u201cquotes\u201d")

    source, target = tmp_path / "prompts.csv", tmp_path / "answers.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "prompt"], *([f"r{number}", f"{number}\nwhy?"] for number in range(200))])
    with mock_clients(provider):
        run("csv_prompts.py", str(source), str(target))

    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == [f"{number}\nwhy?" for number in range(200)]
    failed = rows.pop(13)
    assert failed["answer"] == ""
    assert "unlucky" in failed["error"]
    assert all(row["answer"].startswith("answer ") and not row["error"] for row in rows)


def test_two_sdks_are_answered_by_the_relay(run: Run) -> None:
    with mock_clients(Reply.text("Rome."), Reply.text("Roma.")) as mock:
        assert run("relay_for_sdks.py") == "Rome.\nRoma.\n"
    assert {request.prompt for request in mock.requests} == {"Name the capital of Italy."}


def river(request: MockRequest) -> Reply:
    """What the models of the migrations answer."""
    if "response_format" in request.options:
        return Reply.parsed({"name": "Nile", "km": 6650.0})
    if request.provider == "yqcloud":
        return Reply.error(503)  # as such services do
    return Reply.stream("The ", "Nile.") if request.stream else Reply.text("The Nile.")


@pytest.fixture
def openai_in_front_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where other packages find OpenAI: a relay, whose own client is scripted."""
    with mock_clients(river), RelayServer() as relay:
        monkeypatch.setenv("OPENAI_BASE_URL", relay.url + "/openai/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield


@pytest.mark.parametrize("package", ["openai", "litellm", "llm", "gpt4free"])
@pytest.mark.usefixtures("openai_in_front_of")
def test_a_migrated_program_says_the_same(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(EXAMPLES / f"from_{package}.py"))
    program["after"]()
    after = capsys.readouterr().out
    assert after.splitlines()[1] == "The Nile."
    if package == "gpt4free" or importlib.util.find_spec(package) is None:
        return  # a public service, or not installed
    program["before"]()
    assert capsys.readouterr().out == after


def test_discovery_says_what_there_is_and_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name == "ANTHROPIC_AUTH_TOKEN"]:
        monkeypatch.delenv(name)
    shown = run("discovery.py", "yqcloud", "anthropic", "azure")

    assert "yqcloud: 1 models, gpt-4\n" in shown
    assert "anthropic: anthropic needs a key: give api_key= or set ANTHROPIC_API_KEY" in shown
    assert "azure has no address of its own" in shown
    with mock_clients(Reply.models("large", "small")):
        assert run("discovery.py", "openai") == "openai: 2 models, large, small\n"
    with mock_clients(Reply.error(401, "wrong key")):
        assert "HTTP 401: wrong key" in run("discovery.py", "openai")


def test_an_installed_package_brings_its_provider(tmp_path: Path) -> None:
    """setuptools reads pyproject.toml, as at an installation."""
    package = tmp_path / "package"
    package.mkdir()
    for file in (EXAMPLES / "provider").glob("*.*"):
        (package / file.name).write_bytes(file.read_bytes())
    program = """
import sys, setuptools.build_meta as build
build.prepare_metadata_for_build_wheel(".", {})
import llmclients
from llmclients.testing import Reply, mock_clients
with mock_clients(Reply.text("Hi!")) as mock:
    print(llmclients.Client("acme").chat("Hello!"), mock.requests[0].url, "acme" in llmclients.provider_names())
try:
    llmclients.Client("acme", api_key="k").chat("Hello!", seed=1)
except llmclients.UnsupportedOptionError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", str(EXAMPLES.parent)])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=package, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[-2:]
    assert first == "Hi! https://api.acme.example/v1/chat/completions True"
    assert second.startswith("acme cannot carry the option 'seed'")


def test_a_pipe_ends_when_its_reader_has_enough(upstream: Upstream) -> None:
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, EXAMPLES / "pipe.py", "Go", "on."],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=upstream.environment,
                text=True,
            )
        )
        stack.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("endless")
        process.stdin.close()
        assert process.stdout.read(7) == "and on "
        process.stdout.close()
        assert upstream.left.wait(BOUND)
        assert process.wait(BOUND) == 1
        assert process.stderr.read() == ""


def test_a_pipe_passes_text_on(run: Run) -> None:
    with mock_clients(Reply.stream("Fix ", "it")) as mock:
        assert run("pipe.py", "Write", "a message.", stdin="- a\n+ b") == "Fix it\n"
    system, question = mock.requests[0].messages
    assert (system.text, question.text) == ("Write a message.", "- a\n+ b")
    with mock_clients(Reply.error(401, "no")), pytest.raises(SystemExit, match=r"no answer: .*HTTP 401"):
        run("pipe.py", "Write", stdin="x")


def test_no_program_is_longer_than_it_has_to_be() -> None:
    for program in EXAMPLES.rglob("*.py"):
        text = program.read_text()
        assert len(text.splitlines()) <= 75, program.name
        assert re.match(r'"""[A-Z].*\.', text), f"{program.name} does not begin with what it is"
