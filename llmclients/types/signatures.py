"""Function signatures as schemas: the JSON Schema of a function's parameters, and arguments validated against them."""

from __future__ import annotations

import builtins
import collections.abc
import contextlib
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ArgsKwargs

__all__ = ["evaluate_signature", "parameters_schema", "validate_arguments"]

# Theory of operation
#
# pydantic takes a function for a type: the schema is that of its arguments, and to validate is to call it. For two
# reasons it is never given the function itself here, but a stand-in (`_stand_in`).
#
# 1. What the function raises must not be mixed up with what is wrong with its arguments, and an async function is
#    awaited somewhere else. So the stand-in only returns the arguments that it is called with.
# 2. Annotations may be strings (`from __future__ import annotations`), or have strings in them (`list["Item"]`), which
#    mean something only in the module where they were written. pydantic knows that module for plain functions, but not
#    for methods, partials and objects with `__call__`. So they are evaluated first, inner ones included
#    (`evaluate_signature`), and the stand-in's annotations are types already.


def evaluate_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of anything that can be called, with types for annotations, not strings, also inside generics.

    The annotation of what it returns may stay a string: a name that only type checkers know must not matter, as nothing
    here needs it.

    Raises:
        NameError: an annotation of a parameter names nothing.
        ValueError: it has no signature, as some built-in functions. Annotations are code, and may raise anything else.
    """
    signature = inspect.signature(function)
    given = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    evaluated = _evaluate(given, _innermost(function))
    return signature.replace(
        parameters=[
            parameter.replace(annotation=evaluated[name]) if name in evaluated else parameter
            for name, parameter in signature.parameters.items()
        ]
    )


def _evaluate(annotations: dict[str, Any], function: Any) -> dict[str, Any]:
    """The annotations without strings in them, by the names of the module where the function was written.

    What is not there may be a name of the function around it, or of its class, as nested classes are.
    """

    def holder() -> None: ...

    module: dict[str, Any] = getattr(function, "__globals__", {})
    names, found = module, annotations
    for _ in range(1 if _EVALUATES_ALL else _MAX_DEPTH):
        holder.__annotations__ = found
        try:
            found = typing.get_type_hints(holder, names, _closure_of(function), include_extras=True)
        except NameError:
            names = {**_class_names(function, module), **vars(builtins), **module}
            found = typing.get_type_hints(holder, names, _closure_of(function), include_extras=True)
        if not _EVALUATES_ALL:
            referring = {name: _with_references(annotation) for name, annotation in found.items()}
            if referring == found:
                break
            found = referring
    return found


_EVALUATES_ALL = sys.version_info >= (3, 11)
"""Before, `typing.get_type_hints` leaves the string in `list["Item"]` a string; it knows the one in `List["Item"]`."""
_MAX_DEPTH = 20


def _with_references(annotation: Any) -> Any:
    """The annotation with a `ForwardRef` for each string among its arguments."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None or origin is typing.Literal or origin is collections.abc.Callable:
        return annotation
    if origin is typing.Annotated:
        parts = (_with_references(arguments[0]), *annotation.__metadata__)
        return typing.Annotated[parts]
    referring = tuple(typing.ForwardRef(one) if isinstance(one, str) else _with_references(one) for one in arguments)
    if referring == arguments:
        return annotation
    return typing.Union[referring] if origin in (typing.Union, types.UnionType) else origin[referring]  # noqa: UP007


def _innermost(function: Any) -> Any:
    """The plain function in partials, decorators, methods and objects with `__call__`: it knows its module."""
    while True:
        inner = inspect.unwrap(function)
        if isinstance(inner, functools.partial | functools.partialmethod):
            inner = inner.func
        elif inspect.ismethod(inner):
            inner = inner.__func__
        elif not inspect.isroutine(inner):
            inner = type(inner).__call__
        if inner is function:
            return inner
        function = inner


def _closure_of(function: Any) -> dict[str, Any]:
    """The names of the functions around it that it has kept."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=False):
        with contextlib.suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found


def _class_names(function: Any, module: Mapping[str, Any]) -> dict[str, Any]:
    """The names in the classes around it, the innermost's last."""
    names: dict[str, Any] = {}
    around: Any = module
    for step in getattr(function, "__qualname__", "").split(".")[:-1]:
        around = around.get(step) if isinstance(around, Mapping) else getattr(around, step, None)
        if not isinstance(around, type):
            break
        for base in reversed(around.__mro__):
            names |= vars(base)
    return names


def parameters_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of its parameters, an object with a property for each.

    Raises:
        PydanticUserError: a parameter's type has no JSON Schema. What `evaluate_signature` raises.
    """
    signature, adapter = _arguments_adapter(_Key(function))
    schema = adapter.json_schema(schema_generator=_WithoutTitles)
    for name, parameter in signature.parameters.items():
        _even_out(schema["properties"][name], parameter)
    return schema


def validate_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the function's annotations want them, those that have a default and were not given included.

    Raises:
        pydantic.ValidationError: they do not fit.
    """
    _, adapter = _arguments_adapter(_Key(function))
    validated: dict[str, Any] = adapter.validate_python(ArgsKwargs((), dict(arguments)))
    return validated


class _Key:
    """A function as a key, by its identity: not everything that can be called can be hashed."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __hash__(self) -> int:
        return id(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.function is other.function


@functools.lru_cache(maxsize=256)  # building one takes longer than all else in a call
def _arguments_adapter(key: _Key) -> tuple[inspect.Signature, TypeAdapter[Any]]:
    signature = evaluate_signature(key.function)
    stand_in: Any = _stand_in(signature)  # type checkers do not know that pydantic takes functions for types
    return signature, TypeAdapter(stand_in)


def _stand_in(signature: inspect.Signature) -> Callable[..., dict[str, Any]]:
    """A function of this signature that returns its arguments."""

    def arguments(**given: Any) -> dict[str, Any]:
        return given

    # pydantic reads the parameters and their defaults from the first, their types from the second.
    arguments.__signature__ = signature  # type: ignore[attr-defined]
    arguments.__annotations__ = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    return arguments


class _WithoutTitles(GenerateJsonSchema):
    """A parameter's title repeats its name, and costs tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _even_out(schema: dict[str, Any], parameter: inspect.Parameter) -> None:
    """Undo what older pydantics do otherwise: they set a parameter's title all the same, and drop its description."""
    if schema.get("title") == parameter.name.replace("_", " ").title():
        del schema["title"]
    for annotation in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(annotation, FieldInfo) and annotation.description:
            schema.setdefault("description", annotation.description)
