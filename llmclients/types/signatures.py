"""Function signatures as schemas: the JSON Schema of a function's parameters, and arguments validated against them."""

from __future__ import annotations

import inspect
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
# 2. Annotations may be strings (`from __future__ import annotations`), which mean something only in the module where
#    they were written. pydantic knows that module for plain functions, but not for methods, partials and objects with
#    `__call__`. So they are evaluated first (`evaluate_signature`), and the stand-in's annotations are types already.


def evaluate_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of anything that can be called, with types for annotations, not strings.

    The annotation of what it returns may stay a string: a name that only type checkers know must not matter, as nothing
    here needs it.

    Raises:
        NameError: an annotation of a parameter names nothing.
        ValueError: it has no signature, as some built-in functions. Annotations are code, and may raise anything else.
    """
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        signature = inspect.signature(function)
        names = _globals_of(function)
        parameters = [
            parameter.replace(annotation=eval(parameter.annotation, names))
            if isinstance(parameter.annotation, str)
            else parameter
            for parameter in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters)


def _globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that its annotations are made of: those of the module where the innermost function was written."""
    inner: Any = inspect.unwrap(getattr(function, "func", function))  # out of a functools.partial, out of decorators
    if not inspect.isroutine(inner):
        inner = type(inner).__call__
    names: dict[str, Any] = getattr(inner, "__globals__", {})
    return names


def parameters_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of its parameters, an object with a property for each.

    Raises:
        PydanticUserError: a parameter's type has no JSON Schema. What `evaluate_signature` raises.
    """
    signature = evaluate_signature(function)
    schema = _arguments_adapter(signature).json_schema(schema_generator=_WithoutTitles)
    for name, parameter in signature.parameters.items():
        _even_out(schema["properties"][name], parameter)
    return schema


def validate_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the function's annotations want them, those that have a default and were not given included.

    Raises:
        pydantic.ValidationError: they do not fit.
    """
    adapter = _arguments_adapter(evaluate_signature(function))
    validated: dict[str, Any] = adapter.validate_python(ArgsKwargs((), dict(arguments)))
    return validated


def _arguments_adapter(signature: inspect.Signature) -> TypeAdapter[Any]:
    stand_in: Any = _stand_in(signature)  # type checkers do not know that pydantic takes functions for types
    return TypeAdapter(stand_in)


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
