"""Strict schemas: what a type's schema becomes, where that cannot be, and which rules each maker has."""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, JsonValue, RootModel, TypeAdapter
from tables import table
from typing_extensions import TypedDict

from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_rules import ANTHROPIC, COHERE, GEMINI, MAKERS, MISTRAL, OPENAI, STANDARD_KEYWORDS
from llmclients.types.strict_schema import strict_schema

T = TypeVar("T")


class Colour(str, enum.Enum):
    RED = "red"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


class Node(BaseModel):
    name: str
    kids: list[Annotated[Node, Field(description="a child")]] = []


class Left(BaseModel):
    right: Annotated[Right, Field(description="the other")] | None = None


class Right(BaseModel):
    left: Annotated[Left, Field(title="Back")]


class Box(BaseModel, Generic[T]):
    value: T
    inner: Box[T] | None = Field(default=None, description="again")


class Partial(TypedDict, total=False):
    a: int
    colour: Colour


class Values(BaseModel):
    price: Decimal
    few: Annotated[set[str], Field(max_length=3)]
    code: Annotated[str, Field(min_length=2, pattern="^a+$")] = "aa"
    even: Annotated[int, Field(multiple_of=2, gt=1)]
    colour: Colour = Field(Colour.RED, description="of the thing", examples=["red"])
    raw: bytes
    place: tuple[float, float]
    link: HttpUrl
    named: int = Field(alias="called")


