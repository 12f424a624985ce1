"""A session in a real terminal: what its user sees. One program shows many facts: its start is what costs."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from model_server import CUT, ModelServer
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from pty_terminal import Terminal

from llmclients.cli.main import main
from llmclients.history import History
from llmclients.testing import Reply, mock_clients

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


def test_a_session(model: ModelServer, at: list[str], tmp_path: Path) -> None:
    (tmp_path / "rivers.py").write_text('def length(name: str) -> str:\n    return f"{name}: 6650 km"\n')
    (tmp_path / "my notes.txt").write_text("a note")
    with History.open() as history:
        conversation = history.start(source="terminal", provider="openai", model="m")
        history.add(conversation, "Before?")
        history.answer(conversation).write("It *was*")
    with Terminal(*at, "--continue", columns=84, rows=50) as terminal:
        terminal.wait_for("openai/m> Before?", "It was", "broke off: its process ended", "openai/m> ")
        terminal.type("And?\r")
        terminal.wait_for("You say: And?")
        assert [message["content"] for message in model.sent[-1]["messages"]] == ["Before?", "It *was*", "And?"]
        terminal.type("/new\r")
        _ask_and_answer(terminal, model)
        _command(terminal)
        _edit_and_branch(terminal, model)
        terminal.type("/load talk.json\r/quit\r")
        assert terminal.wait_for_end() == 0
        assert "· Tool\n" in terminal.text.partition("/load talk.json")[2]
    _look_at(model, tmp_path)


def test_what_was_shown_outlives_the_program(at: list[str]) -> None:
    with Terminal(*at, "Long") as terminal:
        terminal.wait_for("One, two, three,")
        terminal.kill()
    with History.open() as history:
        answer = history.turns(history.conversations()[0])[-1]
    assert (answer.text, answer.state, answer.error and answer.error.kind) == (
        *("One, two, three, ", "broken", "ProcessEnded"),
    )


def _ask_and_answer(terminal: Terminal, model: ModelServer) -> None:
    terminal.wait_for("a new conversation begins")
    terminal.type("Hello\r")
    shown = terminal.wait_for("• one\nm · ")
    assert re.search(r"openai/m> Hello\nIt is Rome\.\n\n• one\nm · first token \d\.\d\d s · all \d.+ tokens", shown)
    assert terminal.screen.buffer[shown.split("\n").index("It is Rome.")][6].bold
    terminal.wait_until(lambda text: text.endswith("openai/m>"), "the next prompt")
    _again_until(terminal, "\x1b[A", "openai/m> Hello")
    terminal.type(" again\x1b\rand again\r")
    terminal.wait_for("You say: Hello again")
    assert model.sent[-1]["messages"][-1]["content"] == "Hello again\nand again"
    terminal.type("\x12and ag")  # a search in what was asked; the first Enter ends it, the second sends
    terminal.wait_for("I-search backward: and ag")
    _again_until(terminal, "\x12", "… and again")
    terminal.type("\r")
    terminal.wait_until(lambda text: "I-search" not in text and text.count("… and again") == 2, "what was found")
    terminal.type("!\r")
    terminal.wait_for("You say: Hello again\n!and again")  # the cursor is at what was found
    terminal.type("Long\r")
    terminal.wait_for("One, two, three,")
    terminal.process.kill(signal.SIGSTOP)  # as Ctrl-Z; a shell shows what is typed
    terminal.process.setecho(True)
    terminal.process.kill(signal.SIGCONT)  # as `fg`
    assert terminal.process.waitnoecho(5)
    terminal.type("\x03")
    terminal.wait_for("stopped")
    terminal.type("Cut\r")
    terminal.wait_for("Half of it", "broke off (what came is kept; /retry asks again)")


def _again_until(terminal: Terminal, key: str, text: str) -> None:
    """Press a key until a text is there twice: what was asked before can be called back a moment after the prompt."""
    for _ in range(20):
        terminal.type(key)
        while terminal.read(0.5):  # what a key has called back may come in pieces: the next one would call back more
            if terminal.text.count(text) == 2:
                return


def _command(terminal: Terminal) -> None:
    for begun, completed in (
        ("/he", "/help"),
        ("/attach my", '/attach "my notes.txt"'),
        ("/provider openr", "/provider openrouter"),
    ):
        terminal.type(f"{begun}\t")
        terminal.wait_for(f"> {completed}")
        terminal.type("\x03")
    for line, seen in (
        ("/help", "/quit      end"),
        ("/new", "a new conversation begins"),
        ("/retyr", "there is no command /retyr: did you mean /retry?"),
        ("/system Be brief.", "system text: Be brief."),
        ("/option surprise=1", "there is no option 'surprise'"),
        ("/option temperature=warm", "\ntemperature: Input should be a valid number\n"),
        ("/option temperature=0", "options: temperature=0"),
        ("/tool rivers.py:nothing", "/tool: rivers.py has no nothing"),
        ("/tool rivers.py:length", "tools: length"),
        ("Tool", 'length {"name": "Nile"} → Nile: 6650 km\nIt is long.'),
        ("/tool -", "tools: none"),
        ('/attach "my notes.txt"', "attached to the next question: my notes.txt (Ctrl-C"),
        ("And that?", "You say: And that?"),
        ("/retry", "You say: And that?\nm"),
        ("/model n", "now with openai/n"),
        ("/model", "openai/n; known:"),
        ("/provider nope", "there is no provider named 'nope'"),
        ("/provider openai", "now with openai: it needs a model, /model NAME"),
        ("/provider openai/m", "now with openai/m"),
        ("/again openai/o", "│ openai/o"),
        ("/branch", "assistant (o): You say: And that?"),
        ("/cost", "6 answers · 54 + 6 tokens · $0.007200"),
        ("/save talk.md", "written to talk.md"),
        ("/save talk.json", "written to talk.json"),
        ("/save talk.txt", "ends with none of"),
        ("/load", "  Hello\n"),
        ("/load nothing", "there is no conversation 'nothing'"),
    ):
        terminal.type(f"{line}\r")
        terminal.wait_for(f"> {line}\n", seen)


def _edit_and_branch(terminal: Terminal, model: ModelServer) -> None:
    terminal.type("/new\r/edit\r")
    terminal.wait_for("nothing was asked yet")
    terminal.type("Hello\r")
    terminal.wait_until(lambda text: text.count("• one") == 2, "the answer")
    terminal.type("/edit\r")
    terminal.wait_for("/edit\nopenai/m> Hello")
    terminal.type("!\r")
    terminal.wait_for("You say: Hello!")
    assert len(model.sent[-1]["messages"]) == 2  # the system text is from before
    terminal.type("/branch\r")
    shown = terminal.wait_for("  user: Hello!", "  user: Hello\n")
    mark, number = re.findall(r"\n([* ]) +(\d+)  user: Hello\n", shown)[-1]
    assert mark == " "
    terminal.type(f"/branch {number}\r")
    terminal.wait_until(
        lambda text: text.partition(f"/branch {number}")[2].count("It is Rome.") == 1, "the other branch"
    )


def _look_at(model: ModelServer, folder: Path) -> None:
    """What the history, a file and the model have got of the session."""
    with History.open() as history:
        first = history.turns(history.conversations()[-2])
    assert [(turn.state, turn.text) for turn in first[-3::2]] == [
        ("broken", "One, two, three, "),
        ("broken", "Half of it "),
    ]
    assert (first[-3].error and first[-3].error.message, first[-2].text) == ("stopped", "Cut")
    asked = next(body for body in model.sent if body["messages"][-1]["content"] == "Tool")
    assert (asked["messages"][0]["content"], asked["temperature"]) == ("Be brief.", 0)
    attached = next(body for body in model.sent if isinstance(body["messages"][-1]["content"], list))
    assert attached["messages"][-1]["content"][0]["text"] == "my notes.txt:\n\na note"
    assert "It is long." in (folder / "talk.md").read_text()


class Out(io.StringIO):
    """A terminal's side of the output."""

    def isatty(self) -> bool:
        return True


