"""A stream over all turns of the tool loop, through both clients: its chunks, its response, its end before the end."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import AsyncClient, Client, Message, ToolLoopError, Usage
from llmclients.errors import InternalServerError, InvalidRequestError, StreamInterruptedError, StructuredOutputError
from llmclients.testing import Cut, MockTransport, Reply
from llmclients.testing.fault_server import FaultServer, wait_until
from llmclients.testing.script import HOLD, chunked, http
from tests.calls.tool_sides import ARGUMENTS, Sides, clock, weather

WIRES = ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama")


def script() -> list[Reply]:
    return [
        Reply.tool_calls(
            ("weather", {"city": "Oslo"}), ("clock", {"zone": "CET"}), text="Let me see.", usage=Usage(10, 2)
        ),
        Reply.tool_call("weather", city="Rome"),
        Reply.stream("4 ", "degrees.", usage=Usage(20, 5)),
    ]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Sides:
    return Sides(request.param)


@pytest.mark.parametrize("provider", WIRES)
def test_a_stream_goes_over_all_turns_and_ends_with_what_chat_gives(side: Sides, provider: str) -> None:
    mock = MockTransport(script())
    taken = side.stream(mock, provider)
    whole = side.chat(MockTransport(script()), provider)

    assert taken.error is None
    assert "".join(map(str, taken.chunks)) == "Let me see.4 degrees."
    assert taken.response.text == "4 degrees."
    assert taken.response.finish_reason == "stop"
    assert [message.text for message in taken.response.messages] == [message.text for message in whole.messages]
    assert [message.tool_call_id for message in taken.response.messages] == [
        message.tool_call_id for message in whole.messages
    ]
    assert [message.role for message in taken.response.messages] == [
        *("assistant", "tool", "tool", "assistant", "tool", "assistant")
    ]
    assert taken.response.usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.output_tokens > 7
    assert {(one.name, one.content, one.is_error) for one in taken.results} == {
        ("weather", "4 degrees in Oslo", False),
        ("clock", "noon in CET", False),
        ("weather", "4 degrees in Rome", False),
    }
    asked = {call.id: call for message in whole.messages for call in message.tool_calls or ()}
    assert [one.call for one in taken.results] == [asked[one.id] for one in taken.results]
    assert (len(mock.requests), mock.open_exchanges) == (3, 0)


def test_results_come_as_they_end_and_stay_in_the_order_of_the_calls(side: Sides) -> None:
    ended = threading.Event()

    def late() -> str:
        """Ends after the other."""
        assert ended.wait(10)
        return "late"

    def early() -> str:
        """Ends at once."""
        ended.set()
        return "early"

    taken = side.stream(
        MockTransport([Reply.tool_calls(("late", {}), ("early", {})), Reply.text("Done.")]), tools=[late, early]
    )

    assert {one.content for one in taken.results} == {"early", "late"}
    assert [message.text for message in taken.response.messages] == ["", "late", "early", "Done."]


def test_while_tools_run_no_connection_is_held_and_the_response_is_what_is_known() -> None:
    mock = MockTransport([Reply.tool_calls(("look", {}), text="Hm.", usage=Usage(10, 2)), Reply.stream("Fi", "ne.")])
    seen = []

    def look() -> str:
        """Look."""
        seen.append((mock.open_exchanges, stream.response.text, stream.response.usage))
        return "seen"

    stream = Client("openai", transport=mock, **ARGUMENTS).stream("Hi", tools=[look], run_tools=True)
    seen += [
        (len(stream.response.intermediate_messages), stream.response.text, stream.response.usage)
        for chunk in stream
        if chunk.tool_result or chunk == "Fi"
    ]
    assert seen == [(0, "Hm.", Usage(10, 2)), (0, "Hm.", Usage(10, 2)), (2, "Fi", Usage(10, 2))]


def test_an_error_keeps_what_the_turns_before_it_have_done(side: Sides) -> None:
    first = Reply.tool_calls(("weather", {"city": "Oslo"}), usage=Usage(10, 2))
    for reply, kind, text in (
        (Reply.error(500), InternalServerError, ""),
        (Reply.stream("It ", Cut()), StreamInterruptedError, "It "),
    ):
        taken = side.stream(MockTransport([first, reply]))

        assert isinstance(taken.error, kind)
        partial = taken.error.partial
        for kept in (partial, taken.response):
            assert kept is not None
            assert kept.text == text
            assert [message.role for message in kept.intermediate_messages] == ["assistant", "tool"]
            assert kept.usage == Usage(input_tokens=10, output_tokens=2)

    taken = side.stream(MockTransport([Reply.error(500)]))
    assert isinstance(taken.error, InternalServerError)
    assert taken.error.partial is None


def test_a_model_that_never_answers_ends_the_stream_with_an_error(side: Sides) -> None:
    mock = MockTransport([Reply.tool_call("weather", city="Oslo")] * 2)
    taken = side.stream(mock, max_turns=2)

    assert isinstance(taken.error, ToolLoopError)
    assert "after 2 turns" in str(taken.error)
    assert len(taken.results) == 1
    assert mock.open_exchanges == 0


def test_an_answer_without_text_is_an_error_and_not_an_empty_answer(side: Sides) -> None:
    for empty in (Reply.text(""), Reply.text(" \n"), Reply.text("", reasoning="Hm.")):
        replies = [Reply.tool_call("weather", city="Oslo"), empty]
        with pytest.raises(ToolLoopError, match="the answer is empty") as caught:
            side.chat(MockTransport(replies))
        assert caught.value.response is not None
        assert [message.role for message in caught.value.response.messages] == ["assistant", "tool", "assistant"]
        taken = side.stream(MockTransport(replies))
        assert isinstance(taken.error, ToolLoopError)

    cut = side.chat(MockTransport([Reply.tool_call("weather", city="Oslo"), Reply.text("", finish_reason="length")]))
    assert (cut.text, cut.finish_reason) == ("", "length")


class City(BaseModel):
    name: str


def test_objects_partial_and_arguments_are_those_of_the_turn_under_way() -> None:
    def answer(text: str) -> list[Reply]:
        return [Reply.tool_calls(("weather", {"city": "Oslo"}), text="Let me see."), Reply.stream(*text)]

    def ask(text: str) -> Any:
        client = Client("openai", transport=MockTransport(answer(text)), **ARGUMENTS)
        return client.stream("Which?", tools=[weather], run_tools=True, response_format=list[City])

    stream = ask('{"value": [{"name": "Oslo"}, {"name": "Rome"}]}')
    seen = []
    for chunk in stream:
        if chunk.tool_result:
            assert [call.arguments for call in stream.partial_tool_calls] == [{"city": "Oslo"}]
            assert stream.partial is None
        elif stream.partial:
            seen.append(len(stream.partial))
    assert seen[0] == 1
    assert seen[-1] == 2
    assert stream.partial_tool_calls == []
    assert stream.response.parsed == [City(name="Oslo"), City(name="Rome")]

    assert list(ask('{"value": [{"name": "Oslo"}, {"name": "Rome"}]}').objects()) == stream.response.parsed
    with pytest.raises(StructuredOutputError) as caught:
        list(ask("Oslo and Rome").objects())
    assert caught.value.partial is not None
    assert len(caught.value.partial.intermediate_messages) == 2

    items = '{"value": [{"name": "Oslo"}]}'
    mock = MockTransport([Reply.tool_calls(("weather", {"city": "Oslo"}), text=items), Reply.text(items)])
    stream = Client("openai", transport=mock, **ARGUMENTS).stream(
        "Which?", tools=[weather], run_tools=True, response_format=list[City]
    )
    objects = stream.objects()
    assert next(objects) == City(name="Oslo")
    with pytest.raises(StructuredOutputError, match="called tools after its first objects"):
        list(objects)


def test_a_conversation_keeps_the_whole_turn_once_the_stream_has_ended() -> None:
    roles = ["user", "assistant", "tool", "tool", "assistant", "tool", "assistant"]
    with Client("openai", transport=MockTransport(script() + script()), **ARGUMENTS) as client:
        conversation = client.conversation()
        stream = conversation.stream("How warm?", tools=[weather, clock], run_tools=True)
        assert next(stream) is not None
        assert conversation.messages == []
        list(stream)
        assert [message.role for message in conversation.messages] == roles
        assert [turn.usage for turn in conversation.turns] == [stream.response.usage]

        with conversation.stream("And now?", tools=[weather, clock], run_tools=True) as stream:
            while next(stream).tool_result is None:
                pass
        assert len(conversation.messages) == len(roles)

    async def main() -> list[Message]:
        async with AsyncClient("openai", transport=MockTransport(script()), **ARGUMENTS) as client:
            conversation = client.conversation()
            async for _ in conversation.stream("How warm?", tools=[weather, clock], run_tools=True):
                pass
            return conversation.messages

    assert [message.role for message in asyncio.run(main())] == roles


class Hanging:
    """An async tool that waits for ever, and tells that it has begun, and that it was cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def wait(self) -> str:
        """Wait."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ""


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["close", "cancel", "leave", "drop"])
async def test_an_async_stream_that_ends_while_a_tool_runs_cancels_it(how: str) -> None:
    tool = Hanging()
    mock = MockTransport([Reply.tool_calls(("wait", {}), ("weather", {"city": "Oslo"}))])
    client = AsyncClient("openai", transport=mock, **ARGUMENTS)
    stream = client.stream("Hi", tools=[tool.wait, weather], run_tools=True)
    while (await anext(stream)).tool_result is None:  # until the other one's result
        pass
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert tool.begun.is_set()
    assert len(others) == 1

    if how == "leave":
        await stream.close()
        assert tool.cancelled.is_set()
    elif how == "drop":
        del stream
        gc.collect()
    else:
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        if how == "close":
            await stream.close()
            assert tool.cancelled.is_set()
            with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
                await waiting
            assert caught.value.partial is not None
            assert len(caught.value.partial.tool_calls) == 2
        else:
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    await until(lambda: all(task.done() for task in others))
    assert tool.cancelled.is_set()
    assert mock.open_exchanges == 0


@pytest.mark.parametrize("names", [["wait"], ["wait", "weather"]])
def test_a_stream_closed_by_another_thread_while_a_tool_runs_ends_at_once(names: list[str]) -> None:
    tool = Hanging()
    mock = MockTransport([Reply.tool_calls(*((name, {"city": "Oslo"} if name == "weather" else {}) for name in names))])
    client = Client("openai", transport=mock, **ARGUMENTS)
    stream = client.stream("Hi", tools=[tool.wait, weather], run_tools=True)
    closing = threading.Thread(target=lambda: tool.begun.wait(10) and stream.close())
    closing.start()

    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        list(stream)
    closing.join()
    assert tool.cancelled.wait(10)
    assert mock.open_exchanges == 0


def test_a_stream_left_in_the_middle_of_a_later_turn_frees_its_connection() -> None:
    mock = MockTransport([Reply.tool_call("weather", city="Oslo"), Reply.stream("It ", "is ", "4.")])
    client = Client("openai", transport=mock, **ARGUMENTS)
    stream = client.stream("Hi", tools=[weather], run_tools=True)
    for chunk in stream:
        if chunk == "is ":
            break
    assert mock.open_exchanges == 1
    assert stream.response.text == "It is "
    del stream
    gc.collect()
    assert mock.open_exchanges == 0


CALL = b"""data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "type": "function",
 "function": {"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}]}}]}""".replace(b"\n", b"")
CALLED = b'data: {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}'
WORD = b'data: {"choices": [{"delta": {"content": "4."}}]}'
STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'
EVENTS = http(headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")], body=None)


def events(*lines: bytes, last: bool = True) -> bytes:
    return EVENTS + chunked(*(line + b"\n\n" for line in lines), last=last)


def test_over_a_socket_all_turns_take_one_connection_and_leaving_one_ends_it(side: Sides) -> None:
    first, second = events(CALL, CALLED, b"data: [DONE]"), events(WORD, STOP, b"data: [DONE]")
    with FaultServer([first], [second], per_request=True) as server:
        arguments = {**ARGUMENTS, "base_url": server.url}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.calls.tool_sides.ARGUMENTS", arguments)
            taken = side.stream(None, tools=[weather])
        assert (taken.error, taken.response.text) == (None, "4.")
        assert (server.connections, server.exchanges) == (1, 2)

        server.use([first], [events(WORD, last=False), HOLD])

        async def leave() -> None:
            async with AsyncClient("openai", **arguments) as client:
                async for chunk in client.stream("Hi", tools=[weather], run_tools=True):
                    if chunk == "4.":
                        break
                assert await asyncio.to_thread(wait_until, lambda: server.open_exchanges() == 0)

        if side.is_async:
            asyncio.run(leave())
        else:
            with Client("openai", **arguments) as client:
                for chunk in client.stream("Hi", tools=[weather], run_tools=True):
                    if chunk == "4.":
                        break
                assert wait_until(lambda: server.open_exchanges() == 0)


def test_what_cannot_be_run_is_refused_by_stream_itself() -> None:
    client = Client("openai", transport=MockTransport([]), **ARGUMENTS)
    for options, words in (
        ({"run_tools": True}, "run_tools needs tools that are functions"),
        ({"tools": [weather], "run_tools": 1}, "run_tools is True or False, not int"),
        ({"tools": [weather], "max_turns": 3}, "max_turns has a meaning only with run_tools=True"),
        ({"tools": [weather], "run_tools": True, "max_turns": 0}, "max_turns must be a positive whole number"),
        ({"tools": [weather], "run_tools": True, "temperature": "hot"}, "temperature"),
    ):
        for ask in (client.stream, client.conversation().stream, client.chat):
            with pytest.raises(InvalidRequestError, match=words):
                ask("Hi", **options)


def test_a_restart_of_a_later_turn_begins_that_turn_anew() -> None:
    mock = MockTransport([Reply.tool_call("weather", city="Oslo"), Reply.stream("It", Cut()), Reply.stream("4.")])
    client = Client("openai", transport=mock, **{**ARGUMENTS, "retry": 2})
    text = ""
    stream = client.stream("Hi", tools=[weather], run_tools=True, restart=True)
    for chunk in stream:
        text = "" if chunk.restarted or chunk.tool_result else text + chunk.text
    assert text == stream.response.text == "4."
    assert [message.role for message in stream.response.messages] == ["assistant", "tool", "assistant"]