class Guarded(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    text: Annotated[str, Field(pattern=r"^(?!no)\w+$")]
    fine: Annotated[str, Field(pattern=r"^\(?=[(?=]$")]


STRICT: list[Any] = [Owner, Node, Left, Right, Box[int], Partial, Values, Guarded, RootModel[Node]]

OPEN: dict[str, tuple[Any, str]] = {
    "a dict": (dict[str, int], "additionalProperties"),
    "any dict": (dict, "additionalProperties"),
    "a dict by enum": (dict[Colour, int], "propertyNames"),
    "a dict by pattern": (dict[Annotated[str, Field(pattern="^a")], int], "patternProperties"),
    "anything": (Any, "wants a type"),
    "an object": (object, "wants a type"),
    "a list of anything": (list, "items: OpenAI wants a type"),
    "any JSON": (JsonValue, "wants a type"),
    "an uneven tuple": (tuple[int, str], "prefixItems"),
}


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """All schemas in a schema."""
    if isinstance(schema, dict):
        yield schema
        for key in ("properties", "$defs"):
            for one in schema.get(key, {}).values():
                yield from schemas(one)
        for key in ("anyOf", "allOf", "prefixItems"):
            for one in schema.get(key, []):
                yield from schemas(one)
        yield from schemas(schema.get("items"))


@table("type_", STRICT, ids=lambda type_: type_.__name__)
def test_what_can_be_strict_is(type_: Any) -> None:
    given = TypeAdapter(type_).json_schema()
    before = copy.deepcopy(given)

    strict = strict_schema(given)

    assert given == before, "the given schema is only read"
    assert describe_misfits(strict, OPENAI) is None
    for schema in schemas(strict):
        assert schema.keys() & {"type", "anyOf", "$ref", "enum", "const"}, f"lost its type: {schema}"
        assert not schema.keys() & {"oneOf", "discriminator", "default", "uniqueItems", "minLength", "prefixItems"}
        assert "$ref" not in schema or not schema.keys() - {"$ref", "$defs"}
        assert "(?!" not in schema.get("pattern", "")


@table("type_, reason", OPEN.values(), ids=OPEN)
def test_what_cannot_be_strict_says_where(type_: Any, reason: str) -> None:
    class Holder(BaseModel):
        field: type_

    class Outer(BaseModel):
        inner: list[Holder]

    found = describe_misfits(strict_schema(Outer.model_json_schema()), OPENAI)

    assert found is not None
    assert reason in found
    assert "$defs." in found
    assert json.dumps(strict_schema(Outer.model_json_schema())).count("additionalProperties") >= 2


def test_an_object_that_takes_other_keys_is_not_closed() -> None:
    class Open(BaseModel, extra="allow"):
        a: int

    found = describe_misfits(strict_schema(Open.model_json_schema()), OPENAI)
    assert found == "additionalProperties: OpenAI wants false, so no other keys than the named"
    assert "additionalProperties" not in strict_schema({"type": "object"}), "closing it would make it always empty"


def test_a_described_reference_that_leads_back_keeps_its_type_and_its_description() -> None:
    strict = strict_schema(Node.model_json_schema())

    kids = {"anyOf": [{"$ref": "#/$defs/Node"}], "description": "a child"}
    assert strict["properties"]["kids"]["items"] == kids
    assert strict["$defs"]["Node"]["properties"]["kids"]["items"] == kids


def test_what_the_maker_has_no_word_for_is_told_in_the_description() -> None:
    properties = strict_schema(Values.model_json_schema())["properties"]

    assert properties["code"] == {
        "type": "string",
        "title": "Code",
        "pattern": "^a+$",
        "description": "{default: aa, minLength: 2}",
    }
    assert properties["colour"]["description"] == "of the thing\n\n{default: red, examples: ['red']}"
    assert properties["colour"]["enum"] == ["red"]
    assert (properties["even"]["multipleOf"], properties["even"]["exclusiveMinimum"]) == (2, 1)
    place = {"type": "array", "title": "Place", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    assert properties["place"] == place
    assert "called" in properties


def test_a_schema_with_several_in_allof_and_old_definitions() -> None:
    strict = strict_schema(
        {
            "type": "object",
            "definitions": {"a": {"type": "object", "properties": {"x": {"type": "string", "default": None}}}},
            "properties": {
                "one": {"allOf": [{"$ref": "#/definitions/a"}]},
                "two": {"allOf": [{"type": "object", "properties": {}}, {"type": "object", "properties": {}}]},
                "kept": {"allOf": [{"type": "integer", "minimum": 1}], "minimum": 2},
                "inline": {"oneOf": [{"type": "object", "properties": {"b": {"type": "null"}}}]},
                "free": {"type": "object", "additionalProperties": True},
            },
        }
    )
    assert strict["required"] == ["one", "two", "kept", "inline", "free"]
    assert strict["definitions"]["a"]["properties"] == {"x": {"type": "string"}}
    assert strict["properties"]["one"] == {"$ref": "#/definitions/a"}
    assert all(entry["additionalProperties"] is False for entry in strict["properties"]["two"]["allOf"])
    assert strict["properties"]["kept"]["allOf"] == [{"type": "integer", "minimum": 1}]
    (inline,) = strict["properties"]["inline"]["anyOf"]
    assert (inline["required"], inline["additionalProperties"]) == (["b"], False)
    assert strict["properties"]["free"]["additionalProperties"] is True


@table("ref", ["#/$defs/none", "https://a.example/schema", "#/properties/a/items/0"])
def test_a_reference_to_nowhere_is_refused(ref: str) -> None:
    with pytest.raises(ValueError, match="the schema has no "):
        strict_schema({"type": "object", "properties": {"a": {"$ref": ref, "description": "d"}}})
    found = describe_misfits({"type": "object", "properties": {"a": {"$ref": ref}}}, MISTRAL)
    assert found is not None
    assert "properties.a.$ref: the schema has no" in found


def test_references_to_nothing_but_references_end() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    with pytest.raises(ValueError, match="nothing but references"):
        strict_schema(loop)


def test_a_chain_of_described_references_stays_small() -> None:
    described: dict[str, Any] = {"description": "d"}
    defs = {
        f"n{i}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/n{i + 1}", **described} for k in "ab"}}
        for i in range(40)
    }
    defs["n40"] = {"type": "object", "properties": {}}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n0", **described}}, "$defs": defs}

    strict = strict_schema(schema)

    assert len(json.dumps(strict)) < 1_000_000
    assert describe_misfits(strict, OPENAI) is None


