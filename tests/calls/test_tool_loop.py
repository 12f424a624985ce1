"""Tools that are run: through both clients, until the model answers or may not ask any more."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import AsyncClient, Client, RetryPolicy
from llmclients.errors import (
    APIStatusError,
    InternalServerError,
    InvalidRequestError,
    StructuredOutputError,
    ToolLoopError,
)
from llmclients.testing import MockTransport, Reply
from llmclients.types.content import ImagePart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse, Usage


def weather(city: str) -> dict[str, Any]:
    """The weather."""
    return {"city": city, "celsius": 4}


async def clock(zone: str) -> str:
    """The time."""
    await asyncio.sleep(0)
    return f"12:00 {zone}"


def broken() -> None:
    """Fails."""
    raise RuntimeError("the sensor is wet")


def exhausted() -> None:
    """Ends as an iterator does."""
    return next(iter(()))


def half() -> None:
    """Says what no UTF-8 can."""
    raise ValueError("no \ud83d")


class Place(BaseModel):
    """Not a function."""

    city: str


def asks(*calls: tuple[str, str, str], usage: tuple[int, int] | None = (10, 2), reason: str = "tool_calls") -> Reply:
    """A reply that asks for calls: id, name and arguments."""
    return Reply(
        json={
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [
                            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                            for id, name, arguments in calls
                        ],
                    },
                    "finish_reason": reason,
                }
            ],
            **({} if usage is None else {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}),
        }
    )


def says(text: str, usage: tuple[int, int] | None = (20, 5)) -> Reply:
    counts = {} if usage is None else {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}
    return Reply(json={"choices": [{"message": {"content": text}, "finish_reason": "stop"}], **counts})


class Sides:
    """The same chat through either client."""

    def __init__(self, asynchronous: bool) -> None:
        self.asynchronous = asynchronous

    def chat(self, mock: MockTransport, messages: Any = "Hi", **options: Any) -> ChatResponse:
        arguments: dict[str, Any] = {
            "model": "m",
            "base_url": "http://mock/v1",
            "api_key": "key",
            "retry": RetryPolicy(attempts=1),
            "transport": mock,
        }
        if not self.asynchronous:
            with Client("openai", **arguments) as client:
                return client.chat(messages, run_tools=True, **options)

        async def main() -> ChatResponse:
            async with AsyncClient("openai", **arguments) as client:
                return await client.chat(messages, run_tools=True, **options)

        return asyncio.run(main())


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Sides:
    return Sides(request.param)


def sent(mock: MockTransport) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in mock.requests]


def test_calls_are_made_and_their_results_are_told_until_there_is_an_answer(side: Sides) -> None:
    mock = MockTransport(
        [
            asks(("a", "weather", '{"city": "Oslo"}'), ("b", "clock", '{"zone": "UTC"}')),
            asks(("c", "weather", '{"city": "Bergen"}'), usage=(15, 3)),
            says("4 degrees at noon."),
        ]
    )

    response = side.chat(mock, tools=[weather, clock])

    assert response.text == "4 degrees at noon."
    assert response.usage == Usage(input_tokens=45, output_tokens=10)
    assert response.intermediate_messages == [
        Message(
            "assistant",
            tool_calls=[
                ToolCall(id="a", name="weather", arguments='{"city": "Oslo"}'),
                ToolCall(id="b", name="clock", arguments='{"zone": "UTC"}'),
            ],
        ),
        Message("tool", '{"city":"Oslo","celsius":4}', "weather", tool_call_id="a", is_error=False),
        Message("tool", "12:00 UTC", "clock", tool_call_id="b", is_error=False),
        Message("assistant", tool_calls=[ToolCall(id="c", name="weather", arguments='{"city": "Bergen"}')]),
        Message("tool", '{"city":"Bergen","celsius":4}', "weather", tool_call_id="c", is_error=False),
    ]
    assert response.messages == [*response.intermediate_messages, Message("assistant", "4 degrees at noon.")]
    bodies = sent(mock)
    assert [len(body["messages"]) for body in bodies] == [1, 4, 6]
    assert bodies[2]["messages"][:4] == bodies[1]["messages"]
    assert [tool["function"]["name"] for tool in bodies[0]["tools"]] == ["weather", "clock"]
    assert bodies[0]["tools"] == bodies[2]["tools"]


def test_the_model_is_told_what_went_wrong(side: Sides, subtests: pytest.Subtests) -> None:
    cases: list[tuple[tuple[str, str, str], str]] = [
        (("a", "broken", "{}"), "Error: RuntimeError: the sensor is wet"),
        (
            ("a", "weather", '{"town": "Oslo"}'),
            "Error: the arguments do not fit: city: Missing required argument; town: ",
        ),
        (("a", "weather", '{"city": "Os'), "Error: the arguments of the call of weather are not JSON"),
        (("a", "weather", '{"a":' * 3000), "Error: the arguments of the call of weather are not JSON"),
        (("a", "exhausted", "{}"), "Error: StopIteration: "),
        (("a", "half", "{}"), "Error: ValueError: no \\ud83d"),
        (("a", "wether", "{}"), "Error: there is no tool 'wether': there are weather, broken, exhausted, half"),
    ]
    for call, words in cases:
        with subtests.test(words):
            mock = MockTransport([asks(call), says("Sorry.")])

            response = side.chat(mock, tools=[weather, broken, exhausted, half])

            assert response.text == "Sorry."
            assert response.intermediate_messages[1].text.startswith(words)
            assert response.intermediate_messages[1].is_error is True
            assert sent(mock)[1]["messages"][-1]["content"].startswith(words)


def test_a_call_that_is_no_json_goes_back_as_one_that_every_wire_can_carry(side: Sides) -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Os')), says("Sorry.")])

    response = side.chat(mock, tools=[weather])

    assert sent(mock)[1]["messages"][1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert [message.role for message in response.messages] == ["assistant", "tool", "assistant"]


def test_a_result_that_cannot_be_sent_ends_the_loop_and_loses_nothing(side: Sides) -> None:
    def look() -> ImagePart:
        return ImagePart(b"\x89PNG\r\n\x1a\n")

    mock = MockTransport([asks(("a", "look", "{}"))])

    with pytest.raises(
        ToolLoopError, match=r"what the tools returned cannot be sent: .*only a user's message"
    ) as caught:
        side.chat(mock, tools=[look])

    assert len(mock.requests) == 1
    response = caught.value.response
    assert response is not None
    assert [message.role for message in response.intermediate_messages] == ["assistant", "tool"]
    assert response.usage == Usage(input_tokens=10, output_tokens=2)


def test_what_is_no_exception_of_the_tool_s_ends_the_call(side: Sides) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side.chat(MockTransport([asks(("a", "interrupted", "{}"))]), tools=[interrupted])


def test_after_so_many_turns_it_is_enough(side: Sides) -> None:
    mock = MockTransport([asks((f"c{turn}", "weather", '{"city": "Oslo"}')) for turn in range(3)])

    with pytest.raises(ToolLoopError, match=r"after 3 turns \(max_turns\) the model still asks for weather") as caught:
        side.chat(mock, tools=[weather], max_turns=3)

    assert len(mock.requests) == 3
    response = caught.value.response
    assert response is not None
    assert [message.role for message in response.messages] == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert response.tool_calls[0].id == "c2"
    assert response.usage == Usage(input_tokens=30, output_tokens=6)


def test_a_forced_call_is_forced_once(side: Sides) -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}')), says("4.")])

    side.chat(mock, tools=[weather], tool_choice="weather")

    first, second = sent(mock)
    assert first["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert "tool_choice" not in second


def test_a_call_of_what_is_no_function_is_the_caller_s(side: Sides) -> None:
    response = side.chat(MockTransport([asks(("a", "Place", '{"city": "Oslo"}'))]), tools=[weather, Place])

    assert response.finish_reason == "tool_calls"
    assert response.tool_calls[0].arguments == {"city": "Oslo"}
    assert response.intermediate_messages == []


def test_a_cut_call_is_not_made(side: Sides) -> None:
    response = side.chat(MockTransport([asks(("a", "weather", '{"city": "Os'), reason="length")]), tools=[weather])

    assert response.finish_reason == "length"
    assert response.tool_calls[0].arguments_text == '{"city": "Os'


def test_an_error_keeps_what_was_done(side: Sides) -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}')), Reply(500)])

    with pytest.raises(InternalServerError) as caught:
        side.chat(mock, tools=[weather])

    assert caught.value.partial is not None
    assert [message.role for message in caught.value.partial.intermediate_messages] == ["assistant", "tool"]


def test_the_first_error_has_nothing_to_keep(side: Sides) -> None:
    with pytest.raises(APIStatusError) as caught:
        side.chat(MockTransport([Reply(400)]), tools=[weather])

    assert caught.value.partial is None


def test_counts_that_one_turn_lacks_are_not_known(side: Sides) -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}'), usage=None), says("4.")])

    assert side.chat(mock, tools=[weather]).usage is None


def test_what_cannot_be_run_is_refused_before_anything_is_sent(side: Sides, subtests: pytest.Subtests) -> None:
    cases: list[tuple[Any, str]] = [
        ({}, "run_tools needs tools that are functions"),
        ({"tools": []}, "run_tools needs tools that are functions"),
        ({"tools": [Place]}, "run_tools needs tools that are functions"),
        ({"tools": [5]}, "tools: a tool is a function"),
        ({"tools": [weather], "max_turns": 0}, "max_turns must be a positive whole number"),
        ({"tools": [weather], "max_turns": True}, "max_turns must be a positive whole number"),
    ]
    for options, words in cases:
        with subtests.test(words):
            mock = MockTransport([])

            with pytest.raises(InvalidRequestError, match=words):
                side.chat(mock, **options)

            assert mock.requests == []


def test_the_answer_of_a_loop_is_read_as_it_was_asked_for(side: Sides) -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}')), says('{"city":"Oslo"}')])

    assert side.chat(mock, tools=[weather], response_format=Place).parsed == Place(city="Oslo")

    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}')), says("Oslo")])
    with pytest.raises(StructuredOutputError) as caught:
        side.chat(mock, tools=[weather], response_format=Place)
    assert caught.value.text == "Oslo"
    assert caught.value.partial is not None
    assert len(caught.value.partial.intermediate_messages) == 2


async def test_functions_of_one_turn_run_at_the_same_time_and_not_in_the_loop() -> None:
    here = threading.get_ident()
    both = threading.Barrier(2, timeout=10)
    threads: list[int] = []

    def first() -> str:
        threads.append(threading.get_ident())
        both.wait()
        return "1"

    def second() -> str:
        both.wait()
        return "2"

    mock = MockTransport([asks(("a", "first", "{}"), ("b", "second", "{}")), says("Done.")])
    async with AsyncClient("openai", model="m", api_key="key", base_url="http://mock", transport=mock) as client:
        response = await client.chat("Hi", tools=[first, second], run_tools=True)

    assert [message.text for message in response.intermediate_messages[1:]] == ["1", "2"]
    assert threads != [here]


async def test_an_async_function_runs_from_a_sync_client_inside_a_loop() -> None:
    mock = MockTransport([asks(("a", "clock", '{"zone": "UTC"}')), says("Noon.")])

    with Client("openai", model="m", api_key="key", base_url="http://mock", transport=mock) as client:
        response = client.chat("Hi", tools=[clock], run_tools=True)

    assert response.intermediate_messages[1].text == "12:00 UTC"


def test_a_conversation_keeps_all_of_it() -> None:
    mock = MockTransport([asks(("a", "weather", '{"city": "Oslo"}')), says("4."), says("Yes.")])

    with Client("openai", model="m", api_key="key", base_url="http://mock", transport=mock) as client:
        conversation = client.conversation("Be brief.")
        conversation.chat("How warm?", tools=[weather], run_tools=True)
        conversation.chat("Sure?")

    assert [message.role for message in conversation.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert [message["role"] for message in sent(mock)[2]["messages"]] == [
        *("system", "user", "assistant", "tool", "assistant", "user")
    ]


def test_messages_are_copied_once_however_many_turns_there_are(side: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Message] = []
    original = Message.model_copy

    def counted(message: Message, *, update: dict[str, Any] | None = None, deep: bool = False) -> Message:
        copied.extend([message] * deep)
        return original(message, update=update, deep=deep)

    monkeypatch.setattr(Message, "model_copy", counted)
    history = [Message("user" if turn % 2 == 0 else "assistant", f"turn {turn}") for turn in range(9)]
    mock = MockTransport(
        [asks(("a", "clock", '{"zone": "UTC"}')), asks(("b", "clock", '{"zone": "CET"}')), says("Noon.")]
    )

    assert side.chat(mock, history, tools=[clock]).text == "Noon."
    assert copied == history
    assert len(sent(mock)[-1]["messages"]) == 9 + 4
