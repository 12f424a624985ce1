"""Conversations: what a turn sends, what the history keeps, and how a saved one goes on elsewhere."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from llmclients import (
    APIError,
    AsyncClient,
    AsyncConversation,
    Client,
    ConfigurationError,
    Conversation,
    InvalidRequestError,
    Message,
    Usage,
)
from llmclients.transports.mock import Cut, MockTransport, Reply

URL = "http://host.test"


def client(*replies: Any, provider: str = "yqcloud", **made: Any) -> tuple[Client, MockTransport]:
    mock = MockTransport(replies)
    return Client(provider, base_url=URL, transport=mock, retry=None, **made), mock


def bodies(mock: MockTransport) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in mock.requests]


def test_yqcloud_keeps_its_user_id_and_the_history_over_turns() -> None:
    made, mock = client(Reply(body="Nile"), Reply(chunks=["6", "650 km"]), Reply(body="Egypt"))
    conversation = made.conversation(system="Be brief.")
    mock.clock.advance(60)
    assert conversation.chat("Name a river.").text == "Nile"
    mock.clock.advance(60)
    assert "".join(map(str, conversation.stream("How long is it?"))) == "6650 km"
    conversation.chat("Where?")
    sent = bodies(mock)
    assert [body["userId"] for body in sent] == ["#/chat/1000000000000"] * 3
    assert [body["system"] for body in sent] == ["Be brief."] * 3
    assert [body["prompt"] for body in sent] == [
        "Name a river.",
        "User: Name a river.\nAssistant: Nile\nUser: How long is it?\nAssistant:",
        "User: Name a river.\nAssistant: Nile\nUser: How long is it?\nAssistant: 6650 km\nUser: Where?\nAssistant:",
    ]
    assert [(message.role, message.text) for message in conversation.messages] == [
        ("user", "Name a river."),
        ("assistant", "Nile"),
        ("user", "How long is it?"),
        ("assistant", "6650 km"),
        ("user", "Where?"),
        ("assistant", "Egypt"),
    ]


def test_an_async_conversation_does_the_same() -> None:
    async def main() -> None:
        mock = MockTransport([Reply(body="Nile"), Reply(chunks=["6650", " km"])])
        made = AsyncClient("yqcloud", base_url=URL, transport=mock)
        conversation = made.conversation(system="Be brief.")
        assert isinstance(conversation, AsyncConversation)
        assert (await conversation.chat("Name a river.")).text == "Nile"
        assert [str(chunk) async for chunk in conversation.stream("How long?")] == ["6650", " km", ""]
        first, second = bodies(mock)
        assert first["userId"] == second["userId"]
        assert second["prompt"] == "User: Name a river.\nAssistant: Nile\nUser: How long?\nAssistant:"
        assert len(conversation.messages) == 4

    asyncio.run(main())


def test_two_conversations_and_single_calls_have_user_ids_of_their_own() -> None:
    made, mock = client(*[Reply(body="x")] * 3)
    first = made.conversation()
    mock.clock.advance(1)
    second = made.conversation()
    mock.clock.advance(1)
    first.chat("a")
    second.chat("b")
    made.chat("c")
    assert [body["userId"] for body in bodies(mock)] == [f"#/chat/{1_000_000_000_000 + 1000 * n}" for n in range(3)]


def test_a_turn_that_failed_or_broke_off_is_not_in_the_history() -> None:
    made, _ = client(Reply(503), Reply(chunks=["half", Cut()]), Reply(chunks=["never ", "read"]), Reply(body="fine"))
    conversation = made.conversation()
    with pytest.raises(APIError):
        conversation.chat("one")
    with pytest.raises(APIError):
        list(conversation.stream("two"))
    with conversation.stream("three") as stream:
        next(stream)
    with pytest.raises(InvalidRequestError):
        conversation.chat("")
    assert conversation.messages == []
    conversation.chat("four")
    assert [message.text for message in conversation.messages] == ["four", "fine"]


def test_a_turn_may_bring_several_messages_and_they_stay_the_callers() -> None:
    made, _ = client(Reply(json={"choices": [{"message": {"content": "ok"}}]}), provider="openai", model="m")
    mine = [Message("user", "a"), {"role": "assistant", "content": "b"}, "c"]
    conversation = made.conversation()
    conversation.chat(mine)
    assert len(mine) == 3
    assert conversation.messages[0] is not mine[0]
    assert [message.text for message in conversation.messages] == ["a", "b", "c", "ok"]


def test_a_conversation_keeps_its_model() -> None:
    reply = Reply(json={"choices": [{"message": {"content": "ok"}}]})
    made, mock = client(reply, reply, provider="openai", model="m")
    made.conversation(model="big").chat("x")
    made.conversation().chat("x")
    assert [body["model"] for body in bodies(mock)] == ["big", "m"]


RESUME = """
import asyncio, json, sys
from llmclients import AsyncClient, Client, Conversation
from llmclients.transports.mock import MockTransport, Reply

