"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from llmclients import AsyncClient, Client, ConfigurationError
from llmclients.cli import listings
from llmclients.cli.main import main
from llmclients.cli.relay_command import RELAY_KEY_VARIABLE
from llmclients.providers.registry import find_provider, provider_names
from llmclients.relay import RelayServer
from llmclients.testing import mock_clients
from llmclients.transports.mock import Cut, MockTransport, Reply

DONE = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":' + json.dumps(text).encode() + b"}}]}\n\n"


class Provider:
    """A relay over a provider that answers as the test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.mock = MockTransport(lambda request: Reply(chunks=self.steps))
        self.relay = RelayServer(
            AsyncClient("openai/m", base_url="http://mock", api_key="k", transport=self.mock, retry=None)
        )

    @property
    def asked(self) -> Any:
        return json.loads(self.mock.requests[-1].body)


@pytest.fixture(scope="module")
def _provider() -> Iterator[Provider]:
    provider = Provider()
    with provider.relay:
        yield provider


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    _provider.steps = [answer("Hel"), answer("lo"), DONE]
    return _provider


@pytest.fixture
def at(provider: Provider) -> list[str]:
    return ["--base-url", provider.relay.url]


def test_chat_streams_the_answer(provider: Provider, at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "yqcloud", "Hi", *at]) == 0
    assert capsys.readouterr().out == "Hello\n"
    assert provider.asked["messages"] == [{"role": "user", "content": "Hi"}]


def test_chat_takes_options_between_its_arguments(provider: Provider, at: list[str]) -> None:
    url = [at[0], f"{at[1]}/v1"]
    options = [
        "--model",
        "x",
        "--system",
        "S",
        "--option",
        "temperature=0",
        "--option",
        'stop=["a"]',
        "--option",
        "seed=7",
    ]
    assert main(["chat", "openai", *options, "Hi", *url]) == 0
    asked = provider.asked
    assert [message["content"] for message in asked["messages"]] == ["S", "Hi"]
    assert (asked["model"], asked["temperature"], asked["stop"], asked["seed"]) == ("x", 0, ["a"], 7)


def test_chat_need_not_stream(provider: Provider, at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "--no-stream", *at, "--", "yqcloud-legacy", "-Hi"]) == 0
    assert capsys.readouterr().out == "Hello\n"
    assert provider.asked["messages"][-1]["content"] == "-Hi"


def test_chat_reads_standard_input(provider: Provider, at: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    assert main(["chat", "yqcloud", "-", *at]) == 0
    assert provider.asked["messages"][-1]["content"] == "two\nlines\n"


def test_an_answer_that_breaks_off_ends_with_a_line_of_its_own(
    provider: Provider, at: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    provider.steps = [answer("Hel"), Cut()]
    assert main(["chat", "yqcloud", "Hi", *at]) == 7
    out, err = capsys.readouterr()
    assert out == "Hel\n"
    assert re.fullmatch(r"llmclients: yqcloud \(127\.0\.0\.1\): .+\n", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chat", "-p", "nope", "Hi"], "there is no provider named 'nope'"),
        (["chat", "yqcloud", "Hi", "--option", "surprise=1"], "no option 'surprise'"),
        (["chat", "yqcloud", "Hi", "--option", "temperature=1"], "temperature"),
        (["chat", "yqcloud", "Hi", "--base-url", "nowhere"], "base_url"),
        (["chat", "yqcloud", ""], "the text is empty"),
        (["chat", "opnai", "Hi"], "did you mean openai"),
        (["chat", "openia", "Hi"], "did you mean openai"),
        (["chat", "openai", "Hi", "--base-url", "http://127.0.0.1:1"], "give --model (llmclients models openai lists"),
        (["chat"], "there is nothing to ask"),
        (["chat", "openai"], "openai is a provider: write the question behind it"),
        (["models", "nope"], "there is no provider"),
        (["relay", "--host", "0.0.0.0", "--provider", "yqcloud"], "api_key"),
        (["relay", "--default", "max_tokens=5", "--provider", "yqcloud"], "max_tokens"),
        (["relay", "--port", "70000", "--provider", "yqcloud"], "no such port"),
        (["relay", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["relay", "nowhere.toml", "--provider", "yqcloud"], "leave out --provider"),
        (["relay", "--certfile", "nowhere.pem", "--provider", "yqcloud"], "certfile: there is no file nowhere.pem"),
        (["relay", "--max-connections", "0", "--provider", "yqcloud"], "limits: connections must be a positive number"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RELAY_KEY_VARIABLE, raising=False)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert re.fullmatch(f"llmclients: .*{re.escape(message)}.*\n", err)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["chta", "Hi"],
        ["What is it?"],
        ["chat", "--modle", "m", "Hi"],
        ["chat", "--option", "x", "Hi"],
        ["chat", "--option", "self=1", "Hi"],
        ["local"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert f"usage: {' '.join(['llmclients', *arguments[:1]])}".partition(" nope")[0].partition(" chta")[0].partition(
        " What"
    )[0] in (err := capsys.readouterr().err)
    for word, told in (("chta", "did you mean chat?"), ("What is it?", "to ask a model: llmclients chat TEXT")):
        assert word not in arguments or told in err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["chat", "--help"], ["relay", "--help"]])
def test_help_is_no_failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out


def test_a_failed_call_is_one_line_and_an_exit_code_by_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    # Nothing listens on port 1 of this machine.
    assert main(["models", "openai", "--base-url", "http://127.0.0.1:1/v1"]) == 6
    out, err = capsys.readouterr()
    assert not out
    assert re.fullmatch(r"llmclients: openai \(127\.0\.0\.1\): .+\n", err)


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "stream", interrupted)
    assert main(["chat", "yqcloud", "Hi"]) == 130


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(arguments: object) -> int:
        import warnings

        warnings.simplefilter("always")
        warnings.warn("mind the gap", stacklevel=1)
        return 0

    monkeypatch.setattr(listings, "providers", warn)
    assert main(["providers"]) == 0
    assert capsys.readouterr().err == "llmclients: warning: mind the gap\n"


def test_providers_is_a_table_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["PROVIDER", "MODEL", "KEY", "SERVICE", "NOTES"]
    assert {"local", "openai", "ylokh", "yqcloud", "yqcloud-legacy", "ai365vip"} <= {line.split()[0] for line in lines}
    legacy = next(line for line in lines if line.startswith("yqcloud-legacy"))
    assert "(aichatos)" in legacy
    assert "gone" in legacy


class Terminal(io.StringIO):
    """A terminal's side of the output."""

    def isatty(self) -> bool:
        return True


