"""Tool calls as servers that copy chat completions send them: one table of their habits, read by both clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from helpers import chunks_of, cut_at

from llmclients import APIError, APIResponseError, AsyncClient, ChatResponse, Client
from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.openai_chat.reply import EventDecoder
from llmclients.testing import MockTransport, Reply

Entry = dict[str, Any]


def piece(index: Any = 0, id: str | None = None, name: str | None = None, arguments: Any = None, **more: Any) -> Entry:
    """An entry of a delta's `tool_calls`; what is None is not there."""
    function = {"name": name, "arguments": arguments}
    function = {key: value for key, value in function.items() if value is not None}
    entry = {"index": index, "id": id, "function": function or None, **more}
    return {key: value for key, value in entry.items() if value is not None}


def call(name: str, arguments: str, id: str) -> tuple[str, str, str]:
    return id, name, arguments


FIRST = piece(id="a", name="f", arguments="")
HABITS: dict[str, tuple[list[Any], list[tuple[str, str, str]]]] = {
    "a name comes in pieces": (
        [piece(id="a", name="edit_ex", arguments=""), piece(name="isting_file", arguments="{}")],
        [call("edit_existing_file", "{}", "a")],
    ),
    "a name comes in pieces with its id each time": (
        [piece(id="a", name="ed"), piece(id="a", name="it"), piece(id="a", arguments='{"q":1}')],
        [call("edit", '{"q":1}', "a")],
    ),
    "a name grows from piece to piece": (
        [piece(id="a", name="edit"), piece(id="a", name="edit_file"), piece(arguments="{}")],
        [call("edit_file", "{}", "a")],
    ),
    "names of two calls come in pieces, mixed": (
        [piece(0, "a", "edi"), piece(1, "b", "re"), piece(0, name="t"), piece(1, name="ad"), piece(0, arguments="{}")],
        [call("edit", "{}", "a"), call("read", "{}", "b")],
    ),
    "a name is repeated in each piece": (
        [piece(id="a", name="f", arguments=text) for text in ("", '{"q":', '{"x":', "{}}}")],
        [call("f", '{"q":{"x":{}}}', "a")],
    ),
    "a name is repeated, and there is no id": (
        [piece(name="f", arguments=text) for text in ("", '{"q":', '{"x":1', "}}")],
        [call("f", '{"q":{"x":1}}', "call_0")],
    ),
    "the id is another in each piece": (
        [FIRST, piece(id="b", arguments='{"q"'), piece(id="c", arguments=":1}"), piece(id="d", arguments="")],
        [call("f", '{"q":1}', "a")],
    ),
    "the id is another in each piece, and the name is repeated": (
        [piece(id="a", name="f", arguments='{"q"'), piece(id="b", name="f", arguments=":1}")],
        [call("f", '{"q":1}', "a")],
    ),
    "the id comes with the second piece": (
        [piece(name="f", arguments='{"q"'), piece(id="a", arguments=":1}")],
        [call("f", '{"q":1}', "a")],
    ),
    "two calls share an id": (
        [piece(id="a", name="f", arguments='{"q":1}'), piece(id="a", name="g", arguments='{"q":2}')],
        [call("f", '{"q":1}', "a"), call("g", '{"q":2}', "a")],
    ),
    "two calls share an id, and have an index each": (
        [piece(0, "a", "f", '{"q":1}'), piece(1, "a", "f", '{"q":2}')],
        [call("f", '{"q":1}', "a"), call("f", '{"q":2}', "a")],
    ),
    "whole arguments come again at the end": (
        [FIRST, piece(arguments='{"q"'), piece(arguments=":1}"), piece(id="a", name="f", arguments='{"q": 1}')],
        [call("f", '{"q":1}', "a")],
    ),
    "whole arguments come twice": (
        [piece(id="a", name="f", arguments='{"q":1}')] * 2,
        [call("f", '{"q":1}', "a")],
    ),
    "all pieces of the arguments come again": (
        [FIRST, *[piece(arguments='{"q"'), piece(arguments=":1}")] * 2],
        [call("f", '{"q":1}', "a")],
    ),
    "each piece is all of the arguments so far": (
        [
            FIRST,
            *(piece(arguments=text) for text in ('{"q"', '{"q":1', '{"q":1,', '{"q":1,"r":"x', '{"q":1,"r":"xy"}')),
        ],
        [call("f", '{"q":1,"r":"xy"}', "a")],
    ),
    "arguments have an object inside that begins a piece": (
        [FIRST, piece(arguments='{"q":'), piece(arguments='{"r":1}'), piece(arguments="}")],
        [call("f", '{"q":{"r":1}}', "a")],
    ),
    "brackets stand in a text": (
        [FIRST, piece(arguments='{"q":"}'), piece(arguments="{\\"), piece(arguments='"\\\\"}'), piece(arguments=" ")],
        [call("f", '{"q":"}{\\"\\\\"}', "a")],
    ),
    "a place-holder comes before the arguments": (
        [piece(id="a", name="f", arguments="{}"), piece(arguments='{"q":'), piece(arguments="1}")],
        [call("f", '{"q":1}', "a")],
    ),
    "two calls have one index and no ids": (
        [piece(name="f", arguments='{"q":1}'), piece(name="g", arguments='{"q":2}')],
        [call("f", '{"q":1}', "call_0"), call("g", '{"q":2}', "call_1")],
    ),
    "two calls of one function have one index and no ids": (
        [piece(name="f", arguments='{"q":1}'), piece(name="f", arguments='{"q"'), piece(arguments=":2}")],
        [call("f", '{"q":1}', "call_0"), call("f", '{"q":2}', "call_1")],
    ),
    "two calls of one function begin with their name": (
        [piece(name="f"), piece(arguments='{"q":1}'), piece(name="f", arguments=""), piece(arguments='{"q":2}')],
        [call("f", '{"q":1}', "call_0"), call("f", '{"q":2}', "call_1")],
    ),
    "two equal calls without ids are in one event": (
        [[piece(name="roll", arguments="{}"), piece(name="roll", arguments="{}")]],
        [call("roll", "{}", "call_0"), call("roll", "{}", "call_1")],
    ),
    "two equal calls have one index and ids of their own": (
        [piece(id="a", name="roll", arguments="{}"), piece(id="b", name="roll", arguments="{}")],
        [call("roll", "{}", "a"), call("roll", "{}", "b")],
    ),
    "arguments come before the name": (
        [piece(arguments='{"q"'), piece(arguments=":1}"), piece(id="a", name="f", arguments="")],
        [call("f", '{"q":1}', "a")],
    ),
    "arguments come before the name, of two calls with one index": (
        [piece(arguments='{"q":1}'), piece(name="f"), piece(arguments='{"q":2}'), piece(name="g")],
        [call("f", '{"q":1}', "call_0"), call("g", '{"q":2}', "call_1")],
    ),
    "there is no index": (
        [
            piece(None, "a", "f"),
            piece(None, arguments='{"q":1}'),
            piece(None, "b", "g", ""),
            piece(None, arguments="{}"),
        ],
        [call("f", '{"q":1}', "a"), call("g", "{}", "b")],
    ),
    "the index is text": (
        [piece("0", "a", "f"), piece("1", "b", "g"), piece("0", arguments='{"q":1}'), piece("1", arguments="{}")],
        [call("f", '{"q":1}', "a"), call("g", "{}", "b")],
    ),
    "the index counts pieces": (
        [piece(0, "a", "f", '{"q"'), piece(1, arguments=":"), piece(2, arguments="1}")],
        [call("f", '{"q":1}', "a")],
    ),
    "the head of a second call has the index of the first": (
        [
            *(piece(0, "a", "f", ""), piece(0, arguments='{"q":1}'), piece(0, "b", "g", "")),
            *(piece(1, arguments='{"q"'), piece(1, arguments=":2}")),
        ],
        [call("f", '{"q":1}', "a"), call("g", '{"q":2}', "b")],
    ),
    "three calls have one index, no ids, and one of them its name twice": (
        [piece(id=" ", name=name, arguments=f'{{"p":{number}}}') for number, name in enumerate("fgf")],
        [call(name, f'{{"p":{number}}}', f"call_{number}") for number, name in enumerate("fgf")],
    ),
    "pieces of one call share an event": (
        [
            [piece(id="a", name="f", arguments=""), piece(arguments='{"q"')],
            [piece(arguments=":"), piece(arguments="1}")],
        ],
        [call("f", '{"q":1}', "a")],
    ),
    "arguments are empty in every form": (
        [
            piece(0, "a", "f", ""),
            piece(1, "b", "f"),
            piece(2, "c", "f", {}),
            {"index": 3, "id": "d", "function": {"name": "f", "arguments": None}},
        ],
        [call("f", "{}", id) for id in "abcd"],
    ),
    "all calls come again in the last event": (
        [
            *(piece(0, "a", "f"), piece(0, arguments='{"q":1}'), piece(1, "b", "g"), piece(1, arguments="{}")),
            [piece(0, "a", "f", '{"q":1}'), piece(1, "b", "g", "{}")],
        ],
        [call("f", '{"q":1}', "a"), call("g", "{}", "b")],
    ),
    "all calls come again without ids": (
        [*(calls := [piece(0, None, "f", '{"q":1}'), piece(1, None, "g", "{}")]), calls],
        [call("f", '{"q":1}', "call_0"), call("g", "{}", "call_1")],
    ),
    "all calls come again without ids and indexes": (
        [
            *(piece(0, "a", "f"), piece(0, arguments='{"q":1}'), piece(0, "b", "g"), piece(0, arguments="{}")),
            [piece(None, None, "f", '{"q": 1}'), piece(None, None, "g", "{}")],
        ],
        [call("f", '{"q":1}', "a"), call("g", "{}", "b")],
    ),
    "the id is another in each piece, and all pieces come again": (
        [piece(id=str(number), name="f", arguments=text) for number, text in enumerate(['{"q"', ":1}"] * 2)],
        [call("f", '{"q":1}', "0")],
    ),
    "the id is another in each piece, after a place-holder": (
        [piece(id="a", name="f", arguments="{}"), piece(id="b", arguments='{"q"'), piece(id="c", arguments=":1}")],
        [call("f", '{"q":1}', "a")],
    ),
    "all calls come again with other indexes": (
        [*(piece(0, id, id, "{}") for id in "fg"), [piece(0, "f", "f", "{}"), piece(1, "g", "g", "{}")]],
        [call("f", "{}", "f"), call("g", "{}", "g")],
    ),
    "a call has no `function` around it": (
        [{"index": 0, "id": "a", "name": "f", "arguments": "{}"}],
        [call("f", "{}", "a")],
    ),
    "pieces have nothing in them": (
        [{}, {"index": 0}, piece(id="a", name="f", arguments="{}"), {"index": 0, "type": "function"}],
        [call("f", "{}", "a")],
    ),
}
UNCLEAR: dict[str, tuple[list[Any], str]] = {
    "two names without ids or arguments": ([piece(name="edit_ex"), piece(name="isting", arguments="{}")], "two names"),
    "a name inside of arguments": ([piece(id="a", name="f", arguments='{"q"'), piece(name="g")], "has the name g"),
    "other arguments after the first": (
        [piece(id="a", name="f", arguments='{"q":1}'), piece(arguments='{"q":2}')],
        "not the same",
    ),
    "one id, one name, and other arguments": (
        [piece(id="a", name="f", arguments='{"q":1}'), piece(id="a", name="f", arguments='{"q":2}')],
        "not the same",
    ),
    "half of the arguments again": (
        [piece(id="a", name="f", arguments='{"q":1}'), piece(arguments='{"q"')],
        "go on after their end",
    ),
    "all so far, or an object inside": (
        [piece(id="a", name="f", arguments='{"q":'), piece(arguments='{"q":1}')],
        "whether it is all of them so far",
    ),
    "an equal call without an id": ([piece(name="f", arguments='{"q":1}')] * 2, "one call, or two"),
    "an equal call without id and index": ([piece(None, name="f", arguments='{"q":1}')] * 2, "one call, or two"),
    "two names, and an id with the second": ([piece(name="edit_ex"), piece(id="a", name="isting")], "two names"),
    "arguments with an index of their own, and then a name": (
        [piece(0, "a", "f", ""), piece(1, arguments="{}"), piece(1, name="g")],
        "names arguments that came after",
    ),
    "a place-holder, and then an id": (
        [piece(name="f", arguments="{}"), piece(id="a", name="f", arguments='{"q":1}')],
        "one call, or two",
    ),
    "an id each, and arguments in the second only": (
        [FIRST, piece(id="b", name="f", arguments='{"q":1}')],
        "with an id each",
    ),
    "no name at all": ([piece(id="a", arguments="{}")], "without a name"),
}


