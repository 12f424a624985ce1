"""Tools: a function's schema from its signature and docstring, checked calls, results as messages."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from tables import table

from llmclients.calls.tool_runner import result_content, result_message
from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.content import ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall, ToolResult
from llmclients.types.request import ChatRequest
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_rules import OPENAI
from llmclients.types.tools import MAX_TOOLS, Tool, ToolFailure, as_tools


class Unit(enum.Enum):
    C = "c"
    F = "f"


class Place(BaseModel):
    """Where it is."""

    city: str = Field(description="its name")
    country: str | None = None


def weather(
    city: str, unit: Literal["c", "f"] = "c", days: Annotated[int, Field(ge=1, description="how many")] = 1
) -> str:
    """The weather of a place.

    Call it for forecasts, too.

    Args:
        city: the city's name,
            as people write it
        unit (str): the scale
        days: not this one: the annotation has words of its own

    Returns:
        words: about the weather
    """
    return f"{city}, {unit}, {days}"


async def clock(zone: str) -> str:
    return f"12:00 {zone}"


def nothing() -> None:
    """Nothing."""


class Station:
    """Has methods that are tools."""

    def read(self, place: Place, unit: Unit = Unit.C) -> dict[str, Any]:
        """Read the station.

        :param place: where
        :param Unit unit: the scale
        :returns: the numbers
        """
        return {"place": place.city, "unit": unit.value}

    def __call__(self, depth: int) -> int:
        return depth


def test_a_function_s_signature_and_docstring_become_its_schema() -> None:
    tool = Tool.coerce(weather)

    assert tool.name == "weather"
    assert tool.description == "The weather of a place.\n\nCall it for forecasts, too."
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "the city's name, as people write it"},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c", "description": "the scale"},
            "days": {"type": "integer", "minimum": 1, "default": 1, "description": "how many"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert tool.function is weather


def test_a_method_takes_no_self() -> None:
    tool = Tool.coerce(Station().read)

    assert tool.name == "read"
    assert tool.description == "Read the station."
    assert set(tool.parameters["properties"]) == {"place", "unit"}
    assert tool.parameters["properties"]["unit"]["description"] == "the scale"
    assert tool.parameters["$defs"]["Place"]["properties"]["city"] == {"type": "string", "description": "its name"}
    assert tool.call({"place": {"city": "Oslo"}, "unit": "f"}) == {"place": "Oslo", "unit": "f"}


def test_a_partial_and_an_object_that_can_be_called_are_tools() -> None:
    partial, station = Tool.coerce(functools.partial(weather, unit="f")), Tool.coerce(Station())

    assert (partial.name, partial.call({"city": "Oslo"})) == ("weather", "Oslo, f, 1")
    assert (station.name, station.call({"depth": "3"})) == ("Station", 3)


def test_what_only_type_checkers_know_of_the_result_does_not_matter() -> None:
    namespace: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef f(city: str, days: int = 1) -> Forecast: ...", namespace)

    schema = Tool.coerce(namespace["f"]).parameters

    assert schema["properties"] == {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}}


class _Unknown(BaseModel):
    function: Callable[[], None]


@table("annotation", ["'the name of the city'", "'json.Nothing'", "'5 | int'", "'Unheard'", "object()"])
def test_annotations_that_are_no_types_are_refused(annotation: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"import json\ndef f(city: {annotation}): ...", namespace)

    with pytest.raises(InvalidRequestError, match="f: its parameters have no JSON Schema"):
        Tool.coerce(namespace["f"])


@table("tool", [_Unknown, max])
def test_what_tells_no_schema_is_refused(tool: Any) -> None:
    with pytest.raises(InvalidRequestError, match="its parameters have no JSON Schema"):
        Tool.coerce(tool)


def test_a_function_without_a_docstring_or_parameters_is_a_tool() -> None:
    assert Tool.coerce(clock).description is None
    assert Tool.coerce(nothing).parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_pydantic_model_has_the_schema_that_the_official_sdk_gives_it_but_is_not_strict() -> None:
    from openai.lib._tools import pydantic_function_tool  # a second, which only who runs this pays

    tool = Tool.coerce(Place)

    assert (tool.name, tool.description, tool.function) == ("Place", "Where it is.", None)
    assert tool.parameters == Place.model_json_schema()
    strict: Any = pydantic_function_tool(Place)
    assert Tool.coerce(strict).parameters["properties"].keys() == tool.parameters["properties"].keys()
    assert Tool.coerce(strict).strict is True


@table(
    "given",
    [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"name": "f", "description": "d", "parameters": {"type": "object"}},
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": None},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        Tool("f", "d", {"type": "object"}),
    ],
)
def test_a_dict_may_have_any_of_the_usual_forms(given: Any) -> None:
    assert Tool.coerce(given) == Tool("f", "d", {"type": "object"})


def test_a_dict_may_bring_its_function() -> None:
    assert Tool.coerce({"name": "f", "function": nothing}).function is nothing


def positional(a: int, /) -> int:
    return a


def several(*a: int) -> int:
    return len(a)


def odd(a: object()) -> None:  # type: ignore[valid-type]
    """Has a parameter of no type."""


@table(
    "given, message",
    [
        (5, "a tool is a function, a pydantic model or a dict, not int"),
        (int, "not type"),
        ({"type": "web_search"}, "only tools of type 'function' have a common form, not 'web_search'"),
        ({"name": "a b"}, "'a b' is no name for a tool"),
        ({"name": "x" * 129}, "is no name for a tool"),
        ({"name": "auto"}, "has a meaning of its own"),
        ({"name": "none"}, "has a meaning of its own"),
        ({"name": "required"}, "has a meaning of its own"),
        ({"description": "d"}, "name: Field required"),
        ({"name": "f", "color": 1}, "color: Extra inputs"),
        (lambda x: x, "'<lambda>' is no name for a tool"),
        (positional, "positional: a model gives arguments by name: a: int"),
        (several, "several: a model gives arguments by name"),
        (odd, "odd: its parameters have no JSON Schema"),
    ],
)
def test_what_is_no_tool_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        Tool.coerce(given)
    with pytest.raises(InvalidRequestError, match=message):
        ChatRequest.from_messages("Hi", tools=[given])


@table(
    "options, message",
    [
        ({"tools": weather}, "tools: must be a list"),
        ({"tools": "weather"}, "tools: must be a list"),
        ({"tools": [weather, weather]}, "two tools have the name 'weather'"),
        ({"tools": [weather], "tool_choice": "clock"}, "there is no tool 'clock' in tools"),
        ({"tool_choice": "auto"}, "tool_choice needs tools"),
        ({"tools": [], "parallel_tool_calls": False}, "parallel_tool_calls needs tools"),
        ({"tools": [weather], "tool_choice": {"type": "function"}}, "tool_choice: "),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        ChatRequest.from_messages("Hi", **options)


def test_a_named_choice_is_read_in_the_form_of_chat_completions() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}

    assert ChatRequest.from_messages("Hi", tools=[weather], tool_choice=choice).tool_choice == "weather"
    assert ChatRequest.from_messages("Hi", tools=[]).tools is None


def test_what_is_a_tool_already_is_returned_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = [Tool.coerce(weather), Tool.coerce(clock)]
    monkeypatch.setattr(Tool, "coerce", None)

    found = as_tools(tools)
    assert found is not tools
    assert [id(tool) for tool in found] == [id(tool) for tool in tools]


@table(
    "arguments, message",
    [
        ({}, "city: Missing required argument"),
        ({"city": 5}, "city: Input should be a valid string"),
        ({"city": "Oslo", "days": 0}, "days: Input should be greater than or equal to 1"),
        ({"city": "Oslo", "town": "Oslo"}, "town: Unexpected keyword argument"),
    ],
)
def test_arguments_that_do_not_fit_are_a_failure_that_says_why(arguments: Any, message: str) -> None:
    with pytest.raises(ToolFailure, match=message):
        Tool.coerce(weather).call(arguments)


async def test_an_async_function_gives_something_to_await() -> None:
    tool = Tool.coerce(clock)

    assert tool.is_async
    assert not Tool.coerce(weather).is_async
    assert await tool.call({"zone": "UTC"}) == "12:00 UTC"


@dataclass
class Reading:
    celsius: float


IMAGE = ImagePart("https://a.example/b.png")


@table(
    "result, content",
    [
        ("4 degrees", "4 degrees"),
        ("", ""),
        (None, "null"),
        (4, "4"),
        ({"celsius": 4}, '{"celsius":4}'),
        (Place(city="Oslo"), '{"city":"Oslo","country":null}'),
        (Reading(4.5), '{"celsius":4.5}'),
        ([1, "a"], '[1,"a"]'),
        ([], "[]"),
        (Unit.C, '"c"'),
        (IMAGE, [IMAGE]),
        ([TextPart(text="a"), IMAGE], [TextPart(text="a"), IMAGE]),
    ],
)
def test_a_result_becomes_a_message(result: Any, content: Any) -> None:
    call = ToolCall(id="c1", name="weather", arguments="{}")

    told = result_message(call, ToolResult("c1", "weather", result_content(result)))
    assert told == Message("tool", content, "weather", tool_call_id="c1", is_error=False)


def test_a_call_s_arguments_are_parsed_and_its_text_is_kept() -> None:
    call = ToolCall(id="c1", name="f", arguments='{ "city": "Oslo" }')

    assert call.arguments == {"city": "Oslo"}
    assert call.arguments_text == '{ "city": "Oslo" }'
    assert ToolCall(id="c1", name="f", arguments={"city": "Tromsø"}).arguments_text == '{"city": "Tromsø"}'
    assert ToolCall(id="c1", name="f", arguments="").arguments == {}


@table(
    "text, message",
    [
        ('{"city": "Os', "are not JSON"),
        ("[1]", "are not a JSON object"),
        ('{"a": NaN}', "are not JSON: NaN is no number in JSON"),
        ('{"a": [1, -Infinity]}', "are not JSON: -Infinity is no number in JSON"),
        ('{"a": 1e999}', "are not JSON: 1e999 is too large a number"),
        ('{"a": -1' + "0" * 400 + ".5}", "are not JSON: -1000000000000000000 is too large a number"),
        ('{"a": 1' + "0" * 400 + "}", "are not JSON: 10000000000000000000 is too large a number"),
        ('{"a": ' + "[" * 100_000, "are not JSON: it is nested too deeply"),
    ],
)
def test_arguments_that_are_cut_or_no_json_are_not_guessed(text: str, message: str) -> None:
    call = ToolCall(id="c1", name="f", arguments=text)

    with pytest.raises(APIResponseError, match=f"the arguments of the call of f {message}"):
        call.arguments  # noqa: B018
    assert not call.is_readable


def test_numbers_that_only_look_odd_are_read() -> None:
    text = '{"a": 1e100, "b": 1E-999, "c": "NaN, Infinity, 1e999", "d": 1' + "0" * 300 + "}"

    assert ToolCall(id="c1", name="f", arguments=text).arguments == {
        "a": 1e100,
        "b": 0.0,
        "c": "NaN, Infinity, 1e999",
        "d": 10**300,
    }


def test_a_request_has_so_many_tools_at_most_and_none_twice() -> None:
    many = [Tool(f"f{i}") for i in range(MAX_TOOLS)]

    assert as_tools(many) == many
    for tools, message in (
        ([*many, weather], "1025 of them are too many for one request: 1024 at most"),
        ([{"name": "f"}] * 1_000_000, "1000000 of them are too many"),
        ([*many[1:], many[-1]], "two tools have the name 'f1023'"),
    ):
        with pytest.raises(InvalidRequestError, match=message):
            ChatRequest.from_messages("Hi", tools=tools)


class Order(BaseModel):
    dish: str
    plates: int = 1


def lookup(table: dict[str, int]) -> int:
    return 1


def test_a_strict_tool_of_a_function_or_a_model_is_made_strict_and_one_s_own_is_not_touched() -> None:
    def strict(tool: Any) -> Tool:
        return Tool.coerce(tool).model_copy(update={"strict": True})

    for tool in (weather, Order):
        given = Tool.coerce(tool).parameters
        assert Tool.coerce(tool).fitted_parameters(OPENAI) == given
        fitted = strict(tool).fitted_parameters(OPENAI)
        assert describe_misfits(fitted, OPENAI) is None
        assert fitted["required"] == list(given["properties"])
    given = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}
    assert Tool("f", parameters=given, strict=True).fitted_parameters(OPENAI) == given
    assert strict(lookup).fitted_parameters(None) == Tool.coerce(lookup).parameters
    for tool, message in (
        (strict(lookup), "lookup cannot be strict: properties.table.additionalProperties: OpenAI wants false"),
        (Tool("g", parameters={**given, "required": []}, strict=True), "g cannot be strict: required: .* also 'a'"),
    ):
        with pytest.raises(InvalidRequestError, match=message):
            tool.fitted_parameters(OPENAI)
