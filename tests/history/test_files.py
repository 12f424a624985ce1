"""The file: several processes at once, one that is killed, files that are damaged, foreign or of another version."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llmclients import ChatResponse
from llmclients.history import DamagedHistoryError, History, HistoryError, database

PROGRAM = """
import json, os, random, signal, sys, threading
from llmclients import ChatResponse
from llmclients.history import History
folder = sys.argv[1]
"""

KILLED = """
path, rounds = f"{folder}/killed.db", 10
chance = random.Random(11)
with History.open(path) as history:
    conversation = history.start(title="killed")
for number in range(rounds):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        history = History.open(path)
        writer = history.answer(conversation, parent=None)
        os.write(writing, b"%d:" % writer.turn)
        for step in range(0, 300_000, 3):
            shown = [f"{one} " for one in range(step, step + 3)]
            for piece in shown:
                writer.gather(piece)
            writer.flush()
            os.write(writing, "".join(shown).encode())
        os._exit(1)
    os.close(writing)
    wanted, seen = chance.randrange(1, 4000), b""
    while len(seen) < wanted:
        seen += os.read(reading, 512)
    os.kill(child, signal.SIGKILL)
    while more := os.read(reading, 65536):
        seen += more
    os.waitpid(child, 0)
    os.close(reading)
    print(json.dumps(seen.decode()))
"""


CROWD = """
path, processes, rounds = f"{folder}/crowd.db", 3, 12
held, starter = os.pipe()
children = []
for number in range(processes):
    child = os.fork()
    if not child:
        os.close(starter)
        os.read(held, 1)  # all at once
        with History.open(path) as history:
            conversation = history.start(source="page", title=str(number))
            for round in range(rounds):
                history.add(conversation, f"question {round} of {number}")
                with history.answer(conversation) as writer:
                    for piece in ("an ", "answer"):
                        writer.write(piece)
                    writer.complete(ChatResponse(text=f"answer {round} of {number}"))
                history.search("answer")
        os._exit(0)
    children.append(child)
os.close(held)
os.close(starter)
print(*(os.waitpid(child, 0)[1] for child in children))
"""


FORKED = """
path = f"{folder}/forked.db"
history = History.open(path)
conversation = history.start()
writer = history.answer(conversation)
done = threading.Event()
def write():
    while not done.is_set():
        history.add(conversation, "thread's", parent=None)
thread = threading.Thread(target=write)
thread.start()
ends = []
for number in range(5):
    child = os.fork()  # while another thread writes
    if not child:
        signal.alarm(20)
        history.add(conversation, f"child's {number}", parent=None)
        with History.open(path) as other:
            assert other.turn(writer.turn).state == "streaming"
        history.close()
        history.close()
        os._exit(0)
    writer.write("parent's ")
    ends.append(os.waitpid(child, 0)[1])
