"""What `local` alone does of chat completions: a limit for each answer, and calls that come by grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import chunks_of, recordings
from tables import table

from llmclients.codecs.base import Context
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.codecs.openai_chat.grammar_calls import CallReader, calls_schema
from llmclients.codecs.openai_chat.local import DEFAULT_MAX_TOKENS, LocalCodec
from llmclients.errors import APIResponseError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest
from llmclients.types.tools import Tool

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("weather", "Now.", PARAMETERS), Tool("clock", "Now.", {"type": "object", "properties": {}})]
SENT = [{"type": "function", "function": tool.model_dump(exclude_none=True)} for tool in TOOLS]
ANSWER = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}


def call_of(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The schema of a call, written out."""
    return {
        "type": "object",
        "properties": {"<tool_call>": {"const": name}, "arguments": arguments},
        "required": ["<tool_call>", "arguments"],
        "additionalProperties": False,
    }


WEATHER, CLOCK = call_of("weather", PARAMETERS), call_of("clock", {"const": {}})


def sent(**options: Any) -> dict[str, Any]:
    """What of a request has to do with tools."""
    request = ChatRequest(messages=[Message("user", "Hi")], max_tokens=9, **options)
    payload = json.loads(LocalCodec().encode(request, Context(model="m")).body)
    if "response_format" in payload:
        payload["response_format"] = payload["response_format"]["json_schema"]["schema"]
    return {name: payload[name] for name in payload if name not in ("model", "messages", "max_tokens", "stream")}


@table("stream", [False, True])
@table(
    "options, sent",
    [
        ({}, {"max_tokens": DEFAULT_MAX_TOKENS}),
        ({"seed": 7, "extra": {"top_k": 3}}, {"max_tokens": DEFAULT_MAX_TOKENS}),
        ({"max_tokens": 2000}, {"max_tokens": 2000}),
        ({"extra": {"max_completion_tokens": 9}}, {"max_completion_tokens": 9}),
        ({"extra": {"n_predict": -1}}, {"n_predict": -1}),
    ],
)
def test_without_a_limit_of_the_caller_s_an_answer_has_one(
    options: dict[str, Any], sent: dict[str, int], stream: bool
) -> None:
    request = ChatRequest(messages=[Message("user", "Hi")], **options)
    payload = json.loads(LocalCodec().encode(request, Context(model="m", stream=stream)).body)

    limits = ("max_tokens", "max_completion_tokens", "n_predict")
    assert {name: value for name, value in payload.items() if name in limits} == sent
    assert request.max_tokens == options.get("max_tokens"), "the caller's request is changed"