def test_one_answer_in_a_terminal_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    evil = "It is **Rome**.\x1b[2J\n\n```python\nreturn\n```\n"
    for option, shown in (
        ("--stream", "It is \x1b[1mRome\x1b[0m.[2J\n\n── python ──\nreturn\n──\n"),
        ("--raw", "It is **Rome**.[2J\n\n```python\nreturn\n```\n\n"),
    ):
        monkeypatch.setattr("sys.stdout", out := Out())
        with mock_clients(Reply.text(evil)):
            assert main(["chat", "-p", "openai/m", option, "Hello"]) == 0
        assert out.getvalue().replace("\x1b[2m", "").replace("──\x1b[0m", "──").removesuffix("\x1b[0m") == shown


def talked(keys: Sequence[str], monkeypatch: pytest.MonkeyPatch, term: str, answer: str = "") -> str:
    """What a session prints, in this process: what is typed once a text is there, and then the next."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr("sys.stdin", Out())
    monkeypatch.setattr("sys.stdout", out := Out())

    def type_all() -> None:
        for text, typed in zip(keys[::2], keys[1::2], strict=True):
            end = time.monotonic() + 10
            while text not in out.getvalue() and time.monotonic() < end:
                time.sleep(0.01)
            pipe.send_text(typed)

    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()), mock_clients(Reply.text(answer)):
        typing = Thread(target=type_all)
        typing.start()
        assert main(["chat", "openai/m"]) == 0
        typing.join()
    return out.getvalue()


def test_a_dumb_terminal_gets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = talked(["", "Hello\r/nothing\r/quit\r"], monkeypatch, "dumb", "**R**\x1b[2J")
    assert re.search(r"^\*\*R\*\*\[2J\nm · first token .+\n\nthere is no command /nothing: /help", shown, re.MULTILINE)
    assert "\x1b" not in shown


def test_a_history_that_cannot_be_written_is_told_above_the_prompt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "file" / "h.db"))
    shown = talked(["nothing of this is kept:", "Hello\r", " tokens", "\x04"], monkeypatch, "xterm", "Rome")
    assert shown.index("h.db cannot be made") < shown.index("Rome")


def test_the_first_key_is_there_at_once_and_nothing_is_sent_before_the_first_question(
    model: ModelServer, at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.2 s on a machine that starts Python in 12 ms, and as much longer as this one takes for that at the moment."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")  # warm is a program that is compiled
    monkeypatch.delenv("OPENAI_API_KEY")
    quick = []
    while len(quick) < 2 or quick.count(True) == quick.count(False):  # what two of three are
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.monotonic() - started
        started = time.monotonic()
        with Terminal("chat", "openai") as terminal:
            terminal.type("W")
            terminal.wait_for("> W")
            quick.append((time.monotonic() - started) / max(bare, 0.012) < 0.2 / 0.012)
            if len(quick) == 1:  # what is wrong with the session is known later, and ends it
                assert terminal.wait_for_end() == 2
                assert "set OPENAI_API_KEY, or run: llmclients keys set openai" in terminal.text.replace("\n", " ")
    assert quick.count(True) == 2, quick
    assert model.sent == []
