"""Objects while they stream: what a user of either client sees of `partial`, `objects()` and `partial_tool_calls`."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import (
    APIError,
    AsyncClient,
    Client,
    InvalidRequestError,
    PartialToolCall,
    StreamInterruptedError,
    StructuredOutputError,
)
from llmclients.testing import Cut, MockTransport, Reply
from tests.calls.json_streams import ARGUMENT_WIRES, WIRES, answer_events, openai_event, tool_events

SIDES = ("sync", "async")


class Invoice(BaseModel):
    number: int
    total: float | None = None
    note: str = ""


INVOICES = [Invoice(number=1, total=1.5), Invoice(number=22, note='one, "two", né'), Invoice(number=3)]
TEXT = json.dumps({"value": [invoice.model_dump() for invoice in INVOICES]})


def cut(text: str, size: int = 4) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def transport(*replies: Reply | Any) -> MockTransport:
    return MockTransport(list(replies))


def says(*pieces: Any, reason: str = "stop") -> Reply:
    """A stream of chat completions; a piece that is no text is something that happens to it."""
    events = [openai_event({"content": piece}) if isinstance(piece, str) else piece for piece in pieces]
    return Reply(chunks=[*events, openai_event({}, reason), "data: [DONE]\n\n"])


def made(side: str, mock: MockTransport, provider: str = "openai", model: str = "m", **settings: Any) -> Any:
    settings = {"model": model, "api_key": "k", "retry": None} | settings
    return (Client if side == "sync" else AsyncClient)(provider.partition(",")[0], transport=mock, **settings)


def drain(items: Any, seen: list[Any], look: Callable[[], Any] = lambda: None, limit: int | None = None) -> None:
    """Every item of an iterator, sync or async, with what `look` gives beside it."""

    async def asynchronously() -> None:
        async for item in items:
            seen.append((item, look()))
            if len(seen) == limit:
                break

    if hasattr(items, "__anext__"):
        asyncio.run(asynchronously())
        return
    for item in items:
        seen.append((item, look()))
        if len(seen) == limit:
            break


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("side", SIDES)
def test_a_list_s_items_come_each_as_soon_as_it_is_complete(side: str, wire: str) -> None:
    mock = transport(Reply(chunks=answer_events(wire, cut(TEXT))))
    stream = made(side, mock, wire, WIRES[wire]).stream("x", response_format=list[Invoice])
    seen: list[Any] = []

    drain(stream.objects(), seen, lambda: stream.response.text)

    assert [invoice for invoice, _ in seen] == INVOICES
    for (_, text), end in zip(seen, ('"note": ""}', '\\u00e9"}', '"note": ""}'), strict=True):
        assert end in text[-len(end) - 3 :], "it came with the chunk that completed it"
    assert stream.response.parsed == INVOICES
    assert stream.response.text == TEXT, "the text is what the model wrote"
    assert stream.partial == json.loads(TEXT)["value"]
    assert mock.open_exchanges == 0
    if wire.startswith("anthropic") or wire == "openai":
        assert '"value"' in mock.requests[0].body.decode()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("side", SIDES)
def test_partial_grows_with_each_chunk(side: str, wire: str) -> None:
    text = '{"number": 12, "note": "a b\\u00e9c"}'
    mock = transport(Reply(chunks=answer_events(wire, cut(text, 3))))
    stream = made(side, mock, wire, WIRES[wire]).stream("x", response_format=Invoice)
    assert stream.partial is None
    seen: list[Any] = []

    drain(stream, seen, lambda: json.dumps(stream.partial))

    grown = [json.loads(value) for value in dict.fromkeys(value for _, value in seen)]
    expected = [
        {},
        {"number": 1},
        {"number": 12},
        *({"number": 12, "note": note} for note in ("", "a b", "a bé", "a béc")),
    ]
    assert [value for value in grown if value is not None] == expected
    assert stream.response.parsed == Invoice(number=12, note="a béc")


@pytest.mark.parametrize("side", SIDES)
def test_partial_of_a_type_that_is_no_object_is_the_value_itself(side: str) -> None:
    for type_, text, expected in (
        (list[int], '{"value": [1, 2]}', [None, [], [1], [1, 2]]),
        (list[int], "[1, 2]", [None, [], [1], [1, 2]]),
        (str, '{"value": "abcd"}', [None, "a", "abc", "abcd"]),
        (bool, '{"value": true}', [None, True]),
    ):
        mock = transport(says(*cut(text, 2)))
        stream = made(side, mock).stream("x", response_format=type_)
        seen: list[Any] = []
        drain(stream, seen, lambda stream=stream: json.dumps(stream.partial))
        values = [json.loads(value) for value in dict.fromkeys(value for _, value in seen)]
        assert [value for value in values if value in expected] == values, text
        assert stream.response.parsed == expected[-1]


@pytest.mark.parametrize("side", SIDES)
def test_partial_is_one_object_that_grows(side: str) -> None:
    stream = made(side, transport(says(*cut(TEXT)))).stream("x", response_format=list[Invoice])
    seen: list[Any] = []

    drain(stream, seen, lambda: stream.partial)

    assert len({id(value) for _, value in seen if value is not None}) == 1


@pytest.mark.parametrize(
    ("type_", "text", "parsed"),
    [
        (Invoice, '{"number": 7}', Invoice(number=7)),
        (int, '{"value": 7}', 7),
        (int | None, '{"value": null}', None),
        ("json", '{"a": [1]}', {"a": [1]}),
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_a_type_that_is_no_list_gives_its_one_object_at_the_end(side: str, type_: Any, text: str, parsed: Any) -> None:
    stream = made(side, transport(says(*cut(text)))).stream("x", response_format=type_)
    seen: list[Any] = []

    drain(stream.objects(), seen, lambda: stream.response.finish_reason)

    assert seen == [(parsed, "stop")]


@pytest.mark.parametrize("side", SIDES)
def test_each_walk_begins_with_the_first(side: str) -> None:
    async def asynchronously(stream: Any) -> Any:
        first = await anext(stream.objects())
        return first, [one async for one in stream.objects()], [one async for one in stream.objects()]

    def synchronously(stream: Any) -> Any:
        return next(stream.objects()), list(stream.objects()), list(stream.objects())

    stream = made(side, transport(says(*cut(TEXT)))).stream("x", response_format=list[Invoice])
    found = synchronously(stream) if side == "sync" else asyncio.run(asynchronously(stream))

    assert found == (INVOICES[0], INVOICES, INVOICES)


BROKEN = [
    # how it ends, the objects before that, the error, what it says
    ([*cut(TEXT)[:-5], Cut()], 2, StreamInterruptedError, "connection"),
    ([*cut(TEXT)[:-5], b""], 2, StructuredOutputError, "Expecting"),
    ([*cut(TEXT.replace("22", '"x"'))], 1, StructuredOutputError, "1.number: Input should be a valid integer"),
    ([*cut(TEXT.replace(", {", "; {"))], 1, StructuredOutputError, "';' in place of a comma"),
    ([*cut("Here: " + TEXT)], 0, StructuredOutputError, "'H' in place of a value at character 0"),
    ([*cut(TEXT + "!")], 3, StructuredOutputError, "'!' behind the JSON"),
    ([*cut('{"values": [1]}')], 0, StructuredOutputError, "Input should be a valid array"),
]


@pytest.mark.parametrize(("pieces", "count", "error_type", "message"), BROKEN)
@pytest.mark.parametrize("side", SIDES)
def test_what_came_before_the_end_of_a_broken_answer_is_given_and_nothing_else(
    side: str, pieces: list[Any], count: int, error_type: type[APIError], message: str
) -> None:
    mock = transport(says(*pieces, reason="length" if pieces[-1] == b"" else "stop"))
    stream = made(side, mock).stream("x", response_format=list[Invoice])
    seen: list[Any] = []

    with pytest.raises(error_type, match=message) as caught:
        drain(stream.objects(), seen)

    assert [invoice for invoice, _ in seen] == INVOICES[:count]
    assert caught.value.provider == "openai"
    assert caught.value.partial is not None
    assert caught.value.partial.text == stream.response.text != ""
    if isinstance(caught.value, StructuredOutputError):
        assert caught.value.text == caught.value.partial.text
    assert mock.open_exchanges == 0


@pytest.mark.parametrize("side", SIDES)
def test_partial_of_what_is_no_json_stays_as_it_was(side: str) -> None:
    stream = made(side, transport(says('{"number": 1', "2, x", "y"))).stream("x", response_format=Invoice)
    seen: list[Any] = []

    with pytest.raises(StructuredOutputError):
        drain(stream, seen, lambda: dict(stream.partial))

    assert [value for _, value in seen][:3] == [{"number": 1}, {"number": 12}, {"number": 12}]
    assert stream.partial == {"number": 12}


@pytest.mark.parametrize("side", SIDES)
def test_leaving_early_frees_the_connection(side: str) -> None:
    mock = transport(says(*cut(TEXT)), says(*cut(TEXT)))
    client = made(side, mock)
    gc.disable()
    try:
        seen: list[Any] = []
        drain(client.stream("x", response_format=list[Invoice]).objects(), seen, limit=1)
        assert mock.open_exchanges == 0, "by dropping it"

        async def asynchronously() -> None:
            async with client.stream("x", response_format=list[Invoice]) as stream:
                async for _ in stream.objects():
                    assert mock.open_exchanges == 1
                    break
            assert stream.partial[0]["number"] == 1

        if side == "async":
            asyncio.run(asynchronously())
        else:
            with client.stream("x", response_format=list[Invoice]) as stream:
                for _ in stream.objects():
                    assert mock.open_exchanges == 1
                    break
            assert stream.partial[0]["number"] == 1
        assert mock.open_exchanges == 0, "by the end of the with"
    finally:
        gc.enable()


@pytest.mark.parametrize("side", SIDES)
def test_a_conversation_s_turn_is_kept_once_its_objects_have_come(side: str) -> None:
    conversation = made(side, transport(says(*cut(TEXT)), says("[1", Cut()))).conversation()
    seen: list[Any] = []

    drain(conversation.stream("x", response_format=list[Invoice]).objects(), seen)
    with pytest.raises(StreamInterruptedError):
        drain(conversation.stream("y", response_format=list[int]).objects(), seen)

    assert [invoice for invoice, _ in seen] == INVOICES
    assert [message.content for message in conversation.messages] == ["x", TEXT]


@pytest.mark.parametrize("side", SIDES)
def test_an_answer_that_begins_anew_has_a_partial_that_does(side: str) -> None:
    mock = transport(says('{"number": 1, "note": "a', Cut()), says('{"number"', ": 2}"))
    client = made(side, mock, retry=2)
    stream = client.stream("x", response_format=Invoice, restart=True)
    seen: list[Any] = []

    drain(stream, seen, lambda: json.dumps(stream.partial))

    assert [value for _, value in seen] == [
        *('{"number": 1, "note": "a"}', "null", "{}", '{"number": 2}', '{"number": 2}'),
    ]
    with pytest.raises(InvalidRequestError, match="without restart"):
        client.stream("x", response_format=Invoice, restart=True).objects()


@pytest.mark.parametrize("side", SIDES)
def test_objects_come_from_the_provider_that_answers(side: str) -> None:
    mock = transport(Reply(500), Reply(chunks=answer_events("ollama", cut(TEXT.replace("22", '"x"')))))
    stream = made(side, mock, fallback=["ollama/m"]).stream("x", response_format=list[Invoice])
    seen: list[Any] = []

    with pytest.raises(StructuredOutputError, match=r"^ollama \(.*1.number: Input") as caught:
        drain(stream.objects(), seen)

    assert [invoice for invoice, _ in seen] == INVOICES[:1]
    assert [error.provider for error in caught.value.previous_errors] == ["openai"]
    assert stream.partial[1]["number"] == "x"


@pytest.mark.parametrize("side", SIDES)
def test_without_response_format_there_is_nothing_to_look_at(side: str) -> None:
    stream = made(side, transport()).stream("x")

    with pytest.raises(InvalidRequestError, match="partial is of answers in JSON: ask with response_format"):
        _ = stream.partial
    with pytest.raises(InvalidRequestError, match=r"objects\(\) is of answers in JSON"):
        stream.objects()
    assert stream.partial_tool_calls == []


@pytest.mark.parametrize("wire", ARGUMENT_WIRES)
@pytest.mark.parametrize("side", SIDES)
def test_a_tool_s_arguments_grow_as_well(side: str, wire: str) -> None:
    text = '{"city": "Oslo", "days": [1, 23]}'
    mock = transport(Reply(chunks=tool_events(wire, cut(text, 6))))
    stream = made(side, mock, wire, WIRES[wire]).stream("x", tools=[{"name": "find"}])
    seen: list[Any] = []

    drain(stream, seen, lambda: json.dumps(stream.partial_tool_calls))

    grown = [json.loads(calls) for calls in dict.fromkeys(calls for _, calls in seen)]
    assert all(call[:2] == ["c", "find"] for calls in grown for call in calls)
    arguments = [calls[0][2] for calls in grown if calls]
    expected = [None, {}, {"city": "Os"}, {"city": "Oslo"}, {"city": "Oslo", "days": [1, 2]}, json.loads(text)]
    assert arguments == expected[-len(arguments) :]
    assert len(arguments) >= 5
    assert stream.partial_tool_calls == [PartialToolCall("c", "find", json.loads(text))]
    assert stream.response.tool_calls[0].arguments == json.loads(text)


@pytest.mark.parametrize("side", SIDES)
def test_an_answer_that_calls_tools_has_no_objects(side: str) -> None:
    mock = transport(*(Reply(chunks=tool_events("openai", ["{}"])) for _ in range(2)))
    client = made(side, mock)
    for type_ in (Invoice, list[Invoice]):
        seen: list[Any] = []
        drain(client.stream("x", tools=[{"name": "find"}], response_format=type_).objects(), seen)
        assert seen == []