CLOSED = {"type": "object", "required": ["a"], "additionalProperties": False}
OWN: list[tuple[dict[str, Any], str, str]] = [
    # what stands in the place of "a", who refuses it, and how the message begins
    ({"type": "integer"}, "", ""),
    ({"type": ["string", "null"], "description": "d", "x-mine": 1}, "", ""),
    ({"type": "string", "minLength": 1}, "openai anthropic gemini cohere", "properties.a.minLength: "),
    ({"type": "string", "default": "x"}, "openai gemini cohere", "properties.a.default: "),
    ({"type": "string", "format": "uri"}, "openai gemini cohere", "properties.a.format: "),
    ({"type": "string", "pattern": "(?<=a)b"}, "openai anthropic gemini", "properties.a.pattern: "),
    ({"type": "string", "pattern": r"(a)\1"}, "anthropic gemini", "properties.a.pattern: "),
    ({"type": "string", "pattern": "^a$"}, "gemini cohere", "properties.a.pattern: "),
    ({"type": "integer", "minimum": 1}, "anthropic cohere", "properties.a.minimum: "),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "anthropic cohere", "properties.a.minItems: "),
    ({"oneOf": [{"type": "integer"}]}, "openai anthropic cohere", "properties.a.oneOf: "),
    ({"allOf": [{"type": "integer"}]}, "openai gemini cohere", "properties.a.allOf: "),
    ({"const": 1}, "gemini", "properties.a.const: "),
    ({}, "openai mistral anthropic", "properties.a: "),
    ({"type": "array"}, "openai mistral anthropic", "properties.a.items: "),
    ({"type": "object", "properties": {}}, "openai mistral anthropic cohere", "properties.a."),
    ({**CLOSED, "properties": {"a": {"type": "null"}, "b": {"type": "null"}}}, "openai", "properties.a.required: "),
    ({"$ref": "#", "description": "d"}, "openai anthropic gemini", "properties.a"),
]


@table("inner, refused_by, message", OWN, ids=[json.dumps(inner)[:40] for inner, _, _ in OWN])
def test_the_table_says_which_maker_takes_what(inner: dict[str, Any], refused_by: str, message: str) -> None:
    schema = {**CLOSED, "properties": {"a": inner}}

    found = {name: describe_misfits(schema, rules) for name, rules in MAKERS.items()}

    assert {name for name, misfits in found.items() if misfits} == set(refused_by.split()), found
    for misfits in filter(None, found.values()):
        assert misfits.startswith(message)


def test_a_maker_s_rules_are_words_of_json_schema_and_have_a_dated_source() -> None:
    for rules in MAKERS.values():
        assert rules.keywords <= STANDARD_KEYWORDS
        assert rules.described <= rules.keywords
        assert "2026-" in rules.source


@table(
    "schema, message",
    [
        ({"anyOf": [{**CLOSED, "properties": {"a": {"type": "null"}}}]}, "the outermost schema is no plain object"),
        ({**CLOSED, "properties": {f"p{i}": {"type": "null"} for i in range(5001)}, "required": ["p0"]}, "required: "),
        ({**CLOSED, "properties": {"a": {"enum": list(range(1001))}}}, "1001 values of enums: OpenAI takes 1000"),
    ],
)
def test_the_whole_has_limits_too(schema: dict[str, Any], message: str) -> None:
    found = describe_misfits(schema, OPENAI)

    assert found is not None
    assert message in found


def test_a_schema_nested_without_end_is_a_misfit() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    assert describe_misfits({"type": "object", "properties": {"a": schema}}, MISTRAL) == (
        "the schema is nested too deeply"
    )
    while "items" in schema:  # Python takes such a chain apart by recursion, too
        schema = schema.pop("items")


def test_gemini_takes_circles_in_properties_that_are_not_required() -> None:
    strict = strict_schema(Node.model_json_schema(), GEMINI)

    assert strict["$defs"]["Node"]["required"] == ["name"]
    assert describe_misfits(strict, GEMINI) is None
    found = describe_misfits(strict_schema(Node.model_json_schema()), GEMINI)
    assert found == "$defs.Node.properties.kids: Gemini takes no circle through what is required"
    assert strict_schema(Cat.model_json_schema(), GEMINI)["properties"]["kind"]["enum"] == ["cat"]


def test_anthropic_takes_no_circles_and_cohere_no_empty_objects() -> None:
    found = describe_misfits(strict_schema(Node.model_json_schema(), ANTHROPIC), ANTHROPIC)
    assert found is not None
    assert found.startswith("properties.kids.items.anyOf.0.$ref: Anthropic takes no schema that refers to itself")
    assert describe_misfits({"type": "object", "properties": {}}, COHERE) is not None
