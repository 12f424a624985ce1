"""Response formats: what may be given, the schemas that go out, the answers read as what was asked for."""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from tables import table
from typing_extensions import TypedDict

from llmclients.errors import InvalidRequestError
from llmclients.types.request import ChatRequest
from llmclients.types.response_format import ResponseFormat, as_response_format
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_rules import OPENAI
from llmclients.types.wrapped_answer import is_object, unwrap


class Colour(enum.Enum):
    """A colour."""

    RED = "red"


class Line(BaseModel):
    what: str
    price: float | None = None
    colour: Colour = Field(default=Colour.RED, description="of the thing")


class Invoice(BaseModel):
    """An invoice."""

    number: int = Field(description="as printed", ge=1)
    lines: list[Line]
    main: Line = Field(description="the dearest")
    kind: Literal["paid", "due"] = "due"
    either: Line | str
    notes: list[str] = Field(default_factory=list)


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Nested(BaseModel):
    inner: Invoice = Field(title="The inner one")
    other: Line | None = None


class Scores(BaseModel):
    scores: dict[str, int]


class Open(BaseModel, extra="allow"):
    scores: dict[str, int] = {}


@dataclass
class Point:
    x: int
    y: int


class Measure(BaseModel):
    value: float


class Town(TypedDict):
    name: str


@table("model", [Line, Invoice, Tree, Nested])
def test_a_model_s_schema_is_the_one_that_the_official_sdk_sends(model: type[BaseModel]) -> None:
    from openai.lib._pydantic import to_strict_json_schema  # a second, which only who runs this pays

    response_format = as_response_format(model)

    assert response_format is not None
    assert response_format.json_schema == without_defaults(to_strict_json_schema(model))
    assert (response_format.name, response_format.strict) == (model.__name__, True)


def without_defaults(schema: Any) -> Any:
    """The SDK sends defaults, which strict mode refuses: here they are told in the description."""
    if isinstance(schema, list):
        return [without_defaults(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: without_defaults(value) for key, value in schema.items()}
    if "default" in schema and "title" in schema:
        text = f"{{default: {schema.pop('default')}}}"
        schema["description"] = f"{schema['description']}\n\n{text}" if "description" in schema else text
    return schema


@table("type_", [Open, Scores])
def test_a_type_whose_schema_cannot_be_strict_goes_out_as_it_is_and_claims_nothing(type_: type[BaseModel]) -> None:
    response_format = as_response_format(type_)

    assert response_format is not None
    assert (response_format.json_schema, response_format.strict) == (type_.model_json_schema(), False)
    assert response_format.parse('{"scores": {"a": 1}}') == type_(scores={"a": 1})


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@table(
    "given, response_format",
    [
        ("json", ResponseFormat(json_schema=None)),
        ("json_object", ResponseFormat(json_schema=None)),
        ({"type": "json_object"}, ResponseFormat(json_schema=None)),
        ("text", None),
        ({"type": "text"}, None),
        (None, None),
        (SCHEMA, ResponseFormat(json_schema=SCHEMA)),
        (
            {**SCHEMA, "title": "My answer!"},
            ResponseFormat(name="My_answer_", json_schema={**SCHEMA, "title": "My answer!"}),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}},
            ResponseFormat(name="n", json_schema=SCHEMA, strict=True, description="d"),
        ),
        (
            {"type": "json_schema", "name": "n", "schema": SCHEMA},
            ResponseFormat(name="n", json_schema=SCHEMA),
        ),
    ],
)
def test_a_format_may_be_given_by_name_as_a_schema_or_as_chat_completions_take_it(
    given: Any, response_format: Any
) -> None:
    assert ChatRequest.from_messages("Hi", response_format=given).response_format == response_format


