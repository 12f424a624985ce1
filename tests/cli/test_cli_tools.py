"""Tools on the command line: what is called, what is told of it, and what the history has then."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmclients import ToolCall
from llmclients.cli.main import main
from llmclients.history import History, StoredTurn
from llmclients.testing import Cut, Reply, mock_clients

ASK = ["chat", "-p", "openai/m", "-t", "rivers.py:length", "-t", "rivers.py:depth"]

RIVERS = """
import threading
later = threading.Event()
def length(name: str) -> str:
    if name == "Nile":
        later.wait(10)
    later.set()
    return f"{name}: 6650 km"
def depth() -> str:
    raise KeyError("no gauge")
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "rivers.py").write_text(RIVERS)
    (tmp_path / "broken.py").write_text("1/0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "h.db"))
    log = logging.getLogger("llmclients")
    before = log.level, [*log.handlers]
    yield
    log.level, log.handlers = before


def last_turns() -> list[StoredTurn]:
    """Those of the conversation that was last."""
    with History.open() as history:
        return history.turns(history.conversations(1)[0])


@pytest.mark.parametrize("option", ["--stream", "--no-stream", "--json"])
def test_calls_are_told_apart_from_the_answer_and_each_turn_is_kept(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = Reply.tool_calls(("length", {"name": "Nile"}), ("length", {"name": "Po"}), text="I look.")
    with mock_clients(calls, Reply.tool_call("depth"), Reply.text("It is long."), Reply.text("Yes.")) as mock:
        assert main([*ASK, option, "--usage", "How long?"]) == 0
        out, err = capsys.readouterr()
        assert main(["chat", "--continue", "Sure?"]) == 0
    turns = last_turns()
    texts = ["How long?", "I look.", "Nile: 6650 km", "Po: 6650 km", "", "Error: KeyError: 'no gauge'", "It is long."]
    assert [turn.text for turn in turns][:-2] == texts
    assert [message["content"] or "" for message in json.loads(mock.requests[-1].body)["messages"]] == [*texts, "Sure?"]
    *lines, usage = err.splitlines()
    assert lines == [
        'length {"name": "Nile"} → Nile: 6650 km',  # which has ended last
        'length {"name": "Po"} → Po: 6650 km',
        "depth {} → Error: KeyError: 'no gauge'",
    ]
    assert out == "I look.\nIt is long.\n" or (json.loads(out)["text"], option) == ("It is long.", "--json")
    counts = [turn.usage.total_tokens for turn in turns[:-2] if turn.usage is not None]
    assert counts == ([4, 11, 17] if option == "--stream" else [32])
    assert usage.endswith("26 + 6 tokens")


def test_a_loop_that_leads_nowhere_is_kept_as_far_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--stream", "--no-stream"):
        for after, code, error in (
            ([Reply.error(400, "bad")], 1, "BadRequestError"),
            ([Reply.tool_calls(("depth", {}), text="Again.")] * 8, 8, "ToolLoopError"),
            ([Reply.stream("Half", Cut())] * 3, 7, "Cut"),
        ):
            if option == "--no-stream" and code == 7:
                continue
            with mock_clients(Reply.tool_call("depth"), *after):
                assert main([*ASK, option, "How deep?"]) == code
            turns = last_turns()
            calls = min(len(after), 7) if code == 8 else 1
            assert [turn.role for turn in turns] == ["user", *["assistant", "tool"] * calls, "assistant"]
            assert (turns[-1].state, turns[-1].error and turns[-1].error.kind) == ("broken", error)
            assert turns[-1].text == {1: "", 7: "Half", 8: "Again."}[code]
            assert capsys.readouterr().err.count("depth {} → Error: KeyError: 'no gauge'\n") == calls


def test_a_turn_behind_a_pause_is_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    for option in ("--stream", "--no-stream"):
        with mock_clients(Reply.text("Wait.", finish_reason="pause"), Reply.text("So.")):
            assert main(["chat", "-p", "anthropic/m", *ASK[3:], option, "How deep?"]) == 0
        assert [(turn.role, turn.text) for turn in last_turns()][1:] == [("assistant", "Wait."), ("assistant", "So.")]


def test_a_call_that_is_no_json_is_told_and_kept_as_one_that_can_be_sent_again() -> None:
    with mock_clients(Reply.tool_calls(ToolCall("c", "depth", "{")), Reply.text("Hm.")):
        assert main([*ASK, "How deep?"]) == 0
    _, call, result, _ = last_turns()
    assert call.tool_calls[0]["arguments"] == "{}"
    assert "JSON" in result.text


def test_ctrl_c_ends_a_tool_and_its_call_is_not_sent_again() -> None:
    Path("slow.py").write_text("def slow(): raise KeyboardInterrupt\n")
    with mock_clients(Reply.tool_call("slow")):
        assert main([*ASK, "-t", "slow.py:slow", "Go"]) == 130
    assert [(turn.role, turn.state) for turn in last_turns()] == [("user", "complete"), ("assistant", "complete")]
    with mock_clients(Reply.text("Gone.")) as mock:
        assert main(["chat", "--continue", "And?"]) == 0
    assert [message["content"] for message in json.loads(mock.requests[-1].body)["messages"]] == ["Go", "And?"]


def test_what_is_no_tool_is_refused_and_a_traceback_is_for_who_debugs(capsys: pytest.CaptureFixture[str]) -> None:
    for reference, message in (
        ("broken.py:length", "broken.py does not load: ZeroDivisionError"),
        ("rivers.py:breadth", "rivers.py has no breadth"),
        ("nothing", "there is no file 'nothing', and it is not MODULE:NAME"),
        ("llmclients:Usage", "llmclients:Usage is no function"),
    ):
        assert main(["chat", "-p", "openai/m", "-t", reference, "How long?"]) == 2
        assert f"--tool: {message}" in capsys.readouterr().err
    logging.getLogger("llmclients").handlers = []
    with mock_clients(Reply.tool_call("length", name="Po"), Reply.tool_call("depth"), Reply.text("Hm.")):
        assert main(["chat", "-p", "openai/m", "-t", "rivers:length", *ASK[5:], "--debug", "How deep?"]) == 0
    assert "Traceback" in capsys.readouterr().err