def body(events: list[Any], finish_reason: str = "tool_calls") -> bytes:
    deltas = [{"tool_calls": entry if isinstance(entry, list) else [entry]} for entry in events]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
    data = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices)
    return f"{data}data: [DONE]\n\n".encode()


def calls_of(response: ChatResponse) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments_text) for call in response.tool_calls]


def streamed(data: bytes) -> list[ChatResponse | APIError]:
    """What a stream comes to, by each client."""

    def transport() -> MockTransport:
        return MockTransport([Reply(chunks=[data], headers={"content-type": "text/event-stream"})])

    def sync() -> ChatResponse | APIError:
        stream = Client("openai/m", api_key="k", retry=None, transport=transport()).stream("x")
        try:
            list(stream)
        except APIError as error:
            return error
        return stream.response

    async def main() -> ChatResponse | APIError:
        async with AsyncClient("openai/m", api_key="k", retry=None, transport=transport()) as client:
            stream = client.stream("x")
            try:
                async for _ in stream:
                    pass
            except APIError as error:
                return error
            return stream.response

    return [sync(), asyncio.run(main())]


def decoded(data: bytes, *places: int) -> list[tuple[str, str, str]]:
    """What a stream comes to that is cut at these places."""
    accumulator = Accumulator()
    for chunk in chunks_of(EventDecoder(), *cut_at(data, list(places))):
        accumulator.add(chunk)
    return calls_of(accumulator.response())


