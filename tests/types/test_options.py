"""`ChatOptions` has what the models have: each option of `ChatRequest` and of every codec, of the same type, with help."""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from tables import table

from llmclients import ChatOptions, ChatRequest, InvalidRequestError, ResponseFormat, Tool
from llmclients.codecs.base import CodecOptions
from llmclients.providers.registry import find_provider, provider_names
from llmclients.types import options as module
from llmclients.types.request import ThinkingBudget, TopK


class Invoice(BaseModel):
    total: float


def own_options() -> dict[str, dict[type[CodecOptions], Any]]:
    """The type of each option that not all wires have, by the classes that have it."""
    found: dict[str, dict[type[CodecOptions], Any]] = {}
    for kind in {find_provider(name).load_codec().options for name in provider_names()}:
        for name, hint in typing.get_type_hints(kind).items():
            if name in kind.model_fields and (name not in CodecOptions.model_fields or kind is CodecOptions):
                found.setdefault(name, {})[kind] = hint
    return found


OWN = own_options()
COMMON = {
    name: hint
    for name, hint in typing.get_type_hints(ChatRequest).items()
    if name in ChatRequest.model_fields and name not in ("messages", "model")
}
READ_IN_MORE_FORMS: dict[str, list[Any]] = {
    "tools": [[own_options], [Invoice], [Tool("f")], ({"name": "f"},), None],
    "tool_choice": ["auto", {"type": "function", "function": {"name": "f"}}, None],
    "response_format": [
        *(
            Invoice,
            list[Invoice],
            TypeAdapter(int),
            int | str,
            typing.Literal["a", "b"],
            ResponseFormat(json_schema=None),
        ),
        *({"type": "object"}, "json", "json_object", "text", None),
    ],
}
"""Options that a validator turns into what the field holds; and a value of each form that `ChatOptions` allows."""


def plain(hint: Any) -> frozenset[Any]:
    """The members of a type, as a caller sees them: `float` takes integers, a list is any sequence of the like."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        members = frozenset[Any]().union(*map(plain, arguments))
        return members - {int} if float in members else members
    if origin is typing.Literal:
        return frozenset(arguments)
    if origin in (list, Sequence):
        return frozenset({(Sequence, plain(arguments[0]))})
    if origin in (dict, Mapping):
        return frozenset({Mapping})
    return frozenset({hint})


def test_every_option_is_there_with_its_type() -> None:
    hints = typing.get_type_hints(ChatOptions)
    expected = {name: plain(hint) for name, hint in COMMON.items()}
    expected |= {name: frozenset[Any]().union(*map(plain, kinds.values())) for name, kinds in OWN.items()}

    assert list(hints) == list(ChatOptions.__annotations__)
    assert hints.keys() == expected.keys()
    assert {name: plain(hint) for name, hint in hints.items() if name not in READ_IN_MORE_FORMS} == {
        name: members for name, members in expected.items() if name not in READ_IN_MORE_FORMS
    }


@table("name", READ_IN_MORE_FORMS)
def test_every_form_that_it_allows_is_taken(name: str) -> None:
    for value in READ_IN_MORE_FORMS[name]:
        others = {"tools": [Tool("f")]} if name == "tool_choice" and value is not None else {}
        ChatRequest.from_messages("Hi", **{name: value, **others})
    with pytest.raises(InvalidRequestError):
        ChatRequest.from_messages("Hi", **{name: 5})


@table("name, shared", [("top_k", TopK), ("thinking_budget", ThinkingBudget)])
def test_an_option_of_several_wires_has_one_type(name: str, shared: Any) -> None:
    assert len(OWN[name]) > 1
    for kind in OWN[name]:
        for wrong in (True, 1.5, "5"):  # each of them pydantic would make a number of
            with pytest.raises(InvalidRequestError, match=name):
                kind(**{name: wrong})
        assert getattr(kind(**{name: 1}), name) == 1
    assert {plain(hint) for hint in OWN[name].values()} == {plain(typing.get_args(shared)[0]) | {type(None)}}


def test_each_has_one_line_of_help_that_names_the_wires_that_have_it() -> None:
    (declared,) = (
        node.body
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == "ChatOptions"
    )
    lines = {
        field.target.id: line.value.value
        for field, line in pairwise(declared)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
    }

    assert lines.keys() == ChatOptions.__annotations__.keys()
    for name, line in lines.items():
        assert isinstance(line, str)
        assert line.endswith(".")
        assert "\n" not in line
        assert ":" not in line, "what stands before a colon, Sphinx takes for a type"
        if name in OWN and name not in CodecOptions.model_fields:
            named = re.split("[,;]", re.sub("[ -]", "", line.casefold().rpartition("(")[2].partition(")")[0]))
            assert set(named) == {kind.__name__.removesuffix("Options").casefold() for kind in OWN[name]}, name
