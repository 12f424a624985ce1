"""Anthropic Messages, option by option. Whole requests, replies and streams are recorded in `tests/wire/anthropic/`."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, Field
from tables import table

from llmclients.codecs.anthropic.codec import AnthropicCodec
from llmclients.codecs.anthropic.request import closed_schema, model_version
from llmclients.codecs.base import Context
from llmclients.types.request import ChatRequest

CODEC = AnthropicCodec()
OLD, BUDGET, EFFORT, NEW = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5"
TOOL = {"name": "f", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def payload(
    messages: Any = "Hi", model: str = BUDGET, codec_options: dict[str, Any] | None = None, **options: Any
) -> Any:
    request = ChatRequest.from_messages(messages, **options)
    return json.loads(CODEC.encode(request, Context(model=model, options=CODEC.options(**codec_options or {}))).body)


def only(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


# --- what a model can do --------------------------------------------------------------------------------------------


@table(
    "model, version",
    [
        ("claude-instant-1.2", (1, 2)),
        ("claude-2.1", (2, 1)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-3-5-sonnet-20241022", (3, 5)),
        ("claude-3-7-sonnet-latest", (3, 7)),
        ("claude-sonnet-4-0", (4, 0)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-4-opus-20250514", (4, 0)),
        ("anthropic.claude-opus-4-1-20250805-v1:0", (4, 1)),
        ("claude-opus-4-1@20250805", (4, 1)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("anthropic/claude-opus-4.6", (4, 6)),
        ("Claude-Opus-5", (5, 0)),
        ("claude-fable-10-12", (10, 12)),
        ("claude-mythos-preview", (99, 0)),
        ("SmolLM2-135M-Instruct", None),
        ("glm-4.6", None),
    ],
)
def test_a_model_s_version_is_in_its_name(model: str, version: tuple[int, int] | None) -> None:
    assert model_version(model) == version


@table(
    "model, options, expected",
    [
        ("claude-3-haiku-20240307", {}, 4096),
        ("some-local-model", {}, 4096),
        (OLD, {}, 8192),
        (BUDGET, {}, 8192),
        (BUDGET, {"reasoning_effort": "none"}, 8192),
        (BUDGET, {"reasoning_effort": "high"}, 8192 + 4096),
        (EFFORT, {}, 16384),
        (EFFORT, {"reasoning_effort": "max"}, 16384 + 16384),
        (EFFORT, {"reasoning_effort": "extreme"}, 16384),
        (NEW, {"max_tokens": 1, "reasoning_effort": "max"}, 1),
    ],
)
def test_max_tokens_is_always_sent(model: str, options: dict[str, Any], expected: int) -> None:
    assert payload(model=model, **options)["max_tokens"] == expected


ADAPTIVE = {"type": "adaptive"}


def budget(tokens: int, **more: Any) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens, **more}


@table(
    "model, options, codec_options, thinking, effort",
    [
        (BUDGET, {}, {}, None, None),
        (BUDGET, {"reasoning_effort": "none"}, {}, {"type": "disabled"}, None),
        (BUDGET, {"reasoning_effort": "low"}, {}, budget(1024), None),
        (BUDGET, {"reasoning_effort": "medium"}, {}, budget(2048), None),
        (BUDGET, {"reasoning_effort": "high"}, {}, budget(4096), None),
        (BUDGET, {"reasoning_effort": "xhigh"}, {}, budget(8192), None),
        ("claude-opus-4-5", {"reasoning_effort": "max"}, {}, budget(16384), None),
        (BUDGET, {"reasoning_effort": "high", "max_tokens": 2000}, {}, budget(1999), None),
        (BUDGET, {"reasoning_effort": "max", "max_tokens": 1025}, {}, budget(1024), None),
        (BUDGET, {"reasoning_effort": "low"}, {"thinking_display": "omitted"}, budget(1024, display="omitted"), None),
        (BUDGET, {}, {"thinking": 5000}, budget(5000), None),
        (BUDGET, {"max_tokens": 3000}, {"thinking": 5000}, budget(2999), None),
        (EFFORT, {"reasoning_effort": "low"}, {}, ADAPTIVE, "low"),
        (EFFORT, {"reasoning_effort": "any word"}, {}, ADAPTIVE, "any word"),
        (EFFORT, {"reasoning_effort": "none"}, {}, {"type": "disabled"}, None),
        (EFFORT, {"reasoning_effort": "low"}, {"thinking": 2000}, budget(2000), "low"),
        (EFFORT, {}, {"thinking": "adaptive"}, ADAPTIVE, None),
        (NEW, {}, {"thinking_display": "summarized"}, ADAPTIVE | {"display": "summarized"}, None),
        ("claude-mythos-preview", {"reasoning_effort": "low"}, {}, ADAPTIVE, "low"),
        ("some-local-model", {"reasoning_effort": "low"}, {}, ADAPTIVE, "low"),
    ],
)
def test_reasoning_effort_is_an_effort_or_a_budget(
    model: str, options: dict[str, Any], codec_options: dict[str, Any], thinking: Any, effort: str | None
) -> None:
    body = payload(model=model, codec_options=codec_options, **options)

    assert body.get("thinking") == thinking
    assert body.get("output_config") == (effort and {"effort": effort})


# --- structured output ----------------------------------------------------------------------------------------------


@table(
    "model, native",
    [
        ("claude-2.1", False),
        ("claude-3-opus-20240229", False),
        ("claude-sonnet-4-0", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-opus-4-1", False),
        (BUDGET, True),
        (NEW, True),
        ("some-local-model", True),
    ],
)
def test_a_schema_goes_the_way_that_the_model_knows(model: str, native: bool) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA}}
    body = payload(model=model, response_format=response_format)

    if native:
        closed = SCHEMA | {"additionalProperties": False}
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
        assert not only(body, "tools", "tool_choice")
    else:
        tool = {"name": "llmclients_answer", "description": "Give the answer (n: d)", "input_schema": SCHEMA}
        assert body["tools"] == [tool]
        answer = {"type": "tool", "name": "llmclients_answer", "disable_parallel_tool_use": True}
        assert body["tool_choice"] == answer
        assert "output_config" not in body


def test_a_schema_and_tools_go_together_where_both_are_native() -> None:
    assert only(payload(tools=[TOOL], response_format=SCHEMA), "tools", "output_config").keys() == {
        "tools",
        "output_config",
    }


def test_a_closed_schema_tells_what_it_cannot_hold() -> None:
    class Kind(str, Enum):
        A = "a"

    class Inner(BaseModel):
        kind: Kind
        many: Annotated[list[int], Field(min_length=2)]
        one: Annotated[list[str], Field(min_length=1, description="Some.")]
        open: dict[str, int]

    class Outer(BaseModel):
        inner: Inner
        at: Annotated[str, Field(pattern="^a", json_schema_extra={"format": "uuid"})]
        odd: Annotated[str, Field(json_schema_extra={"format": "binary"})]

    closed = closed_schema(Outer.model_json_schema())

    assert closed["additionalProperties"] is False
    assert closed["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert closed["properties"]["at"] == {
        "type": "string",
        "title": "At",
        "format": "uuid",
        "description": "{pattern: ^a}",
    }
    assert closed["properties"]["odd"]["description"] == "{format: binary}"
    inner = closed["$defs"]["Inner"]["properties"]
    assert closed["$defs"]["Kind"]["enum"] == ["a"]
    assert inner["many"] == {
        "type": "array",
        "title": "Many",
        "items": {"type": "integer"},
        "description": "{minItems: 2}",
    }
    assert (inner["one"]["minItems"], inner["one"]["description"]) == (1, "Some.")
    assert inner["open"]["additionalProperties"] == {"type": "integer"}, "closing it would make it always empty"


# --- tools and messages ---------------------------------------------------------------------------------------------


@table(
    "options, expected",
    [
        ({}, None),
        ({"parallel_tool_calls": True}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "f"}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "f", "parallel_tool_calls": False},
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(options: dict[str, Any], expected: Any) -> None:
    body = payload(tools=[{"name": "f", "description": "d", "strict": True}], **options)

    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert body["tools"] == [{"name": "f", "description": "d", "input_schema": closed, "strict": True}]
    assert body.get("tool_choice") == expected


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def result(call: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": content, **more}


def answered(call: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, **more}


CALL = {"id": "a", "name": "f", "arguments": ""}
USE = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "t", "signature": "s"}


@table(
    "messages, expected",
    [
        ([user("a"), user("b")], [user([text("a"), text("b")])]),
        ([user("a"), assistant(""), user("b")], [user([text("a"), text("b")])]),
        ([user("a"), assistant(" \n"), user("b")], [user([text("a"), text("b")])]),
        ([user("a"), assistant("b"), assistant("c")], [user("a"), assistant([text("b"), text("c")])]),
        ([user([text("a"), text(""), text(" ")])], [user("a")]),
        ([user(" ")], [user(" ")]),
        ([user("a"), assistant("", tool_calls=[CALL])], [user("a"), assistant([USE])]),
        ([user("a"), assistant("\n\n", tool_calls=[CALL])], [user("a"), assistant([USE])]),
        ([user("a"), assistant(None, tool_calls=[CALL])], [user("a"), assistant([USE])]),
        ([user("a"), assistant("b", reasoning="r", name="n")], [user("a"), assistant("b")]),
        ([user("a"), result("a", "")], [user([answered("a"), text("a")])]),
        ([result("a", [text("x"), text("")])], [user([answered("a", content=[text("x")])])]),
        ([result("a", "x", is_error=False)], [user([answered("a", content="x", is_error=False)])]),
        (
            [result("a", "x"), user("b"), result("c", "y", is_error=True)],
            [user([answered("a", content="x"), answered("c", content="y", is_error=True), text("b")])],
        ),
        (
            [user("a"), assistant("x", provider_data={"anthropic": [THOUGHT, text(""), USE], "openai": 1})],
            [user("a"), assistant([THOUGHT, USE])],
        ),
        ([user("a"), assistant("x", provider_data={"gemini": [1]})], [user("a"), assistant("x")]),
    ],
)
def test_messages_become_turns(messages: Any, expected: Any) -> None:
    assert payload(messages)["messages"] == expected


def test_all_system_text_is_one_at_the_top_in_its_order() -> None:
    body = payload(
        [
            {"role": "system", "content": [text("a"), text("b")]},
            user("u"),
            {"role": "developer", "content": "c"},
            user("v"),
        ]
    )

    assert body["system"] == "ab\n\nc"
    assert body["messages"] == [user([text("u"), text("v")])]


def test_ids_that_come_twice_are_made_different() -> None:
    turn = [
        {"role": "assistant", "tool_calls": [{"id": "call_0", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "content": "4", "tool_call_id": "call_0"},
    ]

    messages = payload([{"role": "user", "content": "Hi"}, *turn, *turn])["messages"]

    assert [block.get("id", block.get("tool_use_id")) for message in messages[1:] for block in message["content"]] == [
        *("call_0", "call_0", "call_0_1", "call_0_1")
    ]