def test_the_calls_of_odd_servers_come_out_as_they_were_meant(subtests: pytest.Subtests) -> None:
    for habit, (events, expected) in HABITS.items():
        with subtests.test(habit):
            data = body(events)
            for found in streamed(data):
                assert isinstance(found, ChatResponse), found
                assert calls_of(found) == expected
                assert found.finish_reason == "tool_calls"
            assert decoded(data, *range(len(data))) == expected
            assert decoded(data, *range(0, len(data), 7)) == expected


def test_calls_that_can_be_read_in_two_ways_are_an_error(subtests: pytest.Subtests) -> None:
    for habit, (events, message) in UNCLEAR.items():
        with subtests.test(habit):
            for found in streamed(body(events)):
                assert type(found) is APIResponseError, found
                assert message in str(found)


def test_id_and_name_go_out_once_and_the_arguments_join(subtests: pytest.Subtests) -> None:
    for habit, (events, expected) in HABITS.items():
        with subtests.test(habit):
            ids, names, texts = ({}, {}, {})  # type: tuple[dict[int, str], dict[int, str], dict[int, str]]
            for chunk in chunks_of(EventDecoder(), body(events)):
                for delta in chunk.tool_calls:
                    for found, value in ((ids, delta.id), (names, delta.name)):
                        if value is not None:
                            assert delta.index not in found
                            found[delta.index] = value
                    texts[delta.index] = texts.get(delta.index, "") + delta.arguments
            assert [(ids[index], names[index], texts[index] or "{}") for index in ids] == expected
            assert list(texts) == sorted(texts), "calls begin in their order"


