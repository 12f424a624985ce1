"""Conversations and turns: what is stored is found again as it was, on every branch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llmclients import ChatResponse, Chunk, ImagePart, Message, TextPart, ToolCall, ToolCallDelta, Usage
from llmclients.errors import APIStatusError, ConfigurationError, InvalidRequestError, StreamInterruptedError
from llmclients.history import ConversationNotFoundError, History, HistoryError, StoredError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))


@pytest.fixture
def history() -> Iterator[History]:
    with History.in_memory() as history:
        yield history


def texts(history: History, conversation: Any) -> list[str]:
    return [turn.text for turn in history.turns(conversation)]


def test_a_message_comes_back_as_it_was(history: History) -> None:
    conversation = history.start(provider="openai", model="m", system="Be brief.", options={"temperature": 0})
    sent = [
        Message(
            "user", [TextPart(text="What is it?"), ImagePart(PNG, detail="low"), ImagePart("https://host.test/a.png")]
        ),
        Message(
            "assistant",
            None,
            tool_calls=[ToolCall("c1", "look", '{"x": "\u00e9"}', {"gemini": {"signature": "s"}})],
            reasoning="hm",
            provider_data={"openai": {"signature": "s"}},
        ),
        Message("tool", "a cat", name="look", tool_call_id="c1", is_error=False),
        Message("user", "half \ud83d of a pair, and a \0".replace("\ud83d", "")),
    ]
    for message in sent:
        history.add(conversation, message)

    assert history.messages(conversation) == [Message("system", "Be brief."), *sent]
    found = history.conversation(conversation.id)
    assert (found.title, found.length, found.options) == ("What is it?", 4, {"temperature": 0})
    assert [turn.number for turn in history.turns(conversation)] == [0, 1, 2, 3]
    json.dumps([turn.to_dict() for turn in history.turns(conversation)])


def test_the_bytes_of_an_image_are_stored_once_and_go_with_the_last_turn_that_has_them(history: History) -> None:
    one, two = history.start(), history.start()
    for conversation in (one, one, two):
        history.add(conversation, Message("user", [ImagePart(PNG)]))
    name = history.turns(one)[0].parts[0]["blob"]

    assert history.blob(name) == ("image/png", PNG)
    history.delete(one)
    assert history.blob(name).data == PNG
    history.delete(two)
    with pytest.raises(ConversationNotFoundError):
        history.blob(name)


def test_an_answer_is_there_while_it_streams_and_whole_at_its_end(history: History) -> None:
    conversation = history.start()
    history.add(conversation, "Hi")
    with history.answer(conversation, provider="openai", model="asked") as writer:
        writer.write(Chunk(reasoning="hm"))
        writer.write("Hel")
        writer.gather(Chunk(text="lo"))
        assert texts(history, conversation) == ["Hi", "Hel"]
        writer.flush()
        writer.write(Chunk(tool_calls=[ToolCallDelta(index=0, id="c", name="f", arguments='{"a"')]))
        writer.write(Chunk(tool_calls=[ToolCallDelta(index=0, arguments=": 1}")]))
        (streaming,) = history.turns(conversation)[1:]
        assert (streaming.state, streaming.text, streaming.reasoning) == ("streaming", "Hello", "hm")
        assert streaming.tool_calls == [{"id": "c", "name": "f", "arguments": '{"a": 1}'}]
        usage = Usage(input_tokens=3, output_tokens=2)
        raw = {"usage": {"cost": 0.25}}
        response = ChatResponse(text="Hello!", provider="openai", model="m", usage=usage, finish_reason="stop", raw=raw)
        writer.complete(response)

    turn = history.turns(conversation)[1]
    assert (turn.state, turn.text, turn.model, turn.usage, turn.cost) == ("complete", "Hello!", "m", usage, 0.25)
    assert turn.started <= (turn.first_token or 0) <= (turn.ended or 0) <= time.time()
    with pytest.raises(InvalidRequestError, match="has ended"):
        writer.write("more")


def test_what_came_of_a_broken_answer_stays_with_the_reason(history: History) -> None:
    conversation = history.start()
    question = history.add(conversation, "Hi")
    interrupted = StreamInterruptedError("cut", partial=ChatResponse(text="Once upon", provider="p"))
    interrupted.previous_errors = (APIStatusError("HTTP 500", status_code=500),)
    for text, error in (("Once upon", interrupted), ("A time", KeyboardInterrupt())):
        with suppress(type(error)), history.answer(conversation, parent=question.id) as writer:
            writer.write(text)
            raise error
    with history.answer(conversation, parent=question.id) as writer:
        writer.write("void")
        writer.write(Chunk(restarted=True))
        writer.write("anew")

    one, two, three = (history.turn(id) for id in history.turns(conversation)[1].siblings)
    assert {one.state, two.state, three.state} == {"broken"}
    assert (one.text, one.error, one.provider) == ("Once upon", StoredError("StreamInterruptedError", "cut"), "p")
    assert one.previous_errors == ["APIStatusError: HTTP 500"]
    assert (two.text, two.error) == ("A time", StoredError("KeyboardInterrupt", ""))
    assert (three.text, three.error) == ("anew", StoredError("Interrupted", "left before its end"))
    assert history.messages(conversation)[-1] == Message("assistant", "anew")


def test_what_cannot_be_sent_is_not_among_the_messages(history: History) -> None:
    conversation = history.start()
    history.add(conversation, "Hi")
    history.answer(conversation).broke("refused")
    history.add(conversation, "Again")
    history.answer(conversation).complete(
        ChatResponse(text="I look.", tool_calls=[ToolCall("c1", "look", "{}")], provider_data={"openai": {}})
    )
    history.add(conversation, "And?")

    assert history.messages(conversation) == [
        *(Message("user", text) for text in ("Hi", "Again")),
        Message("assistant", "I look."),
        Message("user", "And?"),
    ]


def test_every_retry_edit_and_branch_stays(history: History) -> None:
    conversation = history.start()
    first = history.add(conversation, "Q1")
    history.answer(conversation).complete(ChatResponse(text="A1"))
    second = history.add(conversation, "Q2")
    history.answer(conversation).complete(ChatResponse(text="A2"))
    history.answer(conversation, parent=second.id).complete(ChatResponse(text="A2 again"))
    assert texts(history, conversation) == ["Q1", "A1", "Q2", "A2 again"]

    edited = history.add(conversation, "Q1 edited", parent=None)
    assert texts(history, conversation) == ["Q1 edited"]
    assert edited.siblings == (first.id, edited.id)

    history.show_branch(first.id)
    assert texts(history, conversation) == ["Q1", "A1", "Q2", "A2 again"]
    other = history.turns(conversation)[-1].siblings[0]
    assert history.show_branch(other).leaf == other
    assert texts(history, conversation) == ["Q1", "A1", "Q2", "A2"]
    assert [message.text for message in history.messages(conversation, leaf=second.id)] == ["Q1", "A1", "Q2"]
    assert len(history.all_turns(conversation)) == 6
    last = history.turns(conversation, limit=2)
    assert [turn.text for turn in last] == ["Q2", "A2"]
    assert [turn.text for turn in history.turns(conversation, limit=2, before=last[0].id)] == ["Q1", "A1"]

    stranger = history.start()
    with pytest.raises(ConversationNotFoundError, match=f"no turn {first.id}"):
        history.add(stranger, "below another's", parent=first.id)


def test_conversations_are_listed_and_named_by_the_beginning_of_their_id(history: History) -> None:
    made = [history.start(title=str(number), source="page" if number % 2 else "terminal") for number in range(5)]
    history.add(made[1], "Hi")
    assert [one.title for one in history.conversations(2)] == ["1", "4"]
    assert [one.title for one in history.conversations(2, before=history.conversations(2)[-1])] == ["3", "2"]
    assert [one.title for one in history.conversations(source="page")] == ["1", "3"]
    assert sorted(one.id for one in made) == [one.id for one in made] or len({one.id[:9] for one in made}) < 5
    assert history.conversation(made[0].id[:-1]).id == made[0].id or made[0].id[:-1] == made[1].id[:-1]

    for name, message in (("", "no conversation"), ("zz", "no conversation 'zz'"), (made[0].id[0], "give more")):
        with pytest.raises(ConversationNotFoundError, match=message):
            history.conversation(name)
    assert history.rename(made[0], "Rivers").title == "Rivers"
    assert history.configure(made[0], model="m", options=None).model == "m"
    with pytest.raises(InvalidRequestError, match="colour"):
        history.configure(made[0], colour="red")
    with pytest.raises(InvalidRequestError):
        history.add(made[0], "")


def test_any_text_can_be_searched_for(history: History) -> None:
    conversation = history.start()
    for text in (
        "Das Caf\u00e9 an der Spree",
        "C++ and f(x) -> NEAR",
        "It is 100% OR nothing",
        "the river Nile, the longest river",
    ):
        history.add(conversation, text)

    def found(text: str) -> list[str]:
        return [hit.snippet for hit in history.search(text)]

    assert found("CAFE spr") == ["Das Caf\u00e9 an der Spree"]
    assert found("caf nile") == []
    assert found("longest river") == found('"longest river"') == found("riv") == ["the river Nile, the longest river"]
    assert found('"nile longest"') == found('"riv"') == found("iver") == []
    for odd in (
        '"',
        '""',
        'a" OR',
        "***",
        "NEAR(",
        "text:b",
        "-x",
        "()",
        '"open',
        "\U0001f600",
        "^",
        "a\0b",
        "",
        " ",
        "{",
    ):
        history.search(odd)
        history.conversations(search=odd)
    assert found("c++") == found("NEAR(") == ["C++ and f(x) -> NEAR"]
    assert found("***") == []
    (hit,) = history.search("nile")
    assert hit.pieces == (("the river ", False), ("Nile", True), (", the longest river", False))
    assert (hit.conversation, hit.title, hit.role) == (conversation.id, "Das Caf\u00e9 an der Spree", "user")


def test_a_search_finds_titles_finished_answers_and_nothing_that_was_removed(history: History) -> None:
    one, two = history.start(), history.start(title="Ganges")
    history.add(one, "Which river?")
    writer = history.answer(one)
    writer.write("The Ganges")
    assert [found.id for found in history.conversations(search="gang")] == [two.id]
    writer.complete(ChatResponse(text="The Ganges."))
    assert {found.id for found in history.conversations(search="gang")} == {one.id, two.id}
    assert history.search("ganges", conversation=two) == []
    history.rename(two, "Rhine")
    assert [found.id for found in history.conversations(search="gang")] == [one.id]
    history.delete(one)
    assert history.search("ganges") == history.conversations(search="gang") == []


def test_costs_add_up_and_what_nobody_knows_is_counted_as_unknown(history: History) -> None:
    conversation = history.start()
    answers: list[tuple[Any, Any, float | None]] = [
        (Usage(input_tokens=3, output_tokens=2), {"usage": {"cost": 0.5}}, None),
        (Usage(input_tokens=4), {"usage": {"cost": "much"}}, None),
        (None, None, 0.25),
        (None, {"usage": {"cost": float("nan")}}, None),
    ]
    for usage, raw, cost in answers:
        history.answer(conversation).complete(ChatResponse(text="x", usage=usage, raw=raw), cost=cost)

    cost = history.cost(conversation)
    assert (cost.answers, cost.dollars, cost.without_cost, cost.without_usage) == (4, 0.75, 2, 2)
    assert (cost.usage.input_tokens, cost.usage.output_tokens, cost.usage.total_tokens) == (7, 2, None)


def test_exports_have_everything(history: History) -> None:
    conversation = history.start(provider="openai", system="Be brief.")
    history.add(conversation, Message("user", ["Look", ImagePart(PNG)]))
    history.answer(conversation).complete(
        ChatResponse(reasoning="hm", tool_calls=[ToolCall("c", "look", '{"a": "```"}')], model="m")
    )
    history.add(conversation, Message("tool", "a cat", name="look", tool_call_id="c"))
    writer = history.answer(conversation)
    writer.write("It is a c")
    writer.broke("stopped")

    lines = [json.loads(line) for line in history.export_jsonl()]
    assert [line["type"] for line in lines] == ["conversation", *["turn"] * 4]
    assert ImagePart(data=lines[1]["parts"][1]["data"]).data == PNG
    assert lines[1]["parent"] is None
    assert lines[2]["parent"] == lines[1]["id"]
    page = history.export_markdown(conversation).partition("## System")[2]
    assert page.split("\n\n") == [
        *("", "Be brief.", "## User", "Look", f"*image: image/png, {len(PNG)} bytes*"),
        *("## Assistant (m)", "> hm", "Calls `look`:", '````json\n{"a": "```"}\n````'),
        *("## Tool look", "```\na cat\n```", "## Assistant", "It is a c", "*Broke off: Interrupted: stopped*\n"),
    ]


def test_a_long_conversation_opens_at_once(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History.open(path) as history:
        conversation = history.start()
        number, _ = history._number(conversation)
        with history._database.transaction() as connection:
            rows = [(id, number, id - 1 or None, id - 1, "user", f"word{id}", "complete", 0) for id in range(1, 10_001)]
            names = "id, conversation, parent, depth, role, text, state, started"
            connection.executemany(f"INSERT INTO turn ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("UPDATE conversation SET leaf = 10000")
    took = []
    for _ in range(5):
        began = time.process_time()
        with History.open(path) as history:
            turns = history.turns(history.conversation(conversation.id), limit=200)
            length = history.conversation(conversation.id).length
            took.append(time.process_time() - began)

    assert (len(turns), turns[0].text, turns[-1].text, length) == (200, "word9801", "word10000", 10_000)
    assert min(took) < 0.02


def test_a_history_that_is_closed_or_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLIENTS_HISTORY", "off")
    monkeypatch.chdir(tmp_path)
    with History.open() as history:
        history.add(history.start(), "Hi")
        assert history.path is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(HistoryError, match="is closed"):
        history.start()
    history.close()


def test_the_user_s_history_is_where_such_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLIENTS_HISTORY", f"{tmp_path}/deep/er/h.db")
    with History.open() as history:
        history.start()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").rglob("*")}
    assert {modes.pop("er"), (tmp_path / "deep").stat().st_mode & 0o777} == {0o700}
    assert set(modes.values()) == {0o600}
    assert set(modes) == {"h.db", "h.db-wal", "h.db-shm"}

    monkeypatch.delenv("LLMCLIENTS_HISTORY")
    monkeypatch.setitem(__import__("sys").modules, "platformdirs", None)
    with pytest.raises(ConfigurationError, match="LLMCLIENTS_HISTORY"):
        History.open()
