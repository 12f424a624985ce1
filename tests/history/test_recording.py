"""`Client(log=…)`: what a client's calls leave in the history, through both clients, whole and streamed."""

from __future__ import annotations

import asyncio
import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmclients import AsyncClient, Client, ConfigurationError, ImagePart, Message
from llmclients.errors import APIError, RateLimitError, StructuredOutputError
from llmclients.history import History, HistoryError, HistoryWarning, StoredConversation
from llmclients.testing import MockTransport, Reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))


def city(name: str) -> str:
    """What there is to know about a city."""
    return f"{name} is sunny"


class Side:
    """The same calls through either client."""

    def __init__(self, is_async: bool, log: Any) -> None:
        self.is_async = is_async
        self.log = log

    def client(self, *replies: Any, **arguments: Any) -> Any:
        kind: Any = AsyncClient if self.is_async else Client
        given = {"api_key": "sk-secret", "transport": MockTransport(list(replies)), "log": self.log, "retry": None}
        return kind("openai/gpt-4.1-mini", **(given | arguments))

    def chat(self, asked: Any, *messages: Any, **options: Any) -> Any:
        """The answer of a client, or of a conversation."""
        return asyncio.run(asked.chat(*messages, **options)) if self.is_async else asked.chat(*messages, **options)

    def stream(self, asked: Any, *messages: Any, chunks: int | None = None) -> None:
        """Reads a stream, or its first chunks."""
        stream = asked.stream(*messages)
        if not self.is_async:
            for count, _ in enumerate(stream, 1):
                if count == chunks:
                    break
            return

        async def read() -> None:
            count = 0
            async for _ in stream:
                if (count := count + 1) == chunks:
                    break

        asyncio.run(read())


@pytest.fixture
def history() -> Iterator[History]:
    with History.in_memory() as history:
        yield history


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def side(request: pytest.FixtureRequest, history: History) -> Side:
    return Side(request.param, history)


def recorded(history: History) -> list[list[str]]:
    """The branch that is shown of each conversation, the oldest first: who said what."""
    oldest_first = history.conversations()[::-1]
    return [[f"{turn.role}: {turn.text}" for turn in history.turns(one)] for one in oldest_first]


def only(history: History) -> StoredConversation:
    (conversation,) = history.conversations()
    return conversation


def test_a_conversation_is_recorded_as_one_whole_and_streamed(side: Side, history: History) -> None:
    client = side.client(Reply.text("Hi.", model="gpt-x"), Reply.stream("The ", "Nile."), Reply.text("6650 km."))
    conversation = client.conversation(system="Be brief.")
    side.chat(conversation, "Hello", temperature=0, stop=["x"])
    side.stream(conversation, "The longest river?")
    side.chat(client, [*conversation.messages, "How long?"])  # without the system text it is another chat

    found = history.conversations()[::-1]
    assert recorded(history) == [
        ["user: Hello", "assistant: Hi.", "user: The longest river?", "assistant: The Nile."],
        [
            *("user: Hello", "assistant: Hi.", "user: The longest river?", "assistant: The Nile."),
            *("user: How long?", "assistant: 6650 km."),
        ],
    ]
    assert (found[0].system, found[0].source, found[0].options) == ("Be brief.", "library", {"temperature": 0})
    assert (found[0].title, found[0].provider, found[0].model) == ("Hello", "openai", "gpt-4.1-mini")
    first = history.turns(found[0])[1]
    assert (first.model, first.finish_reason, first.state) == ("gpt-x", "stop", "complete")
    assert first.usage is not None
    assert history.search("longest")


def test_an_edited_question_and_a_second_answer_are_branches_and_equal_first_questions_are_not(
    side: Side, history: History
) -> None:
    client = side.client(*map(Reply.text, ["A1", "A2", "A2 again", "A2 of another", "A1"]))
    side.chat(client, "Q1")
    so_far = [Message("user", "Q1"), Message("assistant", "A1", reasoning="left out of the comparison")]
    for question in ("Q2", "Q2", "Q2 edited"):
        side.chat(client, [*so_far, question])
    side.chat(client, "Q1")

    assert recorded(history) == [
        ["user: Q1", "assistant: A1", "user: Q2 edited", "assistant: A2 of another"],
        ["user: Q1", "assistant: A1"],
    ]
    first = history.conversations()[-1]
    assert [turn.text for turn in history.all_turns(first)] == [
        *("Q1", "A1", "Q2", "A2", "A2 again", "Q2 edited", "A2 of another"),
    ]


def test_the_turns_of_run_tools_are_one_branch(side: Side, history: History) -> None:
    client = side.client(Reply.tool_call("city", name="Rome"), Reply.text("Sunny."))
    side.chat(client, Message("user", ["Rome?", ImagePart(PNG)]), run_tools=True, tools=[city])

    assert recorded(history) == [["user: Rome?", "assistant: ", "tool: Rome is sunny", "assistant: Sunny."]]
    question, call, result, _ = history.turns(only(history))
    assert history.blob(question.parts[1]["blob"]).data == PNG
    assert (call.tool_calls[0]["name"], result.tool_call_id) == ("city", call.tool_calls[0]["id"])


