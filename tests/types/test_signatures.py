"""Signatures: of whatever can be called, a schema of its parameters, and arguments that are checked without calling it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError
from tables import table

from llmclients.types.signatures import (
    _arguments_adapter,
    evaluate_signature,
    parameters_schema,
    validate_arguments,
)


class Place(BaseModel):
    city: str


def visit(place: Place, days: int = 1) -> str:
    raise AssertionError("nobody calls it")


async def wait(place: Place, days: int = 1) -> str:
    raise AssertionError("nobody calls it")


def logged(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> str:
        return function(*arguments, **named)

    return call


class Guide:
    def visit(self, place: Place, days: int = 1) -> str:
        raise AssertionError("nobody calls it")

    def __call__(self, place: Place, days: int = 1) -> str:
        raise AssertionError("nobody calls it")

    @classmethod
    def of_class(cls, place: Place, days: int = 1) -> str:
        raise AssertionError("nobody calls it")

    @staticmethod
    def of_nothing(place: Place, days: int = 1) -> str:
        raise AssertionError("nobody calls it")


CALLABLES = {
    "function": visit,
    "async function": wait,
    "decorated function": logged(visit),
    "method": Guide().visit,
    "class method": Guide.of_class,
    "static method": Guide.of_nothing,
    "object": Guide(),
    "partial of an object": functools.partial(Guide()),
    "partial": functools.partial(visit, days=1),
}


@pytest.fixture(params=CALLABLES.values(), ids=CALLABLES)
def function(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_annotations_become_types(function: Any) -> None:
    parameters = evaluate_signature(function).parameters

    assert [(name, one.annotation) for name, one in parameters.items()] == [("place", Place), ("days", int)]


def test_the_schema_is_that_of_the_parameters(function: Any) -> None:
    schema = parameters_schema(function)

    assert schema["properties"] == {
        "place": {"$ref": "#/$defs/Place"},
        "days": {"type": "integer", "default": 1},
    }
    assert schema["required"] == ["place"]


def test_arguments_are_checked_and_nothing_is_called(function: Any) -> None:
    given = {"place": {"city": "Oslo"}}

    assert validate_arguments(function, given) == {"place": Place(city="Oslo"), "days": 1}
    assert validate_arguments(function, {**given, "days": "2"}) == {"place": Place(city="Oslo"), "days": 2}
    assert given == {"place": {"city": "Oslo"}}
    with pytest.raises(ValidationError) as caught:
        validate_arguments(function, {"place": {}, "days": "two", "nights": 1})
    assert {error["loc"] for error in caught.value.errors()} == {("place", "city"), ("days",), ("nights",)}


OTHER_MODULE = """
from __future__ import annotations
from decimal import Decimal as Amount

def pay(amount: Amount) -> Receipt: ...

class Till:
    def pay(self, amount: Amount) -> Receipt: ...
    def __call__(self, amount: Amount) -> Receipt: ...
"""


def test_names_are_those_of_the_module_where_it_was_written_and_the_result_s_need_not_exist() -> None:
    namespace: dict[str, Any] = {}
    exec(OTHER_MODULE, namespace)
    pay, till = namespace["pay"], namespace["Till"]()

    for function in (pay, logged(pay), till.pay, till, functools.partial(pay), functools.partial(till)):
        signature = evaluate_signature(function)
        assert signature.parameters["amount"].annotation is namespace["Amount"]
        assert signature.return_annotation == "Receipt"
        assert validate_arguments(function, {"amount": "1.5"}) == {"amount": namespace["Amount"]("1.5")}


def test_a_parameter_s_name_must_exist() -> None:
    namespace: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef f(amount: Unheard): ...", namespace)

    with pytest.raises(NameError, match="Unheard"):
        evaluate_signature(namespace["f"])


def test_the_description_of_an_annotation_is_kept_and_a_title_that_repeats_the_name_is_not() -> None:
    def f(
        first_one: Annotated[int, Field(description="the first")],
        second: int,
    ) -> None: ...

    assert parameters_schema(f)["properties"] == {
        "first_one": {"type": "integer", "description": "the first"},
        "second": {"type": "integer"},
    }


def test_what_has_no_signature_or_no_schema_says_so() -> None:
    def f(callback: Callable[[], None]) -> None: ...

    with pytest.raises(ValueError, match="no signature found"):
        parameters_schema(max)
    with pytest.raises(Exception, match="Callable"):
        parameters_schema(f)


def test_a_parameter_without_an_annotation_takes_anything() -> None:
    def f(given, other=None): ...  # type: ignore[no-untyped-def]

    assert validate_arguments(f, {"given": {"a": [1]}}) == {"given": {"a": [1]}, "other": None}
    assert parameters_schema(f)["properties"] == {"given": {}, "other": {"default": None}}


INNER_REFERENCES = """
import functools
from typing import Annotated, Literal, Optional
from pydantic import BaseModel, Field

def plan(items: list["Item"], first: Optional["Item"] = None, by: dict[str, "list[Item]"] = {}, how: Literal["Item"] = "Item",
         told: Annotated["Item", Field(description="told")] = None, tree: "Node" = None) -> "Nowhere": ...

class Planner:
    class Inner(BaseModel):
        name: str

    def plan(self, items: list["Item"], inner: list["Inner"] = []) -> "Nowhere": ...
    def list(self) -> None: ...  # its name is that of a type, which it must not hide

    async def __call__(self, items: list["Item"], inner: "list[Inner]" = []) -> "Nowhere": ...

    @classmethod
    def of_class(cls, items: list["Item"]): ...

    @staticmethod
    def of_nothing(items: "list[Item]"): ...

class Item(BaseModel):
    name: str

class Node(BaseModel):
    nodes: list["Node"] = []

def around():
    class Local(BaseModel):
        name: str
    def plan(items: "list[Local]", item: Optional["Local"] = None):
        return Local
    return plan
"""


@table("future", ["", "from __future__ import annotations"])
def test_names_inside_generics_are_those_of_the_module_where_it_was_written(future: str) -> None:
    names: dict[str, Any] = {"__name__": "a module that is not imported"}
    exec(f"{future}\n{INNER_REFERENCES}", names)
    planner, item = names["Planner"](), names["Item"]
    functions = [names["plan"], planner.plan, planner, planner.of_class, planner.of_nothing]
    functions += [functools.partial(names["plan"], first=None), functools.partial(functools.partial(planner))]
    functions += [logged(names["plan"]), logged(functools.partial(planner.plan)), functools.partial(logged(planner))]

    for function in functions:
        given = {"items": [{"name": "a"}]}
        assert validate_arguments(function, given)["items"] == [item(name="a")], function
        assert parameters_schema(function)["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    inner = {"items": [], "inner": [{"name": "b"}]}
    assert [type(one).__name__ for one in validate_arguments(planner, inner)["inner"]] == ["Inner"]
    assert validate_arguments(planner.plan, inner)["inner"][0].name == "b"
    whole = validate_arguments(names["plan"], {"items": [], "by": {"a": [{"name": "c"}]}, "tree": {"nodes": [{}]}})
    assert (whole["by"]["a"][0], whole["how"]) == (item(name="c"), "Item")
    local = names["around"]()
    assert type(validate_arguments(local, {"items": [{"name": "d"}]})["items"][0]) is local(None)


def test_a_function_is_looked_at_once() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, a: int) -> None: ...

    for function in (Unhashable(), Unhashable()):
        assert validate_arguments(function, {"a": 1}) == {"a": 1}
    before = _arguments_adapter.cache_info().misses
    validate_arguments(function, {"a": 2})
    assert _arguments_adapter.cache_info().misses == before