saved = sys.stdin.read()
for kind in (Client, AsyncClient):
    mock = MockTransport([Reply(body="6650 km")])
    resumed = Conversation.model_validate_json(saved).bind(kind("yqcloud", base_url="http://host.test", transport=mock))
    turn = resumed.chat("How long?")
    if kind is AsyncClient:
        asyncio.run(turn)
    last = json.loads(resumed.model_dump_json())["messages"][-1]["content"]
    print(json.dumps([json.loads(mock.requests[0].body), last]))
"""


def test_a_saved_conversation_goes_on_in_another_process() -> None:
    made, _ = client(Reply(body="Nile"))
    conversation = made.conversation(system="Be brief.")
    conversation.chat("Name a river.")
    run = subprocess.run(
        [sys.executable, "-c", RESUME],
        input=conversation.model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = run.stdout.splitlines()
    assert len(lines) == 2
    for side, line in zip(("Client", "AsyncClient"), lines, strict=True):
        body, last = json.loads(line)
        assert body["userId"] == conversation.state["userId"], side
        assert body["system"] == "Be brief.", side
        assert body["prompt"] == "User: Name a river.\nAssistant: Nile\nUser: How long?\nAssistant:", side
        assert last == "6650 km", side
    assert len(conversation.messages) == 2


def test_a_conversation_saves_and_loads_whole() -> None:
    made, _ = client(Reply(body="Nile"))
    conversation = made.conversation(system="S", model="gpt-4")
    conversation.chat("Q")
    loaded = Conversation.model_validate_json(conversation.model_dump_json())
    assert loaded.model_dump() == conversation.model_dump()
    assert set(loaded.model_dump()) == {"provider", "model", "system", "messages", "state", "turns", "options"}


def test_a_conversation_without_a_client_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match="bind"):
        Conversation(provider="yqcloud").chat("x")


def test_a_conversation_moves_to_another_provider_with_its_history_and_without_its_state() -> None:
    made, _ = client(Reply(body="Nile"))
    conversation = made.conversation(system="S")
    conversation.chat("Q1")
    other, mock = client(Reply(json={"choices": [{"message": {"content": "long"}}]}), provider="openai", model="m")
    moved = conversation.bind(other)
    moved.chat("Q2")
    assert (moved.provider, moved.state) == ("openai", {})
    assert bodies(mock)[0]["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q1"},
        {"role": "assistant", "content": "Nile"},
        {"role": "user", "content": "Q2"},
    ]
    assert len(conversation.messages) == 2


def test_an_empty_answer_does_not_spoil_the_next_turn() -> None:
    empty = Reply(json={"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]})
    made, mock = client(empty, empty, provider="openai", model="m")
    conversation = made.conversation()
    conversation.chat("a")
    conversation.chat("b")
    assert [message["content"] for message in bodies(mock)[1]["messages"]] == ["a", "", "b"]


def test_half_a_call_does_not_spoil_the_next_turn() -> None:
    calls = [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}
        for id, arguments in (("a", "{}"), ("b", '{"city": "Os'))
    ]
    cut = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "length"}]}
    made, _ = client(Reply(json=cut), provider="openai", model="m", api_key="k")
    conversation = made.conversation()

    response = conversation.chat("Hi")

    assert [call.id for call in response.tool_calls] == ["a", "b"], "the caller sees both"
    assert [call.id for call in conversation.messages[1].tool_calls or ()] == ["a"]


def test_a_conversation_is_bound_to_a_client_and_to_nothing_else() -> None:
    with Client("yqcloud", transport=MockTransport()) as client:
        conversation = client.conversation()
    with pytest.raises(ConfigurationError, match=r"bind\(\) takes a client, not object"):
        conversation.bind(object())  # type: ignore[arg-type]


# --- what a turn took, and saving it ----------------------------------------------------------------------------------

FIRST = {"prompt_tokens": 24, "completion_tokens": 8, "total_tokens": 32}
SECOND = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}


def answered(text: str, usage: dict[str, int] | None, model: str = "gpt-x-1") -> Reply:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return Reply(json={"choices": [choice], "model": model, "usage": usage})


def test_a_conversation_adds_up_what_its_turns_took() -> None:
    made, _ = client(
        answered("a", FIRST), answered("b", SECOND, "gpt-x-2"), answered("c", None), provider="openai", model="m"
    )
    conversation = made.conversation()
    assert conversation.usage == Usage(0, 0, 0, 0, 0, 0)
    first, second = conversation.chat("1"), conversation.chat("2")
    assert first.usage is not None
    assert conversation.usage == first.usage + second.usage == Usage(64, 13, 77)
    assert [(turn.provider, turn.model, turn.finish_reason, turn.usage) for turn in conversation.turns] == [
        ("openai", "gpt-x-1", "stop", Usage(24, 8, 32)),
        ("openai", "gpt-x-2", "stop", Usage(40, 5, 45)),
    ]
    del conversation.messages[:2]
    assert conversation.usage == Usage(64, 13, 77), "shortening the history changes no bill"
    conversation.chat("3")
    assert conversation.usage == Usage(), "one turn's counts are not told"


def test_an_async_one_and_streams_do_as_well() -> None:
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": FIRST, "model": "gpt-x-1"}
    events = [f"data: {json.dumps({'choices': [{'delta': {'content': 'a'}}]})}\n\n", f"data: {json.dumps(end)}\n\n"]

    async def main() -> AsyncConversation:
        mock = MockTransport([Reply(chunks=[*events, "data: [DONE]\n\n"]), answered("b", SECOND)])
        conversation = AsyncClient("openai", model="m", base_url=URL, transport=mock).conversation()
        async for _ in conversation.stream("1"):
            assert conversation.turns == []
        await conversation.chat("2")
        return conversation

    conversation = asyncio.run(main())
    assert conversation.usage == Usage(64, 13, 77)
    assert [turn.model for turn in conversation.turns] == ["gpt-x-1", "gpt-x-1"]


def test_a_saved_conversation_has_no_nulls_and_keeps_what_its_turns_took() -> None:
    made, _ = client(answered("Rome.", FIRST), provider="openai", model="m")
    conversation = made.conversation(system="Be brief.")
    conversation.chat("Capital of Italy?")
    conversation.state["kept"] = {"null": None}

    saved = conversation.model_dump_json()

    assert json.loads(saved) == {
        "provider": "openai",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Capital of Italy?"}, {"role": "assistant", "content": "Rome."}],
        "state": {"kept": {"null": None}},
        "turns": [
            {
                "provider": "openai",
                "model": "gpt-x-1",
                "finish_reason": "stop",
                "usage": {"input_tokens": 24, "output_tokens": 8, "total_tokens": 32},
            }
        ],
    }
    loaded = Conversation.model_validate_json(saved)
    assert loaded.model_dump() == conversation.model_dump()
    assert loaded.bind(made).usage == conversation.usage
    assert json.loads(conversation.model_dump_json(exclude_none=False))["model"] is None


def test_what_is_kept_of_a_turn_is_not_sent() -> None:
    made, mock = client(answered("a", FIRST), answered("b", SECOND), provider="openai", model="m")
    conversation = made.conversation(system="S")
    conversation.chat("1")
    Conversation.model_validate_json(conversation.model_dump_json()).bind(made).chat("2")
    assert bodies(mock)[1] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "2"},
        ],
        "stream": False,
    }


SAVED_BEFORE_TURNS = """{"provider":"yqcloud","model":null,"system":"S","messages":[{"role":"user","content":"Q","name":null,
"tool_calls":null,"tool_call_id":null,"is_error":null,"reasoning":null,"provider_data":null},{"role":"assistant","content":"Nile",
"name":null,"tool_calls":null,"tool_call_id":null,"is_error":null,"reasoning":null,"provider_data":null}],
"state":{"userId":"#/chat/1"}}"""


def test_a_file_of_a_version_that_kept_no_turns_loads_and_its_tokens_are_not_told() -> None:
    made, mock = client(Reply(body="Egypt"))
    conversation = Conversation.model_validate_json(SAVED_BEFORE_TURNS).bind(made)
    assert conversation.usage == Usage()
    conversation.chat("Where?")
    assert bodies(mock)[0]["prompt"] == "User: Q\nAssistant: Nile\nUser: Where?\nAssistant:"
    assert conversation.usage == Usage()
    assert Conversation.model_validate_json(conversation.model_dump_json()).model_dump() == conversation.model_dump()


# --- beginning with messages, and copies ------------------------------------------------------------------------------


def test_a_conversation_begins_with_the_messages_it_is_given() -> None:
    example = ["Capital of Italy?", {"role": "assistant", "content": "Rome."}]
    made, mock = client(answered("Paris.", FIRST), provider="openai", model="m")
    conversation = made.conversation(system="S", messages=example)
    assert conversation.usage == Usage(0, 0, 0, 0, 0, 0), "an example took nothing"
    conversation.chat("Of France?")
    assert [message["content"] for message in bodies(mock)[0]["messages"]] == [
        *("S", "Capital of Italy?", "Rome.", "Of France?"),
    ]
    assert (len(example), len(conversation.messages), len(conversation.turns)) == (2, 4, 1)
    assert made.conversation(messages=[]).messages == []
    assert [message.text for message in made.conversation(messages="Hi").messages] == ["Hi"]
    mine = Message("user", "mine")
    assert made.conversation(messages=[mine]).messages[0] is not mine
    for bad in ([""], [5], 5):
        with pytest.raises(InvalidRequestError, match="messages"):
            made.conversation(messages=bad)  # type: ignore[arg-type]
    begun = AsyncClient("openai", transport=MockTransport(), api_key="k").conversation(messages=["Hi"])
    assert isinstance(begun, AsyncConversation)
    assert begun.messages == [Message("user", "Hi")]


COPIES = {
    "conversation.copy()": lambda conversation: conversation.copy(),
    "copy.deepcopy": copy.deepcopy,
    "model_copy(deep=True)": lambda conversation: conversation.model_copy(deep=True),
    "of a copy": lambda conversation: copy.deepcopy([conversation.copy()])[0],
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_goes_on_by_itself_through_the_same_client(how: str) -> None:
    made, mock = client(*[answered(text, FIRST) for text in "abc"], provider="openai", model="m")
    conversation = made.conversation(system="S")
    conversation.chat("1")
    conversation.state["kept"] = []

    second = COPIES[how](conversation)
    assert type(second) is Conversation
    assert second == conversation
    second.chat("2")
    second.messages[0].content = "changed"
    second.state["kept"].append(1)

    assert [message.text for message in conversation.messages] == ["1", "a"]
    assert (len(conversation.turns), len(second.turns), conversation.state) == (1, 2, {"kept": []})
    conversation.chat("3")
    assert len(mock.requests) == 3


def test_an_unbound_and_an_async_one_are_copied_too() -> None:
    unbound = Conversation(provider="openai", messages=[Message("user", "Hi")])
    assert unbound.copy() == copy.deepcopy(unbound) == unbound
    with pytest.raises(ConfigurationError, match="has no client"):
        unbound.copy().chat("x")

    async def main() -> None:
        mock = MockTransport([answered("a", FIRST)])
        conversation = AsyncClient("openai", model="m", base_url=URL, transport=mock).conversation()
        assert str(await copy.deepcopy(conversation).chat("Hi")) == "a"
        assert conversation.messages == []

    asyncio.run(main())


ANSWER = {"choices": [{"message": {"content": "Nile"}, "finish_reason": "stop"}]}


def test_messages_that_are_put_into_the_history_may_be_text_and_dicts() -> None:
    made, mock = client(Reply(json=ANSWER), provider="openai/m", api_key="k")
    conversation = made.conversation()
    conversation.messages += ["Hi", {"role": "assistant", "content": "Hello"}]  # type: ignore[list-item]
    saved = conversation.model_dump_json()
    conversation.messages[1] = {"role": "assistant", "content": "Hello"}  # type: ignore[call-overload]
    conversation.chat("A river?")
    assert [message["content"] for message in bodies(mock)[0]["messages"]] == ["Hi", "Hello", "A river?"]
    assert Conversation.model_validate_json(saved).messages == [Message("user", "Hi"), Message("assistant", "Hello")]
    conversation.messages.append({"rol": "user"})  # type: ignore[arg-type]
    for use in (lambda: conversation.chat("Hi"), conversation.model_dump_json, lambda: conversation.bind(made)):
        with pytest.raises(InvalidRequestError, match=r"messages\[4\]: Message: role"):
            use()
