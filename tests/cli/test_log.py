"""`llmclients log`: what it prints of the history, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmclients import ChatResponse
from llmclients.cli.main import main
from llmclients.history import History


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "history.db"
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(path))
    return path


def made(path: Path) -> list[str]:
    """The ids of two conversations, the first one used last."""
    with History.open(path) as history:
        one = history.start(source="terminal", provider="openai", model="m")
        two = history.start(source="page", title="two\nlines \x1b[31m")
        for conversation, question in ((two, "Which city?"), (one, "Which river?")):
            history.add(conversation, question)
            history.answer(conversation).complete(ChatResponse(text=f"{question} \x1b[2J Nile", model="m"))
    return [one.id, two.id]


def log(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints on stdout, or where it fails on stderr."""
    assert main(["log", *arguments]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_conversations_are_listed_shown_found_and_exported(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = made(path)
    heads, first, second = log(capsys, "list").splitlines()
    assert heads.split() == ["ID", "LAST", "TURNS", "FROM", "MODEL", "TITLE"]
    assert (first.split()[0], first.split()[3:]) == (one, ["2", "terminal", "openai/m", "Which", "river?"])
    assert second.endswith("two lines [31m")
    assert [row["id"] for row in json.loads(log(capsys, "list", "--json", "--limit", "1"))] == [one]

    assert "## Assistant (m)\n\nWhich river? [2J Nile" in log(capsys, "show")
    assert [turn["role"] for turn in json.loads(log(capsys, "show", two, "--json"))["turns"]] == ["user", "assistant"]
    assert [line.split("  ")[2] for line in log(capsys, "search", "which", "riv").splitlines()] == [
        *("assistant: Which river? [2J Nile", "user: Which river?"),
    ]
    assert len(json.loads(log(capsys, "search", "nile", "--json"))) == 2
    assert main(["log", "search", "nothing"]) == 1

    lines = [json.loads(line) for line in log(capsys, "export").splitlines()]
    assert [line["type"] for line in lines] == ["conversation", "turn", "turn"] * 2
    assert lines[2]["text"] == "Which river? \x1b[2J Nile"
    assert log(capsys, "export", two, "--format", "markdown").startswith("# two lines")
    assert log(capsys, "export", "--format", "markdown").count("\n## User\n") == 2
    assert log(capsys, "continue").strip() == one
    assert log(capsys, "continue", two[:-1]).strip() == two
    assert log(capsys, "path").strip() == str(path)


def test_the_list_fits_a_narrow_terminal(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with History.open(path) as history:
        history.start(title="東京は日本の首都であり、世界最大の都市圏", provider="openai", model="m")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for columns, heads, title in (
        (40, "ID TITLE", "東京は日本の首都であ…"),
        (60, "ID LAST TITLE", "東京は日本の首都であり…"),
        (120, "ID LAST TURNS FROM MODEL TITLE", "東京は日本の首都であり、世界最大の都市圏"),
    ):
        monkeypatch.setenv("COLUMNS", str(columns))
        first, row = log(capsys, "list").splitlines()
        assert (first.split(), row.split()[-1]) == (heads.split(), title)


def test_a_conversation_is_deleted_after_a_question(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = made(path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "--yes" in log(capsys, "delete", one, code=2)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["log", "delete", one]) == 1
    monkeypatch.setattr("builtins.input", lambda question: " Yes")
    log(capsys, "delete", one)
    log(capsys, "delete", two, "--yes")

    assert "no conversations yet" in capsys.readouterr().err or log(capsys, "list") == ""


def test_who_only_looks_begins_no_history(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log(capsys, "list") == log(capsys, "export") == ""
    assert "no conversations yet" in log(capsys, "show", code=2)
    assert "no conversation 'x'" in log(capsys, "show", "x", code=2)
    assert not path.exists()
    path.write_bytes(b"not a history, not at all " * 99)
    assert "is damaged" in log(capsys, "list", code=1)
    monkeypatch.setenv("LLMCLIENTS_HISTORY", "off")
    assert "is off" in log(capsys, "list", code=2)
    assert log(capsys, "path") == "off\n"
