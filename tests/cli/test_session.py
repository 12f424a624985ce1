"""A session in a real terminal: what its user sees."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from model_server import CUT, ModelServer
from pty_terminal import Terminal

from llmclients.history import History

pytestmark = pytest.mark.long


CALL = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "length", "arguments": '{"name": "Nile"}'}}]}
ANSWERS: dict[str, Sequence[Any]] = {
    "Hello": ["It is **Ro", "me**.\n\n", "- `one`\n"],
    "Long": ["One, two, ", "three, ", 30.0, "four."],
    "Cut": ["Half of ", "it ", CUT],
    "Tool": [CALL],
    "Nile: 6650 km": ["It is long."],
}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer(lambda text: ANSWERS.get(text, [f"You say: {text}"])) as server:
        yield server


@pytest.fixture
def at(model: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What makes a session with that model."""
    model.sent.clear()
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "h.db"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    return ["chat", "openai/m", "--base-url", model.url]


def test_questions_and_answers(model: ModelServer, at: list[str]) -> None:
    with Terminal(*at) as terminal:
        terminal.type("Hello\r")
        shown = terminal.wait_for("tokens")
        assert re.search(r"openai/m> Hello\nIt is Rome\.\n\n• one\nm · first token \d\.\d\d s · all \d.+ tokens", shown)
        assert terminal.screen.buffer[2][6].bold
        terminal.wait_until(lambda text: text.endswith("openai/m>"), "the next prompt")
        for _ in range(20):  # what was asked comes back, a moment after the prompt, and can be changed
            terminal.type("\x1b[A")
            if terminal.read(0.3) and terminal.text.count("openai/m> Hello") == 2:
                break
        terminal.type(" again\x1b\rand again\r")
        terminal.wait_for("You say: Hello again")
        assert model.sent[-1]["messages"][-1]["content"] == "Hello again\nand again"
        terminal.type("Long\r")
        terminal.wait_for("One, two, three,")
        terminal.type("\x03")
        terminal.wait_for("stopped")
        terminal.type("Cut\r")
        terminal.wait_for("Half of it", "broke off (what came is kept; /retry asks again)")
        terminal.type("\x03\x04")
        assert terminal.wait_for_end() == 0
    with History.open() as history:
        (conversation,) = history.conversations()
        turns = history.turns(conversation)
    assert [(turn.state, turn.text) for turn in turns[5::2]] == [
        ("broken", "One, two, three, "),
        ("broken", "Half of it "),
    ]
    assert turns[5].error is not None
    assert turns[5].error.message == "stopped"


def test_commands(model: ModelServer, at: list[str], tmp_path: Path) -> None:
    (tmp_path / "rivers.py").write_text('def length(name: str) -> str:\n    return f"{name}: 6650 km"\n')
    (tmp_path / "notes.txt").write_text("a note")
    with Terminal(*at, rows=50) as terminal:
        for line, seen in (
            ("/help", "/quit      end"),
            ("/nothing", "there is no command /nothing"),
            ("/system Be brief.", "system text: Be brief."),
            ("/option temperature=0", "options: temperature=0"),
            ("/tool rivers.py:length", "tools: length"),
            ("Tool", 'length {"name": "Nile"} → Nile: 6650 km\nIt is long.'),
            ("/tool -", "tools: none"),
            ("/attach notes.txt", "the next question has 1 attached"),
            ("And that?", "You say: And that?"),
            ("/retry", "You say: And that?\nm"),
            ("/model n", "now with openai/n"),
            ("/model", "openai/n; known:"),
            ("/provider nope", "there is no provider named 'nope'"),
            ("/again openai/o", "│ openai/o"),
            ("/branch", "assistant (o): You say: And that?"),
            ("/cost", "6 answers · 54 + 6 tokens · $0.007200"),
            ("/save talk.md", "written to talk.md"),
            ("/load nothing", "there is no conversation 'nothing'"),
            ("/new", "a new conversation begins"),
        ):
            terminal.type(f"{line}\r")
            terminal.wait_for(f"> {line}\n" if len(line) < 60 else line, seen)
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    first = model.sent[0]
    assert (first["messages"][0]["content"], first["temperature"]) == ("Be brief.", 0)
    attached = next(body for body in model.sent if isinstance(body["messages"][-1]["content"], list))
    assert attached["messages"][-1]["content"][0]["text"] == "notes.txt:\n\na note"
    assert "It is long." in (tmp_path / "talk.md").read_text()


def test_a_question_is_edited_as_a_branch(model: ModelServer, at: list[str]) -> None:
    with Terminal(*at) as terminal:
        terminal.type("Hello\r")
        terminal.wait_for("tokens")
        terminal.type("/edit\r")
        terminal.wait_for("/edit\nopenai/m> Hello")
        terminal.type("!\r")
        terminal.wait_for("You say: Hello!")
        assert len(model.sent[-1]["messages"]) == 1
        terminal.type("/branch\r")
        terminal.wait_for("*     3  user: Hello!", "      1  user: Hello\n")
        terminal.type("/branch 1\r")
        assert terminal.wait_for("/branch 1", "It is Rome.\n\n• one\n\n").count("It is Rome.") == 2


def test_what_was_shown_outlives_the_program(at: list[str]) -> None:
    with Terminal(*at) as terminal:
        terminal.type("Long\r")
        terminal.wait_for("One, two, three,")
        terminal.kill()
    with Terminal(*at, "--continue") as terminal:
        terminal.wait_for("openai/m> Long", "One, two, three,", "broke off: its process ended", "openai/m> ")
        terminal.type("And?\r")
        terminal.wait_for("You say: And?")


def test_what_is_wrong_ends_the_session(at: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with Terminal("chat", "openai") as terminal:
        assert terminal.wait_for_end() == 2
        assert "set OPENAI_API_KEY, or run: llmclients keys set openai" in terminal.text.replace("\n", " ")


def test_one_answer_in_a_terminal_is_rendered(at: list[str]) -> None:
    with Terminal(*at, "Hello", NO_COLOR="1") as terminal:
        assert terminal.wait_for_end() == 0
        assert terminal.text == "It is Rome.\n\n• one"
        assert b"\x1b[1mRome" in terminal.written
        assert b"\x1b[3" not in terminal.written
    with Terminal(*at, "Hello", "--raw") as terminal:
        assert terminal.wait_for_end() == 0
        assert terminal.text == "It is **Rome**.\n\n- `one`"


def test_a_dumb_terminal_gets_text(at: list[str]) -> None:
    with Terminal(*at, TERM="dumb") as terminal:
        terminal.type("Hello\r")
        terminal.wait_for("It is **Rome**.\n\n- `one`\n", "tokens")
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
        assert b"\x1b[" not in terminal.written.partition(b"It is")[2].partition(b"tokens")[0]


def test_the_first_key_is_there_at_once_and_nothing_is_sent_before_the_first_question(
    model: ModelServer, at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.2 s on a machine that starts Python in 12 ms, and as much longer as this one takes for that at the moment."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")  # warm is a program that is compiled
    times = []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.monotonic() - started
        started = time.monotonic()
        with Terminal(*at) as terminal:
            terminal.type("W")
            terminal.wait_for("> W")
            times.append((time.monotonic() - started, bare))
    assert statistics.median(seconds / max(bare, 0.012) for seconds, bare in times) < 0.2 / 0.012, times
    assert model.sent == []