@table(
    "options, expected",
    [
        ({}, {"tools": SENT}),
        ({"tool_choice": "auto", "parallel_tool_calls": False},
         {"tools": SENT, "tool_choice": "auto", "parallel_tool_calls": False}),
        ({"tool_choice": "none", "parallel_tool_calls": True}, {}),
        ({"tool_choice": "weather"}, {"tools": SENT[:1], "response_format": {"anyOf": [WEATHER]}}),
        ({"tool_choice": "required"}, {"tools": SENT, "response_format": {"anyOf": [WEATHER, CLOCK]}}),
        ({"tool_choice": "required", "parallel_tool_calls": True},
         {"tools": SENT, "response_format": {
             "anyOf": [{"type": "array", "items": {"anyOf": [WEATHER, CLOCK]}, "minItems": 1}]}}),
        ({"tool_choice": "clock", "response_format": ANSWER},
         {"tools": SENT[1:], "response_format": {"anyOf": [CLOCK]}}),
        ({"response_format": ANSWER}, {"tools": SENT, "response_format": {"anyOf": [WEATHER, CLOCK, ANSWER]}}),
        ({"tool_choice": "none", "response_format": ANSWER}, {"response_format": ANSWER}),
    ],
)  # fmt: skip
def test_a_call_that_must_come_is_asked_for_as_json_and_any_other_of_the_engine(
    options: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert sent(tools=TOOLS, **options) == expected


def test_references_are_moved_to_where_the_schema_then_stands() -> None:
    one = {"type": "object", "properties": {"v": {"$ref": "#/$defs/V"}}, "$defs": {"V": {"const": {"$ref": "#/x"}}}}
    two = {"type": "object", "properties": {"default": {"$ref": "#"}, "$ref": {"items": [{"$ref": "#/$defs/V"}]}}}
    found = calls_schema([Tool("a", "", one), Tool("b", "", two)], parallel=True, answer={"$ref": "#/$defs/V"})
    first, second = (call["properties"]["arguments"] for call in found["anyOf"][0]["items"]["anyOf"])

    place = "#/anyOf/0/items/anyOf/{}/properties/arguments"
    assert first == {**one, "properties": {"v": {"$ref": place.format(0) + "/$defs/V"}}}
    assert second["properties"] == {
        "default": {"$ref": place.format(1)},
        "$ref": {"items": [{"$ref": place.format(1) + "/$defs/V"}]},
    }
    assert found["anyOf"][1] == {"$ref": "#/anyOf/1/$defs/V"}
    assert one["properties"] == {"v": {"$ref": "#/$defs/V"}}, "the caller's schema is changed"


def test_what_it_cannot_do_is_refused_by_name() -> None:
    for name in ("grammar", "json_schema", "response_format"):
        with pytest.raises(UnsupportedOptionError, match=f"^extra: the engine takes '{name}' or tools, not both$"):
            sent(tools=TOOLS, extra={name: "x"})
    assert sent(tools=TOOLS, tool_choice="none", extra={"grammar": "x"}) == {"grammar": "x"}

    cut = Message("assistant", None, tool_calls=[ToolCall("c", "weather", '{"city": "Os')])
    request = ChatRequest(messages=[Message("user", "Hi"), cut, Message("tool", "4", tool_call_id="c")])
    with pytest.raises(InvalidRequestError, match=r"^messages\[1\]: ") as caught:
        LocalCodec().encode(request, Context(model="m"))
    assert caught.value.argument == "messages"


@table(
    "text, calls",
    [
        ('{"<tool_call>":"f","arguments":{}}', [("f", "{}")]),
        ('\n [ {\n"<tool_call>" : "f" ,\t"arguments" : {"a": "}\\"]{", "b": [{}]} } , {"<tool_call>":"g","arguments": '
         '[1]}\n ]\n', [("f", '{"a": "}\\"]{", "b": [{}]}'), ("g", "[1]")]),
        ('{"<tool_call>": "f", "arguments": {"a": "\\', [("f", '{"a": "\\')]),
        ('{"<tool_call>": "f', []),
        ('{"<tool_call>', []),
        ('{"<tool_cal', None),
        ('[{"<tool_caller>": 1}]', None),
        ("  [1, 2]", None),
        ('Call {"<tool_call>":"f","arguments":{}}', None),
        (" \n", None),
        ("", None),
    ],
)  # fmt: skip
def test_calls_are_read_however_their_text_is_cut_and_other_text_stays(
    text: str, calls: list[tuple[str, str]] | None
) -> None:
    for size in (1, 2, 3, 5, 8, len(text) + 1):
        reader, found, rest = CallReader(), {}, ""
        for start in range(0, len(text), size):
            new, deltas = reader.add(text[start : start + size], "chatcmpl-7")
            rest += new
            for delta in deltas:
                name, arguments = found.get(delta.index, ("", ""))
                found[delta.index] = name + (delta.name or ""), arguments + delta.arguments
        rest += reader.end()

        assert (rest, [*found.values()]) == ((text, []) if calls is None else ("", calls))


def test_a_text_is_held_back_only_as_long_as_it_may_be_a_call() -> None:
    reader = CallReader()
    assert [reader.add(piece, None)[0] for piece in (" ", "[", "{", '"n', '": 1', "}]")] == [
        "",
        "",
        "",
        ' [{"n',
        '": 1',
        "}]",
    ]
    reader = CallReader()
    assert [reader.add(piece, None)[0] for piece in ("Four", " {", '"<tool_call>"')] == ["Four", " {", '"<tool_call>"']
    with pytest.raises(APIResponseError, match="has no name"):
        CallReader().add('{"<tool_call>": "' + "f" * 5000, None)


def test_every_other_reply_is_read_as_ever() -> None:
    for case in recordings("streams"):
        if case.folder != "openai" or "provider" in case.expected or case.fails:
            continue
        content_type = case.expected["content_type"]
        ours, theirs = LocalCodec().stream_decoder(content_type), OpenAICodec().stream_decoder(content_type)
        assert chunks_of(ours, case.data) == chunks_of(theirs, case.data), str(case)
        assert ours.done == theirs.done


def test_the_arguments_of_a_call_come_in_pieces() -> None:
    (case,) = (case for case in recordings("streams") if str(case) == "openai/local-call-that-must-come.sse")
    chunks = chunks_of(LocalCodec().stream_decoder("text/event-stream"), case.data)

    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert [delta.name for delta in deltas] == ["weather"] + [None] * (len(deltas) - 1)
    assert [delta.arguments for delta in deltas if '"' not in delta.arguments] == [
        "",
        "{",
        "\n       ",
        "city",
        "Os",
        "lo",
        "\n   ",
        " }",
    ]