def test_lists_fit_the_terminal_and_break_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {word for name in provider_names() for word in find_provider(name).notes.split() if len(word) < 26}
    for columns, first in ((40, "ai365vip: The public service is behind a"), (110, "PROVIDER ")):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout", out := Terminal())
        assert main(["providers"]) == 0
        lines = out.getvalue().splitlines()
        assert lines[0].startswith(first)
        assert max(map(len, lines)) <= columns
        assert words <= {*out.getvalue().split()}
        assert "not set: GROQ_API_KEY" in out.getvalue() or "set: GROQ_API_KEY" in out.getvalue()
    monkeypatch.setattr("sys.stdout", out := Terminal())
    models = json.dumps({"data": [{"id": f"model-{number}"} for number in range(30)]}).encode()
    with mock_clients(Reply(body=models)):
        assert main(["models", "openai"]) == 0
    assert [line.split()[:2] for line in out.getvalue().splitlines()] == [["model-0", "model-3"], ["model-1", "model-4"],
        ["model-2", "model-5"]]  # fmt: skip


def test_models_lists_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "ai365vip", "--base-url", "http://127.0.0.1:1"]) == 0
    assert capsys.readouterr().out == "gpt-3.5-turbo\ngpt-3.5-turbo-16k\ngpt-4o\n"