def test_an_answer_that_was_cut_keeps_the_half_of_a_call() -> None:
    for finish_reason in ("length", "content_filter"):
        (found, _) = streamed(body([FIRST, piece(arguments='{"q":')], finish_reason))
        assert isinstance(found, ChatResponse)
        assert calls_of(found) == [("a", "f", '{"q":')]
        (found, _) = streamed(body([piece(id="a", arguments="")], finish_reason))
        assert isinstance(found, ChatResponse)
        assert [call.id for call in found.tool_calls] == ["a"]


def test_the_older_function_call_is_a_tool_call() -> None:
    function = {"name": "f", "arguments": '{"q":1}'}
    deltas = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"q":1}'}}]
    both = {"function_call": function, "tool_calls": [piece(id="a", name="f", arguments='{"q":1}')]}
    for events, expected in ((deltas, "call_0"), ([both], "a")):
        choices = [{"delta": delta} for delta in events] + [{"delta": {}, "finish_reason": "function_call"}]
        data = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices) + "data: [DONE]\n\n"
        for found in streamed(data.encode()):
            assert isinstance(found, ChatResponse)
            assert (calls_of(found), found.finish_reason) == ([(expected, "f", '{"q":1}')], "tool_calls")
    message = {"content": None, "function_call": function}
    assert calls_of(answer({"message": message, "finish_reason": "function_call"})) == [("call_0", "f", '{"q":1}')]