def test_how_retries_and_fallbacks_ended_is_recorded(side: Side, history: History) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROQ_API_KEY", "sk-other")
        client = side.client(
            *(Reply.error(500, "busy"), Reply.error(500, "busy"), Reply.text("from the other")),
            retry=2,
            fallback=["groq/llama"],
        )
    side.chat(client, "Hi")
    answer = history.turns(only(history))[1]
    assert (answer.text, answer.provider, answer.model, answer.state) == ("from the other", "groq", "llama", "complete")
    assert [line.split(":")[0] for line in answer.previous_errors] == ["InternalServerError"] * 2


def test_a_call_that_fails_is_recorded_with_what_had_come(side: Side, history: History) -> None:
    client = side.client(
        Reply.error(429, "slow down, sk-secret"),
        Reply(chunks=['data: {"choices": [{"delta": {"content": "Once upon"}}]}\n\n']),
        Reply.text("no JSON"),
    )
    calls: list[tuple[type[APIError], Callable[[], Any]]] = [
        (RateLimitError, lambda: side.chat(client, "one")),
        (APIError, lambda: side.stream(client, "two")),
        (StructuredOutputError, lambda: side.chat(client, "three", response_format=dict[str, int])),
    ]
    for kind, call in calls:
        with pytest.raises(kind):
            call()

    answers = [history.turns(one)[-1] for one in history.conversations()[::-1]]
    assert [answer.text for answer in answers] == ["", "Once upon", "no JSON"]
    assert {answer.state for answer in answers} == {"broken"}
    kinds = [answer.error and answer.error.kind for answer in answers]
    assert kinds == ["RateLimitError", "StreamInterruptedError", "StructuredOutputError"]
    assert answers[0].provider == "openai"
    assert "sk-secret" not in str(answers)


def test_a_stream_that_is_left_is_recorded_with_the_next_call_or_the_client_s_end(side: Side, history: History) -> None:
    client = side.client(Reply.stream("Once ", "upon ", "a time"), Reply.text("Hi."), Reply.stream("Twice ", "upon"))
    side.stream(client, "left", chunks=2)
    side.chat(client, "next")
    assert recorded(history) == [["user: left", "assistant: Once "], ["user: next", "assistant: Hi."]]
    left = history.turns(history.conversations()[-1])[1]
    assert (left.state, left.error and left.error.message) == ("broken", "left before its end")
    side.stream(client, "left again", chunks=2)
    del client

    assert recorded(history)[-1] == ["user: left again", "assistant: Twice "]


def test_a_history_that_cannot_be_written_costs_no_answer(side: Side, history: History) -> None:
    client = side.client(Reply.text("Hi."))
    history.close()

    with pytest.warns(HistoryWarning, match="not recorded: the history is closed"):
        assert side.chat(client, "Hello").text == "Hi."


def test_what_log_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(log: Any) -> Client:
        replies = MockTransport([Reply.text("Hi.")] * 4)
        client = Client("openai/m", api_key="k", transport=replies, log=log)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.chat("Hello")
        return client

    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(tmp_path / "users.db"))
    for log, path in ((True, "users.db"), (tmp_path / "given.db", "given.db"), (f"{tmp_path}/text.db", "text.db")):
        ask(log)
        with History.open(tmp_path / path) as history:
            assert recorded(history) == [["user: Hello", "assistant: Hi."]]
    for nothing in (None, False):
        assert vars(ask(nothing)).get("_recorder") is None
    monkeypatch.setenv("LLMCLIENTS_HISTORY", "off")
    ask(True)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"users.db", "given.db", "text.db"}

    for odd in ("", 0, 1, b"x", [], object()):
        with pytest.raises(ConfigurationError) as caught:
            ask(odd)
        assert caught.value.argument == "log"
    with pytest.raises(HistoryError):
        ask(tmp_path)
    with pytest.raises(ConfigurationError, match="did you mean 'log'"):
        Client("openai/m", api_key="k", logg=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_copies_of_a_client_record_as_well(kind: Any, tmp_path: Path) -> None:
    client = kind("ylokh", base_url="http://127.0.0.1:1", log=tmp_path / "h.db", retry=None)
    for copied in (copy.copy(client), pickle.loads(pickle.dumps(client))):
        with pytest.raises(APIError):
            Side(kind is AsyncClient, None).chat(copied, "Hi")
    with History.open(tmp_path / "h.db") as history:
        assert len(history.conversations()) == 2
    with History.in_memory() as memory, pytest.raises(TypeError, match="in memory"):
        pickle.dumps(kind("ylokh", log=memory, base_url="http://127.0.0.1:1"))
