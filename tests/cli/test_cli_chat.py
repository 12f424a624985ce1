"""`llmclients chat` with a text: what is asked, what is printed, what is kept, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmclients.cli import completion
from llmclients.cli.arguments import make_parser
from llmclients.cli.main import main
from llmclients.history import History
from llmclients.testing import Cut, Reply, mock_clients

ASK = ["chat", "-p", "openai/m"]
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


def sent(mock: Any, index: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(mock.requests[index].body)
    return body


@pytest.mark.parametrize(("arguments", "piped", "text"), [
    (["openai/m", "What", "is", "the", "capital?"], "", "What is the capital?"),
    (["openai/m", "Summarise:"], "a diff\n", "Summarise:\n\na diff\n"),
    (["openai/m"], "a diff\n", "a diff\n"),
    (["openai/m", "Compare", "-", "with", "B"], "A", "Compare A with B"),
    (["-p", "openai/m", "local", "news"], "", "local news"),
    (["-p", "openai/m", "openai"], "", "openai"),
    (["openai/m", "--no-stream", "--", "-Hi", "--there"], "", "-Hi --there"),
    (["openai", "-m", "m", "openai is"], "", "openai is"),
])  # fmt: skip
def test_words_and_what_is_piped_in_are_the_question(
    arguments: list[str], piped: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(piped))
    with mock_clients(Reply.text("Rome")) as mock:
        assert main(["chat", *arguments]) == 0
    assert [message["content"] for message in sent(mock)["messages"]] == [text]
    assert capsys.readouterr().out == "Rome\n"


def test_a_file_is_attached_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "dot").write_bytes(PNG)
    (tmp_path / "notes.md").write_text("Nile: 6650 km")
    with mock_clients(Reply.text("A dot.")) as mock:
        files = ["-a", str(tmp_path / "dot"), "--attach", str(tmp_path / "notes.md")]
        assert main([*ASK, *files, "What", "is", "it?"]) == 0
    image, notes, text = sent(mock)["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert notes["text"] == "notes.md:\n\nNile: 6650 km"
    assert text["text"] == "What is it?"
    assert main([*ASK, "-a", str(tmp_path / "none"), "x"]) == 2


def test_a_schema_is_a_file_or_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"type": "object", "properties": {"km": {"type": "integer"}}, "required": ["km"]}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    (tmp_path / "models.py").write_text("from pydantic import BaseModel\nclass River(BaseModel):\n    km: int\n")
    monkeypatch.chdir(tmp_path)
    for reference in ("s.json", "models.py:River"):
        with mock_clients(Reply.text('{"km": 6650}')) as mock:
            assert main([*ASK, "--schema", reference, "How long?"]) == 0
        assert sent(mock)["response_format"]["json_schema"]["schema"]["properties"]["km"]["type"] == "integer"
        assert capsys.readouterr().out == '{"km": 6650}\n'
    with mock_clients(Reply.text("long")):
        assert main([*ASK, "--schema", "models.py:River", "How long?"]) == 8


def test_the_whole_response_its_usage_and_its_cost_are_there_to_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    with mock_clients(Reply.text("Rome"), Reply.text("Rome")):
        assert main([*ASK, "--json", "Capital?"]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == "Rome"
        assert main([*ASK, "--usage", "--cost", "Capital?"]) == 0
    out, err = capsys.readouterr()
    usage, cost = err.splitlines()
    assert out == "Rome\n"
    assert usage.startswith("m · first token ")
    assert "1 tokens" in usage
    assert cost == "cost: unknown: openai does not say it"


@pytest.mark.parametrize(("reply", "code"), [
    (Reply(401), 3), (Reply(429), 4), (Reply(404), 1), (Reply.stream("Hal", Cut()), 7),
])  # fmt: skip
def test_the_exit_code_tells_the_kind_of_error(reply: Reply, code: int) -> None:
    with mock_clients(*[reply] * 3):
        assert main([*ASK, "Hi"]) == code


@pytest.mark.parametrize(("arguments", "message"), [
    (["-p", "openai", "Hi"], "openai needs a model: give --model"),
    (["-p", "openai/m", "-o", "temperature=warm", "Hi"], "llmclients: temperature: Input should be a valid number\n"),
    (["-p", "openai/m", "-o", "model=x", "Hi"], "there is no option 'model': give --model\n"),
    (["-p", "openai/m", "--timeout", "x", "Hi"], "argument --timeout: 'x' is no number of seconds"),
    (["-p", "openai/m", "-m", "n", "Hi"], "the model is named twice"),
    (["-p", "local", "-m", "gpt-4o", "Hi"], "Did you mean llmclients chat openai/gpt-4o?"),
])  # fmt: skip
def test_a_mistake_is_told_in_the_terminal_s_words(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with mock_clients():
        assert main(["chat", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_key_is_told_with_the_command_that_keeps_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert main([*ASK, "Hi"]) == 2
    assert capsys.readouterr().err.endswith("set OPENAI_API_KEY, or run: llmclients keys set openai\n")


def test_only_debug_shows_a_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("llmclients.client.Client.stream", broken)
    with mock_clients():
        assert main([*ASK, "Hi"]) == 1
        assert capsys.readouterr().err == "llmclients: KeyError: 'oops' (more with --debug)\n"
        with pytest.raises(KeyError):
            main([*ASK, "--debug", "Hi"])


def test_a_conversation_is_kept_continued_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASK, "-c", "And now?"]) == 2  # the history is off
    assert "--continue needs the history" in capsys.readouterr().err
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "h.db"))
    assert main([*ASK, "-c", "And now?"]) == 2  # there is nothing yet
    with mock_clients(Reply.text("Rome"), Reply.text("Paris"), Reply.text("Hm"), Reply.text("Berlin")) as mock:
        assert main([*ASK, "-s", "Brief.", "Capital of Italy?"]) == 0
        assert main(["chat", "-c", "And", "of France?"]) == 0  # with the same provider and model
        assert [message["content"] for message in sent(mock)["messages"]][1:] == [
            "Capital of Italy?",
            "Rome",
            "And of France?",
        ]
        assert main([*ASK, "--no-history", "What?"]) == 0
        with History.open() as history:
            (kept,) = history.conversations()
        saved = tmp_path / "c.json"
        assert main(["chat", "--continue", kept.id[:14], "--save", str(saved), "Of Germany?"]) == 0
    data = json.loads(saved.read_text())
    assert (data["system"], len(data["messages"]), data["messages"][-1]["content"]) == ("Brief.", 6, "Berlin")


def test_another_model_is_asked_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "h.db"))
    with mock_clients(lambda request: Reply.text(json.loads(request.body)["model"].upper())):
        assert main([*ASK, "--again", "groq/n", "Who?"]) == 0
    out = capsys.readouterr().out
    assert out.index("openai/m") < out.index("M\n") < out.index("groq/n") < out.index("N\n")
    with History.open() as history:
        answers = [turn for turn in history.all_turns(history.conversations(1)[0]) if turn.role == "assistant"]
        assert {turn.text for turn in answers} == {"M", "N"}
        assert len(answers[0].siblings) == 2


def test_a_shell_is_told_how_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "h.db"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with History.open() as history:
        known = history.start(source="terminal", title="Rivers")
    answer, line = tmp_path / "answer", f"llmclients chat --continue {known.id[:3]}"
    variables = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    variables |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n"}
    subprocess.run([sys.executable, "-m", "llmclients"], env={**os.environ, **variables}, check=False)
    assert answer.read_text().strip() == known.id

    def parsed(*words: str) -> Any:
        return make_parser().parse_args(["chat", *words])

    assert {"openai", "openai-responses"} <= {*completion.first_text("opena", parsed())}
    assert completion.first_text("opena", parsed("openai", "Hello")) == []
    assert completion.first_text("opena", parsed("-p", "groq")) == []
    assert completion.first_text("", parsed("-c")) == {known.id: "Rivers"}
    assert "gpt-4o" in completion.models("gpt-4", parsed("-p", "ai365vip"))
    assert completion.models("", parsed("ai365vip")) == completion.models("", parsed("-p", "ai365vip"))


def test_models_that_were_listed_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    models = json.dumps({"data": [{"id": "gpt-9"}, {"id": "gpt-8"}]}).encode()
    with mock_clients(Reply(body=models)):
        assert main(["models", "openai"]) == 0
    assert completion.providers_and_models("openai/") == ["openai/gpt-8", "openai/gpt-9"]
    assert "gpt-3.5-turbo-16k" in completion.models_of("ai365vip")
    assert completion.models_of("nobody") == []