def test_local_install_and_demo_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llmclients.local.install.install", lambda: None)
    monkeypatch.setattr("llmclients.demo.run", lambda: 1)
    assert main(["local", "install"]) == 0
    assert main(["demo"]) == 1

    def missing() -> int:
        raise ConfigurationError("the weights\nare missing")

    monkeypatch.setattr("llmclients.demo.run", missing)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "llmclients: the weights are missing\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_relay_serves_until_it_is_interrupted() -> None:
    environment = {**os.environ, RELAY_KEY_VARIABLE: "sesame"}
    command = [sys.executable, "-m", "llmclients", "relay", "--provider", "yqcloud", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as relay:
        try:
            assert relay.stdout is not None
            first = relay.stdout.readline()
            url = re.fullmatch(r"relay: yqcloud at (http://127\.0\.0\.1:\d+), with a key: yes\n", first)
            assert url, first
            request = urllib.request.Request(f"{url[1]}/openai/v1/models", headers={"Authorization": "Bearer sesame"})
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=10) as reply:
                assert json.load(reply)["data"][0]["id"] == "gpt-4"
        finally:
            relay.send_signal(signal.SIGINT)
            out, err = relay.communicate(timeout=10)
    assert relay.returncode == 130
    assert "sesame" not in first + out + err
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /openai/v1/models openai: HTTP 200, \d+\.\d\d s, complete\n", err)


class Watched(io.StringIO):
    """An output that acts, in a thread, once the relay has said that it is there."""

    def __init__(self, act: Callable[[str], None]) -> None:
        super().__init__()
        self._act = act

    def flush(self) -> None:
        if found := re.match(
            r"relay: relay\.toml at (http://127\.0\.0\.1:\d+),.*Ctrl-C ends it", self.getvalue(), re.DOTALL
        ):
            Thread(target=self._act, args=(found[1],)).start()
            self._act = lambda url: None


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_relay_of_a_file_is_strict_if_told_and_ends_with_0_when_it_is_terminated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("default = 'yqcloud'\n[keys.alice]\nkey = '$ALICE_KEY'\n[server]\nport = 0\n")
    monkeypatch.delenv(RELAY_KEY_VARIABLE, raising=False)
    monkeypatch.setenv("ALICE_KEY", "sesame")
    monkeypatch.setattr("gc.freeze", lambda: None)  # the tests' own objects are not to stay for ever
    monkeypatch.setattr("gc.set_threshold", lambda *numbers: None)
    statuses: list[int] = []

    def ask(url: str) -> None:
        try:
            body = {"model": "gpt-4", "input": "Hi", "tools": [{"type": "web_search"}]}
            request = urllib.request.Request(f"{url}/v1/responses", json.dumps(body).encode())
            request.headers |= {"Authorization": "Bearer sesame", "Content-type": "application/json"}
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
            statuses.append(caught.value.code)
            caught.value.close()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("sys.stdout", out := Watched(ask))
    assert main(["relay", str(file), "--log", "json", "--no-lenient"]) == 0
    err = capsys.readouterr().err
    assert statuses == [400]
    assert "sesame" not in out.getvalue() + err
    refusal, end = map(json.loads, err.splitlines())
    assert (refusal["status"], refusal["key"], refusal["model"]) == (400, "alice", "gpt-4")
    assert end["message"] == "SIGTERM: 0 requests are under way; 20 s are left for them"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_nobody_reading_the_output_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "llmclients", "providers"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert not done.stderr
    assert done.returncode == 141


def test_characters_beyond_the_terminal_and_bytes_beyond_text(
    provider: Provider, at: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.steps = [answer("é😀"), DONE]
    for piped, code in ((b"Hi", 0), (b"\xff", 2)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped), "utf-8"))
        monkeypatch.setattr("sys.stdout", out := io.TextIOWrapper(io.BytesIO(), "ascii"))
        assert main(["chat", "yqcloud", "-", *at]) == code
        assert out.buffer.getvalue() == (b"" if code else b"??\n")  # type: ignore[attr-defined]
    assert re.fullmatch("llmclients: standard input is not text: .+\n", capsys.readouterr().err)


def test_standard_streams_that_are_closed(provider: Provider, at: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["chat", "yqcloud", "Hi", *at]) == 0
    assert main(["chat", "yqcloud"]) == 2
    for name in ("stdin", "stdout", "stderr"):
        getattr(sys, name).close()