done.set()
thread.join()
texts = {turn.text for turn in history.all_turns(conversation)}
print(ends, sorted(texts))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder where the three have run, one after another in one interpreter, and what they have printed."""
    folder = tmp_path_factory.mktemp("programs")
    command = [sys.executable, "-c", PROGRAM + KILLED + CROWD + FORKED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_a_killed_process_loses_nothing_that_it_had_shown(programs: tuple[Path, list[str]]) -> None:
    folder, printed = programs
    lines = printed[:10]

    with History.open(folder / "killed.db") as history:
        assert len(lines) == 10
        for line in lines:
            turn, _, shown = json.loads(line).partition(":")
            found = history.turn(int(turn))
            assert found.text.startswith(shown)
            assert (found.state, found.error and found.error.kind) == ("broken", "ProcessEnded")
        assert history._database.rows("SELECT * FROM piece") == []
        assert history._database.row("PRAGMA integrity_check") == ("ok",)
        assert len(history.search("150")) >= 1  # what broke off is found, too
    assert list(folder.glob("*-writer-*")) == []


def test_processes_that_begin_and_write_a_history_at_once_lose_nothing(programs: tuple[Path, list[str]]) -> None:
    folder, printed = programs

    assert printed[10] == "0 0 0"
    with History.open(folder / "crowd.db") as history:
        assert sorted(one.title or "" for one in history.conversations()) == ["0", "1", "2"]
        for one in history.conversations():
            assert [turn.text for turn in history.turns(one)] == [
                f"{kind} {round} of {one.title}" for round in range(12) for kind in ("question", "answer")
            ]
        assert len(history.search("answer", 1000)) == 36
        assert history._database.row("PRAGMA integrity_check") == ("ok",)


def test_an_answer_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    with History.open(tmp_path / "h.db") as reader:
        writing = History.open(tmp_path / "h.db")
        conversation = writing.start()
        writer = writing.answer(conversation)
        writer.write("half")
        assert [turn.state for turn in reader.turns(conversation)] == ["streaming"]
        with History.open(tmp_path / "h.db") as third:
            assert [turn.state for turn in third.turns(conversation)] == ["streaming"]
        writing.close()  # as its process's end would
        (turn,) = reader.turns(conversation)

        assert (turn.state, turn.text) == ("broken", "half")


@pytest.mark.parametrize("is_completed", [True, False])
def test_an_answer_that_was_given_up_too_early_can_still_end_well(tmp_path: Path, is_completed: bool) -> None:
    with History.open(tmp_path / "h.db") as history:
        conversation = history.start()
        writer = history.answer(conversation)
        writer.write("half of ")
        for lock in tmp_path.glob("*-writer-*"):  # as somebody who tidies up might
            lock.unlink()
        with History.open(tmp_path / "h.db") as other:
            assert [turn.state for turn in other.turns(conversation)] == ["broken"]
        writer.write("it")
        assert [turn.text for turn in history.turns(conversation)] == ["half of it"]
        if is_completed:
            writer.complete(ChatResponse(text="half of it"))
        else:
            writer.broke("stopped")

        (turn,) = history.turns(conversation)
        assert (turn.state, turn.text) == ("complete" if is_completed else "broken", "half of it")
        assert turn.error == (None if is_completed else ("Interrupted", "stopped"))


def test_a_forked_child_has_a_connection_of_its_own(programs: tuple[Path, list[str]]) -> None:
    folder, printed = programs
    texts = [*(f"child's {number}" for number in range(5)), "parent's " * 5, "thread's"]

    assert printed[11:] == [f"{[0] * 5} {texts}"]
    with History.open(folder / "forked.db") as history:
        assert history._database.row("PRAGMA integrity_check") == ("ok",)


def look_at(path: Path) -> None:
    with History.open(path) as history:
        history.conversations()
        history.search("1")


@pytest.mark.parametrize("damage", ["a text", "a torn page", "another program's", "a folder"])
def test_a_file_that_cannot_be_a_history_is_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "h.db"
    if damage == "a text":
        path.write_bytes(b"not a database at all, " * 100)
    elif damage == "a folder":
        path.mkdir()
    elif damage == "another program's":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE note (text)")
        other.close()
    else:
        with History.open(path) as history:
            for number in range(50):
                history.add(history.start(), f"{number} " * 200)
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        path.write_bytes(data)
    before = None if path.is_dir() else path.read_bytes()

    with pytest.raises(HistoryError, match=r"h\.db") as caught:
        look_at(path)
    assert isinstance(caught.value, DamagedHistoryError) == (damage != "a folder")
    assert before is None or path.read_bytes()[: len(before)] == before


def test_a_newer_history_is_refused_and_an_older_one_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.db"
    with History.open(path) as history:
        conversation = history.start()
        history.add(conversation, "kept")
    more = (*database.MIGRATIONS, ("ALTER TABLE turn ADD COLUMN mood TEXT",))
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", more)
        with History.open(path) as history:
            assert history._database.row("SELECT text, mood FROM turn") == ("kept", None)
    with pytest.raises(HistoryError, match="newer version"):
        History.open(path)

    broken = (*more, ("ALTER TABLE turn ADD COLUMN more TEXT", "ALTER TABLE nothing ADD COLUMN x"))
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(HistoryError, match="nothing"):
        History.open(path)
    with sqlite3.connect(path) as left:  # all of a version or none of it
        assert left.execute("PRAGMA user_version").fetchone() == (2,)
        assert "more" not in [row[1] for row in left.execute("PRAGMA table_info(turn)")]
    left.close()


def test_a_file_that_another_program_holds_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    with History.open(tmp_path / "h.db") as history:
        other = sqlite3.connect(tmp_path / "h.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="in use"):
            history.start()
        other.execute("ROLLBACK")
        other.close()
        history.start()
