"""Tools: functions that a model may call, told to it by a name, a description and a JSON Schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, StrictBool, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ArgsKwargs
from typing_extensions import Self

from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model, Text
from llmclients.types.docstrings import parse_docstring

__all__ = ["Tool", "ToolFailure", "as_tools"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,127}")


class ToolFailure(Exception):
    """Why a call of a tool gave no result, in words for the model."""


class Tool(Model):
    """A function that a model may call.

    Args:
        name: up to 128 letters, digits, `_`, `-`, `.` and `:`; many providers take 64, without the last two.
        description: what it does, and when to call it.
        parameters: the JSON Schema of its arguments, an object.
        strict: whether the provider must keep the arguments to the schema, where the wire can say so.
        function: what `run_tools` calls, sync or async; never sent.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """

    name: Text
    description: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: StrictBool | None = None
    function: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            description: str | None = None,
            parameters: dict[str, Any] = ...,
            strict: bool | None = None,
            function: Callable[..., Any] | None = None,
        ) -> None: ...

    def model_post_init(self, context: Any, /) -> None:
        """Check the name; called by pydantic."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is no name for a tool: letters, digits, _, - only")
        if self.name in ("auto", "none", "required"):
            raise ValueError(f"name: {self.name!r} has a meaning of its own in tool_choice")

    @classmethod
    def coerce(cls, tool: Any) -> Self:
        """The tool that a function, a pydantic model (a class) or a dict describes.

        A dict is chat completions' `{"type": "function", "function": {…}}`, or has `name`, `description` and
        `parameters` (or `input_schema`) itself.

        Raises:
            InvalidRequestError: it is none of these, or its schema cannot be told.
        """
        if isinstance(tool, cls):
            return tool
        if isinstance(tool, Mapping):
            return cls._from_dict(tool)
        if isinstance(tool, type) and issubclass(tool, BaseModel):
            with _schema_of(tool.__name__):
                schema = tool.model_json_schema()
            return cls(tool.__name__, inspect.getdoc(tool) if tool.__doc__ else None, schema)
        if callable(tool) and not isinstance(tool, type):
            return cls._from_function(tool)
        raise InvalidRequestError(
            f"a tool is a function, a pydantic model or a dict, not {type(tool).__name__}", argument="tools"
        )

    @classmethod
    def _from_dict(cls, tool: Mapping[str, Any]) -> Self:
        fields = dict(tool)
        if fields.pop("type", "function") != "function":
            raise InvalidRequestError(
                f"only tools of type 'function' have a common form, not {tool['type']!r}: "
                "give a provider's own tools by extra=",
                argument="tools",
            )
        inner = fields.pop("function", None)
        if isinstance(inner, Mapping):
            fields |= inner
        elif inner is not None:
            fields["function"] = inner
        if "input_schema" in fields:
            fields["parameters"] = fields.pop("input_schema")
        return cls.model_validate({name: value for name, value in fields.items() if value is not None})

    @classmethod
    def _from_function(cls, function: Callable[..., Any]) -> Self:
        inner = getattr(function, "func", function)  # of a functools.partial
        name = getattr(inner, "__name__", type(inner).__name__)
        with _schema_of(name):
            parameters = _evaluated(function).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD):
                raise InvalidRequestError(f"{name}: a model gives arguments by name: {parameter}", argument="tools")
        with _schema_of(name):
            schema = _adapter(_bound(function)).json_schema(schema_generator=_WithoutTitles)
        for parameter in parameters:
            _mend(schema["properties"][parameter.name], parameter)
        about = parse_docstring(inspect.getdoc(inner) or "")
        for parameter_name, words in about.parameters.items():
            if parameter_name in schema.get("properties", {}):
                schema["properties"][parameter_name].setdefault("description", words)
        return cls(name, about.summary or None, schema, function=function)

    @property
    def is_async(self) -> bool:
        """Whether the function must be awaited."""
        call = getattr(self.function, "__call__", None)  # noqa: B004 - an object with an async __call__
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(call)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """What the function returns for arguments that are checked against its signature; of an async one, a coroutine.

        Raises:
            ToolFailure: the arguments do not fit. Whatever the function raises.
        """
        assert self.function is not None
        try:
            bound = _adapter(_bound(self.function)).validate_python(ArgsKwargs((), dict(arguments)))
        except PydanticError as error:
            findings = "; ".join(
                f"{'.'.join(map(str, finding['loc']))}: {finding['msg']}"
                for finding in error.errors(include_url=False, include_context=False)
            )
            raise ToolFailure(f"the arguments do not fit: {findings}") from None
        return self.function(**bound)


@contextmanager
def _schema_of(name: str) -> Iterator[None]:
    """Around whatever looks at a function's or a model's types, which may be anything.

    Raises:
        InvalidRequestError: they have no JSON Schema.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - annotations are evaluated, and may run code of any kind
        reason = str(error).partition("\n")[0]
        raise InvalidRequestError(f"{name}: its parameters have no JSON Schema: {reason}", argument="tools") from None


class _WithoutTitles(GenerateJsonSchema):
    """A parameter's title repeats its name, and costs tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _mend(schema: dict[str, Any], parameter: inspect.Parameter) -> None:
    """What older pydantics have otherwise in a parameter's schema: a title in any case, no words of its annotation."""
    if schema.get("title") == parameter.name.replace("_", " ").title():
        del schema["title"]
    for given in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(given, FieldInfo) and given.description:
            schema.setdefault("description", given.description)


def _adapter(function: Any) -> TypeAdapter[Any]:
    """pydantic takes a function for the type of its arguments, which type checkers do not know."""
    return TypeAdapter(function)


def _bound(function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """A function of the same signature that returns its arguments: they are checked apart from the call itself.

    Its annotations are evaluated where the function was written, which pydantic does for plain functions only.
    """

    def arguments(**given: Any) -> dict[str, Any]:
        return given

    signature = _evaluated(function)
    parameters = signature.parameters.values()
    arguments.__signature__ = signature.replace(return_annotation=signature.empty)  # type: ignore[attr-defined]
    arguments.__annotations__ = {one.name: one.annotation for one in parameters if one.annotation is not one.empty}
    return arguments


def _evaluated(function: Callable[..., Any]) -> inspect.Signature:
    """A signature whose annotations are types. What the function returns may be a name that only type checkers know."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        inner = inspect.unwrap(getattr(function, "func", function))
        inner = inner if inspect.isroutine(inner) else type(inner).__call__
        names = getattr(inner, "__globals__", {})
        signature = inspect.signature(function)
        return signature.replace(
            parameters=[
                one.replace(annotation=eval(one.annotation, names)) if isinstance(one.annotation, str) else one
                for one in signature.parameters.values()
            ]
        )


def as_tools(tools: Any) -> list[Tool]:
    """The tools of a request.

    Raises:
        ValueError: no list, no tools in it, or two of one name.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ValueError(f"must be a list of functions, pydantic models or dicts, not {type(tools).__name__}")
    try:
        found = [Tool.coerce(tool) for tool in tools]
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None
    names = [tool.name for tool in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two tools have the name {min(twice)!r}")
    return found
