"""What the requests of several wires have in common: members that must be known, tools, forms of an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.types.response_format import ResponseFormat
from llmclients.types.tools import Tool, as_tools

__all__ = ["Options", "UncheckedFormat", "check_members", "check_neutral", "read_format", "read_tools"]


class Options(dict[str, Any]):
    """A call's options, by the library's names.

    Attributes:
        constants: those that ask for nothing out of the ordinary. A backing provider that cannot carry one does
            without it.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options or {})
        self.constants: set[str] = set()

    def add(self, name: str, value: Any, *, constant: bool = False) -> None:
        """Set an option, unless the value is None."""
        if value is not None:
            self[name] = value
            if constant:
                self.constants.add(name)

    def add_tools(self, tools: list[Tool], choice: str | None, parallel: bool | None) -> None:
        """Set what concerns tools. Without any, only what asks for a call means something."""
        self.add("tools", tools or None)
        if tools or choice not in ("auto", "none"):
            self.add("tool_choice", choice, constant=choice == "auto")
        if tools:
            self.add("parallel_tool_calls", parallel, constant=parallel is True)


class UncheckedFormat(ResponseFormat):
    """Whether an answer is what was asked for is for the relay's client to find, as with the wire's own server."""

    def parse(self, text: str) -> None:
        return None


def check_members(entry: Mapping[str, Any], known: Collection[str], where: str, *, argument: str | None = None) -> None:
    """Raise UnsupportedOptionError for a member that is not known, unless it is null.

    Args:
        where: what the entry is, for the message; "" for the request itself.
        argument: what the error names as wrong. Default: the member.
    """
    for name, value in entry.items():
        if name not in known and value is not None:
            raise UnsupportedOptionError(
                f"{where}{where and ': '}the relay does not know the member {name}", argument=argument or name
            )


def check_neutral(name: str, value: Any, neutral: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise UnsupportedOptionError for a member that asks for something.

    Args:
        neutral: the values, by member, that ask for nothing that would not happen anyway.
    """
    if name not in neutral:
        raise UnsupportedOptionError(f"the relay does not know the member {name}", argument=name)
    # The type counts: True equals 1.
    if not any(value == one and type(value) is type(one) for one in neutral[name]):
        raise UnsupportedOptionError(f"the relay cannot carry this value of {name}", argument=name)


def read_tools(entries: Sequence[Mapping[str, Any]]) -> list[Tool]:
    """Tools in chat completions' form, nested or flat.

    Raises:
        InvalidRequestError: one of them is none, or of a kind that only the wire's own server has.
    """
    for index, entry in enumerate(entries):
        if (kind := entry.get("type")) != "function":
            raise InvalidRequestError(
                f"tools[{index}]: the relay carries functions only, not {kind!r}: only the wire's own server has those",
                argument="tools",
            )
    try:
        return as_tools(entries)
    except ValueError as error:
        raise InvalidRequestError(f"tools: {error}", argument="tools") from None


def read_format(form: Any, where: str, *, nested: bool) -> UncheckedFormat | None:
    """The form of an answer: `text`, `json_object` or `json_schema`.

    Args:
        where: the member's name.
        nested: whether the schema's name and the schema stand in a member `json_schema` of their own.

    Raises:
        InvalidRequestError: it is none of these.
    """
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return UncheckedFormat(json_schema=None)
    if kind != "json_schema":
        raise InvalidRequestError(f"{where}: its type is text, json_object or json_schema", argument=where)
    inner = form.get("json_schema") if nested else {name: value for name, value in form.items() if name != "type"}
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise InvalidRequestError(f"{where}: there is no schema", argument=where)
    fields = {("json_schema" if name == "schema" else name): value for name, value in inner.items()}
    try:
        return UncheckedFormat.model_validate({name: value for name, value in fields.items() if value is not None})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{where}: {error}", argument=where) from None