# --- whole replies --------------------------------------------------------------------------------------------------

WHOLE: dict[str, tuple[list[Entry], list[tuple[str, str, str]]]] = {
    "calls share an id": (
        [piece(id="a", name="f", arguments="{}"), piece(id="a", name="g", arguments="[]")],
        [call("f", "{}", "a"), call("g", "[]", "a")],
    ),
    "a call is there twice": (
        [piece(id="a", name="f", arguments="{}"), piece(id="a", name="f", arguments="{}")],
        [call("f", "{}", "a")],
    ),
    "equal calls have no ids": (
        [piece(name="f", arguments="{}"), piece(name="f", arguments="{}")],
        [call("f", "{}", "call_0"), call("f", "{}", "call_1")],
    ),
    "an id of ours is taken": (
        [piece(name="f", arguments="{}"), piece(id="call_0", name="g", arguments="{}")],
        [call("f", "{}", "call_1"), call("g", "{}", "call_0")],
    ),
    "nothing is around the function, or in it": (
        [{}, {"id": "a", "name": "f"}, piece(id="b", name="f", arguments={"q": 1})],
        [call("f", "{}", "a"), call("f", '{"q": 1}', "b")],
    ),
}


def answer(choice: dict[str, Any]) -> ChatResponse:
    mock = MockTransport([Reply(json={"choices": [choice]})])
    return Client("openai/m", api_key="k", retry=None, transport=mock).chat("x")


def test_the_calls_of_odd_whole_replies(subtests: pytest.Subtests) -> None:
    for habit, (entries, expected) in WHOLE.items():
        with subtests.test(habit):
            message = {"content": None, "tool_calls": entries}
            assert calls_of(answer({"message": message, "finish_reason": "tool_calls"})) == expected


def test_a_whole_reply_with_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(APIResponseError, match="without a name"):
        answer({"message": {"content": None, "tool_calls": [piece(id="a")]}, "finish_reason": "tool_calls"})