@table(
    "given, message",
    [
        ("xml", "there is no format 'xml'"),
        ({"type": "array"}, "a schema must be of a JSON object, not 'array': put it in a property of one"),
        ({"anyOf": [{"type": "object"}]}, "not 'a choice of several'"),
        (object(), "has no JSON Schema"),
        ({"type": "json_schema", "json_schema": {"name": "n", "scheme": {}}}, "a json_schema needs its schema"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strikt": True}}, "strikt: Extra inputs"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}, "not 'array'"),
        ({"type": "json_schema", "json_schema": None}, "a json_schema needs its schema"),
    ],
)
def test_what_is_no_format_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        ChatRequest.from_messages("Hi", response_format=given)


def test_a_response_format_is_returned_as_it_is() -> None:
    response_format = ResponseFormat(json_schema=SCHEMA)

    assert as_response_format(response_format) is response_format
    assert ChatRequest.from_messages("Hi", response_format=response_format).response_format is response_format


@table(
    "given, text, parsed",
    [
        (Line, '{"what":"a","price":1.5,"colour":"red"}', Line(what="a", price=1.5)),
        (Point, '{"x":1,"y":2}', Point(1, 2)),
        (Town, '{"name":"Oslo"}', {"name": "Oslo"}),
        (TypeAdapter(Point), ' {"x":1,"y":2}\n', Point(1, 2)),
        ("json", '{"a":[1]}', {"a": [1]}),
        (SCHEMA, '{"a":1}', {"a": 1}),
    ],
)
def test_an_answer_is_read_as_what_was_asked_for(given: Any, text: str, parsed: Any) -> None:
    response_format = as_response_format(given)

    assert response_format is not None
    assert response_format.parse(text) == parsed
    assert type(response_format.parse(text)) is type(parsed)


Words = Annotated[list[str], Field(min_length=2, description="words of a text")]


@table(
    "type_, schema, answer, parsed",
    [
        (list[int], {"type": "array", "items": {"type": "integer"}}, [1, 2], [1, 2]),
        (RootModel[list[int]], {"type": "array", "items": {"type": "integer"}}, [1], RootModel[list[int]]([1])),
        (Words, {"items": {"type": "string"}, "type": "array", "minItems": 2}, ["a", "b"], ["a", "b"]),
        (
            list[Line],
            {"items": {"$ref": "#/$defs/Line"}},
            [{"what": "a", "price": 1, "colour": "red"}],
            [Line(what="a", price=1)],
        ),
        (tuple[int, ...], {"type": "array"}, [1, 2], (1, 2)),
        (int, {"type": "integer"}, 7, 7),
        (str, {"type": "string"}, "né", "né"),
        (bool, {"type": "boolean"}, False, False),
        (type(None), {"type": "null"}, None, None),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}, "b", "b"),
        (Literal["a", 1], {"enum": ["a", 1]}, 1, 1),
        (Colour, {"enum": ["red"]}, "red", Colour.RED),
        (datetime.date, {"format": "date"}, "2026-11-05", datetime.date(2026, 11, 5)),
        (Line | None, {"anyOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]}, None, None),
        (Point | Town, {"anyOf": [{"$ref": "#/$defs/Point"}, {"$ref": "#/$defs/Town"}]}, {"x": 1, "y": 2}, Point(1, 2)),
        (list[Tree], {"items": {"$ref": "#/$defs/Tree"}}, [{"value": 1, "children": []}], [Tree(value=1)]),
        (TypeAdapter(list[Point]), {"items": {"$ref": "#/$defs/Point"}}, [{"x": 1, "y": 2}], [Point(1, 2)]),
    ],
)
def test_a_type_that_is_no_object_is_the_property_of_one(type_: Any, schema: Any, answer: Any, parsed: Any) -> None:
    response_format = as_response_format(type_)

    assert response_format is not None
    assert response_format.json_schema is not None
    sent = dict(response_format.json_schema)
    sent.pop("$defs", None)
    inner = sent["properties"]["value"]
    assert (sent["type"], sent["required"], sent["additionalProperties"]) == ("object", ["value"], False)
    assert schema.items() <= inner.items()
    assert "$defs" not in inner
    assert response_format.strict is (describe_misfits(response_format.json_schema, OPENAI) is None)
    for text in (json.dumps({"value": answer}), f" {json.dumps(answer)}\n"):  # the model may leave the object out
        found = response_format.parse(text)
        assert (found, type(found)) == (parsed, type(parsed))
    assert response_format.is_wrapped
    assert unwrap({"value": answer}) == unwrap(answer) == answer
    assert unwrap({}) is None


@table("type_", [Line, Point, Town, dict[str, int], Tree])
def test_a_type_that_is_an_object_goes_out_as_it_is(type_: Any) -> None:
    response_format = as_response_format(type_)

    assert response_format is not None
    assert response_format.type_schema == TypeAdapter(type_).json_schema()
    assert not response_format.is_wrapped
    assert response_format.type_schema is not None
    assert is_object(response_format.type_schema)
    assert is_object({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "object"}}})


