"""`Tool`: a function that a model may call, as the name, the description and the JSON Schema that it is told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, PrivateAttr, StrictBool, ValidationError
from typing_extensions import Self

from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model, Text
from llmclients.types.docstrings import parse_docstring
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_numbers import finite_schema
from llmclients.types.schema_rules import SchemaRules
from llmclients.types.signatures import evaluate_signature, parameters_schema, validate_arguments
from llmclients.types.strict_schema import strict_schema

__all__ = ["MAX_TOOLS", "Tool", "ToolDenied", "ToolFailure", "as_tools", "is_async_function"]

MAX_TOOLS = 1024
"""How many tools a request may have. OpenAI takes 128, the others say no number."""

_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,127}")


class ToolFailure(Exception):
    """A call of a tool gave no result; the message is for the model to read."""


class ToolDenied(Exception):
    """A call of a tool is not to be made: what `on_tool_call` returns, or raises. The model is told the reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def is_async_function(function: Any) -> bool:
    """Whether calling it gives something to await, as far as one can tell before."""
    call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


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
    _of_type: bool = PrivateAttr(default=False)

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
        """Check the name, and close the parameters of a strict tool that has none; called by pydantic."""
        if self.strict and "parameters" not in self.model_fields_set:
            self.parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        if not _NAME_PATTERN.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is no name for a tool: letters, digits, _, - only")
        if self.name in ("auto", "none", "required"):
            raise ValueError(f"name: {self.name!r} has a meaning of its own in tool_choice")

    @classmethod
    def coerce(cls, tool: Any) -> Self:
        """A tool from a function, a pydantic model (a class) or a dict; a `Tool` is returned as it is.

        A function's description and its parameters' come from its docstring, their types from its signature. A dict is
        chat completions' `{"type": "function", "function": {…}}`, or has `name`, `description` and `parameters` (or
        `input_schema`) itself. An `mcp.types.Tool` is a tool without a function: `llmclients.mcp.mcp_tools` gives those
        that can be called.

        Raises:
            InvalidRequestError: it is none of these, or has no JSON Schema.
        """
        if isinstance(tool, cls):
            return tool
        if isinstance(tool, Mapping):
            return cls._from_dict(tool)
        if isinstance(tool, BaseModel) and "inputSchema" in (described := _as_protocol(tool)):
            return cls._from_dict(described)
        if isinstance(tool, type) and issubclass(tool, BaseModel):
            with _schema_errors(tool.__name__):
                schema = finite_schema(tool.model_json_schema())
            return cls(tool.__name__, inspect.getdoc(tool) if tool.__doc__ else None, schema)._made_of_type()
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
        for name in ("input_schema", "inputSchema"):
            if name in fields:
                fields["parameters"] = fields.pop(name)
        if "inputSchema" in tool:  # MCP's members of a tool that are not for the model
            fields = {name: fields[name] for name in ("name", "description", "parameters") if name in fields}
        return cls.model_validate({name: value for name, value in fields.items() if value is not None})

    @classmethod
    def _from_function(cls, function: Callable[..., Any]) -> Self:
        inner = getattr(function, "func", function)  # of a functools.partial
        name = getattr(inner, "__name__", type(inner).__name__)
        with _schema_errors(name):
            parameters = evaluate_signature(function).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD):
                raise InvalidRequestError(f"{name}: a model gives arguments by name: {parameter}", argument="tools")
        with _schema_errors(name):
            schema = finite_schema(parameters_schema(function))
        docstring = parse_docstring(inspect.getdoc(inner) or "")
        properties = schema.get("properties", {})
        for parameter_name, description in docstring.parameters.items():
            if parameter_name in properties:
                properties[parameter_name].setdefault("description", description)
        return cls(name, docstring.summary or None, schema, function=function)._made_of_type()

    def _made_of_type(self) -> Self:
        """The tool itself, whose schema is the library's own: it may be rewritten."""
        self._of_type = True
        return self

    def fitted_parameters(self, rules: SchemaRules | None) -> dict[str, Any]:
        """The schema that goes to a maker. Where the tool is strict, it keeps the maker's rules.

        Args:
            rules: the maker's; None where nobody knows them.

        Raises:
            InvalidRequestError: the tool is strict, and the schema cannot be; the message has the places.
        """
        if not self.strict or rules is None:
            return self.parameters
        schema = self.parameters
        try:
            if self._of_type:
                schema = strict_schema(schema, rules)
            found = describe_misfits(schema, rules)
        except ValueError as error:  # a schema that was changed since
            found = str(error)
        if found is not None:
            raise InvalidRequestError(
                f"tools: {self.name} cannot be strict: {found} (without strict it is sent)", argument="tools"
            )
        return schema

    @property
    def is_async(self) -> bool:
        """Whether the function must be awaited."""
        return is_async_function(self.function)

    @property
    def needs_async_client(self) -> bool:
        """Whether the function can only be awaited in the event loop where the tool was made."""
        return False

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function with arguments that are validated against its signature.

        Returns:
            What it returns; of an async function, a coroutine.

        Raises:
            ToolFailure: the arguments do not fit. Whatever the function raises.
        """
        assert self.function is not None
        try:
            validated = validate_arguments(self.function, arguments)
        except ValidationError as error:
            findings = "; ".join(
                f"{'.'.join(map(str, finding['loc']))}: {finding['msg']}"
                for finding in error.errors(include_url=False, include_context=False)
            )
            raise ToolFailure(f"the arguments do not fit: {findings}") from None
        return self.function(**validated)


@contextmanager
def _schema_errors(name: str) -> Iterator[None]:
    """Turns whatever is raised while a schema is made of the types of this function or model.

    Raises:
        InvalidRequestError: in its place.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - annotations are evaluated, and may run code of any kind
        reason = str(error).partition("\n")[0]
        raise InvalidRequestError(f"{name}: its parameters have no JSON Schema: {reason}", argument="tools") from None


def _as_protocol(model: BaseModel) -> dict[str, Any]:
    """A model of MCP's package as the protocol's own JSON: its names are the same in each version of the package."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def as_tools(tools: Any) -> list[Tool]:
    """The tools of a request, a new list. What is a `Tool` already is not parsed again.

    Raises:
        ValueError: no list, no tools in it, more than `MAX_TOOLS`, or two of one name.
    """
    if hasattr(tools, "list_tools"):
        raise ValueError("of an MCP session, give tools=await llmclients.mcp.mcp_tools(session)")
    if isinstance(tools, BaseModel) and isinstance(listed := getattr(tools, "tools", None), list):  # `ListToolsResult`
        if _as_protocol(tools).get("nextCursor"):
            raise ValueError("the MCP server has more tools than these: llmclients.mcp.mcp_tools(session) asks for all")
        tools = listed
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ValueError(f"must be a list of functions, pydantic models or dicts, not {type(tools).__name__}")
    if len(tools) > MAX_TOOLS:
        raise ValueError(f"{len(tools)} of them are too many for one request: {MAX_TOOLS} at most")
    try:
        coerced = [tool if isinstance(tool, Tool) else Tool.coerce(tool) for tool in tools]
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None
    names: set[str] = set()
    for tool in coerced:
        if tool.name in names:
            raise ValueError(f"two tools have the name {tool.name!r}")
        names.add(tool.name)
    return coerced
