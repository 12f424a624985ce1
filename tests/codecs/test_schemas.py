"""Schemas on each wire: strictness is claimed only where the maker's strict mode takes the schema."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Annotated, Any, Literal

import pytest
from helpers import every_provider
from pydantic import BaseModel, ConfigDict, Field
from tables import table

from llmclients import AsyncClient, Client, InvalidRequestError, StructuredOutputError, Tool
from llmclients.providers.registry import find_provider
from llmclients.testing import MockTransport, Reply
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_rules import MAKERS, OPENAI


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Node(BaseModel):
    name: str
    kids: list[Annotated[Node, Field(description="a child")]] = []


class Scores(BaseModel):
    scores: dict[str, int]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    a: int


ANSWERS: dict[Any, dict[str, Any]] = {
    Owner: {"pet": {"kind": "cat", "lives": 3}},
    Node: {"name": "a", "kids": [{"name": "b"}]},
    Scores: {"scores": {"a": 1}},
    Open: {"a": 1, "b": 2},
}
OPENAI_WIRES = {
    provider.name
    for provider in map(find_provider, every_provider())
    if provider.key_required
    and provider.working is not False
    and "openai_chat" in str(provider.codec)
    and "response_format" in provider.load_codec().fields
} | {"openai-responses"}


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")  # bedrock-mantle has an address for each region


def reply_of(provider: str, text: str) -> Any:
    """A whole reply with this text, or a call of the tool for answers."""
    if provider == "openai-responses":
        content = [{"type": "output_text", "text": text, "annotations": []}]
        item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
        return {"id": "r", "status": "completed", "model": "m", "output": [item]}
    if provider == "anthropic":
        content = [{"type": "text", "text": text}]
        return {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": content} | {
            "stop_reason": "end_turn",
            "usage": {},
        }
    if provider == "gemini":
        return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}]}
    if provider == "cohere":
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        return {"id": "x", "finish_reason": "COMPLETE", "message": message}
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def asked(provider: str, text: str, model: str = "m", **options: Any) -> tuple[Any, Any]:
    """What both clients send, which is the same, and what they make of the reply."""
    mocks = [MockTransport([Reply(json=reply_of(provider, text))]) for _ in range(2)]
    settings: dict[str, Any] = {"model": model, "api_key": "k", "retry": None}

    async def main() -> Any:
        async with AsyncClient(provider, transport=mocks[1], **settings) as client:
            return await client.chat("x", **options)

    responses = Client(provider, transport=mocks[0], **settings).chat("x", **options), asyncio.run(main())
    first, second = (json.loads(mock.requests[0].body) for mock in mocks)
    assert first == second
    assert responses[0].parsed == responses[1].parsed
    return first, responses[0].parsed


def sent_format(body: dict[str, Any]) -> dict[str, Any]:
    format_: dict[str, Any] = body["text"]["format"] if "text" in body else body["response_format"]["json_schema"]
    return format_


@table("provider", sorted(OPENAI_WIRES - {"local"}))
def test_strict_is_claimed_only_where_the_schema_is(provider: str) -> None:
    for type_, answer in ANSWERS.items():
        body, parsed = asked(provider, json.dumps(answer), response_format=type_)
        found = sent_format(body)
        rules = MAKERS["mistral" if provider == "mistral" else "openai"]
        assert found["strict"] is (type_ in (Owner, Node)), found
        assert (describe_misfits(found["schema"], rules) is None) is found["strict"]
        assert "discriminator" not in json.dumps(found["schema"])
        assert parsed == type_(**answer), "the type checks the answer, strict or not"


OWN = {
    "type": "object",
    "properties": {"scores": {"type": "object", "additionalProperties": {"type": "integer"}}},
    "required": ["scores"],
    "additionalProperties": False,
}
PATH = r"properties\.scores"


def own(schema: Any, strict: bool | None) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": strict}}


@table("provider", ["openai", "openai-responses", "groq", "mistral", "cohere"])
def test_one_s_own_schema_goes_out_as_it_is_or_is_refused_by_its_place(provider: str) -> None:
    closed = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}
    for schema, strict in ((closed, True), (OWN, False), (OWN, None)):
        body, parsed = asked(provider, '{"a": null}', response_format=own(schema, strict))
        assert json.dumps(schema) in json.dumps(body)
        assert parsed == {"a": None}
    with pytest.raises(InvalidRequestError, match=PATH) as caught:
        asked(provider, "{}", response_format=own(OWN, True))
    assert caught.value.argument == "response_format"
    with pytest.raises(InvalidRequestError, match=f"f cannot be strict: {PATH}") as caught:
        asked(provider, "{}", tools=[Tool("f", parameters=OWN, strict=True)])
    assert caught.value.argument == "tools"


@table("provider, settings", [("openai", {"base_url": "http://localhost:1/v1"}), ("vllm", {}), ("llama.cpp", {})])
def test_a_claim_to_a_server_that_nobody_knows_goes_out_as_it_is(provider: str, settings: dict[str, Any]) -> None:
    mock = MockTransport([Reply(json=reply_of(provider, "{}"))])
    Client(provider, model="m", transport=mock, **settings).chat(
        "x", response_format=own(OWN, True), tools=[Tool("f", parameters=OWN, strict=True)]
    )
    body = json.loads(mock.requests[0].body)
    assert sent_format(body) == {"name": "n", "schema": OWN, "strict": True}
    assert body["tools"][0]["function"]["strict"] is True


def test_anthropic_s_newer_models_are_held_to_what_they_can_be_and_get_a_tool_for_the_rest() -> None:
    body, _ = asked("anthropic", json.dumps(ANSWERS[Owner]), "claude-sonnet-4-5", response_format=Owner)
    schema = body["output_config"]["format"]["schema"]
    assert describe_misfits(schema, MAKERS["anthropic"]) is None
    assert schema["properties"]["pet"]["anyOf"] == [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
    for type_ in (Node, Scores, Open):
        body, parsed = asked("anthropic", json.dumps(ANSWERS[type_]), "claude-sonnet-4-5", response_format=type_)
        assert "output_config" not in body
        assert "properties" in json.dumps(body["tools"][0]["input_schema"])
        assert parsed == type_(**ANSWERS[type_])


@table(
    "model, options",
    [
        ("claude-opus-5", {"response_format": Scores}),
        ("claude-sonnet-4-5", {"response_format": own(OWN, True)}),
        ("claude-sonnet-4-5", {"response_format": Scores, "tools": [Tool("f")]}),
        ("claude-sonnet-4-5", {"response_format": Scores, "reasoning_effort": "low"}),
    ],
)
def test_where_anthropic_has_no_tool_for_it_the_place_is_named(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=rf"{PATH}\.additionalProperties: Anthropic wants false"):
        asked("anthropic", "{}", model, **options)


def test_anthropic_s_strict_tools_keep_its_rules() -> None:
    def lookup(name: Annotated[str, Field(min_length=1)], many: int = 3) -> None: ...

    strict = Tool.coerce(lookup).model_copy(update={"strict": True})
    body, _ = asked("anthropic", "Hi", "claude-sonnet-4-5", tools=[strict])
    (tool,) = body["tools"]
    assert describe_misfits(tool["input_schema"], MAKERS["anthropic"]) is None
    assert tool["input_schema"]["properties"]["name"]["description"] == "{minLength: 1}"
    with pytest.raises(InvalidRequestError, match=PATH):
        asked("anthropic", "Hi", tools=[Tool("f", parameters=OWN, strict=True)])


@table("type_", ANSWERS)
def test_gemini_and_cohere_get_what_they_take(type_: Any) -> None:
    answer = json.dumps(ANSWERS[type_])
    gemini, parsed = asked("gemini", answer, response_format=type_)
    cohere, _ = asked("cohere", answer, response_format=type_)

    assert describe_misfits(gemini["generationConfig"]["responseJsonSchema"], MAKERS["gemini"]) is None
    schema = json.dumps(cohere["response_format"]["json_schema"])
    assert "oneOf" not in schema
    assert "discriminator" not in schema
    assert '"default"' not in schema
    assert parsed == type_(**ANSWERS[type_])


@table("provider", ["openai", "openai-responses", "anthropic", "gemini", "cohere"])
@table("number", ["NaN", "Infinity", "-1e999"])
def test_an_answer_with_a_number_that_json_has_not_is_refused(provider: str, number: str) -> None:
    class Measure(BaseModel):
        value: float

    for format_ in ("json", Measure):
        if (provider, format_) == ("anthropic", "json"):
            continue  # that is a tool's call, whose JSON is the reply's
        with pytest.raises(StructuredOutputError, match=r"is no number in JSON|is too large a number"):
            asked(provider, f'{{"value": {number}}}', response_format=format_)


def test_arguments_that_are_no_json_are_told_to_the_model_and_the_loop_goes_on() -> None:
    def double(number: float) -> float:
        raise AssertionError("it is not called")

    for number, reason in (("1e999", "1e999 is too large"), ("NaN", "NaN is no number")):
        call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": f'{{"number": {number}}}'}}
        choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
        mock = MockTransport([Reply(json={"choices": [choice]}), Reply(json=reply_of("openai", "done"))])
        client = Client("openai/m", api_key="k", transport=mock)

        assert client.chat("x", tools=[double], run_tools=True).text == "done"

        told = json.loads(mock.requests[1].body)["messages"][-1]
        assert (told["role"], told["tool_call_id"]) == ("tool", "c")
        assert f"the arguments of the call of double are not JSON: {reason}" in told["content"]


class Limits(BaseModel):
    top: float = Field(math.inf, description="how many", le=math.inf)


def search(top: float = math.inf) -> None:
    """Search."""


@table("provider", ["openai", "openai-responses", "anthropic", "gemini", "cohere", "mistral"])
def test_a_default_that_json_has_not_is_told_in_words(provider: str) -> None:
    strict = Tool.coerce(search).model_copy(update={"strict": True})
    for options in ({"tools": [search]}, {"tools": [Limits]}, {"tools": [strict]}, {"response_format": Limits}):
        body, _ = asked(provider, '{"top": 1}', **options)
        assert "default: inf" in json.dumps(body, allow_nan=False)


def test_every_preset_s_rules_are_in_the_table() -> None:
    for provider in map(find_provider, every_provider()):
        for name in ("strict_rules", "default_endpoint_strict_rules"):
            assert provider.dialect.get(name) in (None, *MAKERS)
    assert MAKERS["openai"] is OPENAI