@table(
    "type_, is_list",
    [
        *((list[int], True), (Words, True), (Sequence[Line], True), (tuple[int, ...], True), (list, True)),
        *((list[None], True), (tuple[int, int], False), (set[int], False), (Line, False), (int, False)),
        *((list[int] | None, False), (dict[str, list[int]], False), (TypeAdapter(list[int]), False)),
    ],
)
def test_which_types_are_lists_to_be_read_item_by_item(type_: Any, is_list: bool) -> None:
    response_format = as_response_format(type_)

    assert response_format is not None
    assert response_format.is_list is is_list
    if type_ == list[None]:
        assert response_format.parse_item("null", 0) is None


def test_an_item_is_read_as_the_whole_list_would_be_and_says_which_does_not_fit() -> None:
    response_format = as_response_format(list[Line])

    assert response_format is not None
    assert response_format.parse_item('{"what": "a"}', 3) == Line(what="a")
    with pytest.raises(ValueError, match=r"^3\.price: Input should be a valid number"):
        response_format.parse_item('{"what": "a", "price": "b"}', 3)
    with pytest.raises(ValueError, match=r"^1\.price: Input should be a valid number"):
        response_format.parse('{"value": [{"what": "a"}, {"what": "a", "price": "b"}]}')


@table(
    "given, text, message",
    [
        (Line, "{}", "what: Field required"),
        (Line, '{"what":"a', "Invalid JSON: EOF"),
        (Point, '{"x":"a","y":2}', "x: Input should be a valid integer"),
        (list[int], '{"value": [1', "Expecting ',' delimiter"),
        (list[int], '{"values": [1]}', "Input should be a valid array"),
        (list[int], '{"value": [1], "more": 2}', "Input should be a valid array"),
        (list[float], '{"value": [NaN]}', "NaN is no number in JSON"),
        (int, '{"value": "a"}', "Input should be a valid integer"),
        (Words, '{"value": ["a"]}', "at least 2 items"),
        ("json", "[1]", "it is not a JSON object"),
        ("json", "Here you are: {}", "Expecting value"),
        ("json", '{"a":' + "[" * 100_000, "nested too deeply"),
        ("json", '{"a": NaN}', "NaN is no number in JSON"),
        ("json", '{"a": [-Infinity]}', "-Infinity is no number in JSON"),
        ("json", '{"a": 1e999}', "1e999 is too large a number"),
        (SCHEMA, '{"a": Infinity}', "Infinity is no number in JSON"),
        (Measure, '{"value": NaN}', "NaN is no number in JSON"),
        (Measure, '{"value": 1' + "0" * 400 + "}", "is too large a number"),
        (Measure, '{"value": -1E+400}', r"-1E\+400 is too large a number"),
    ],
)
def test_an_answer_that_does_not_fit_says_where(given: Any, text: str, message: str) -> None:
    response_format = as_response_format(given)

    assert response_format is not None
    with pytest.raises(ValueError, match=message):
        response_format.parse(text)
