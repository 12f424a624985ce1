"""A request's options, tools, response format and messages as the library's own objects, for all wires.

They are parsed here, once: the client takes `Tool`, `ResponseFormat` and `Message` objects as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmclients.codecs.anthropic.names import EFFORT_BUDGETS
from llmclients.errors import InvalidRequestError
from llmclients.types.messages import Message, as_messages
from llmclients.types.response_format import ResponseFormat
from llmclients.types.tools import Tool, as_tools

__all__ = [
    "CallOptions",
    "UncheckedFormat",
    "effort_of_budget",
    "parse_message",
    "parse_response_format",
    "parse_tools",
]

_EFFORTS = ("low", "medium", "high")
"""The efforts that nearly every provider has which has any."""


class CallOptions(dict[str, Any]):
    """A call's options, by the library's names.

    Attributes:
        droppable: as in `RelayedCall`, and so the other three.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options or {})
        self.droppable: set[str] = set()
        self.tolerated: set[str] = set()
        self.alternatives: dict[str, tuple[str, Any]] = {}
        self.dropped: list[str] = []

    def add(self, name: str, value: Any, *, droppable: bool = False, tolerated: bool = False) -> None:
        """Set an option, unless the value is None."""
        if value is not None:
            self[name] = value
            if droppable:
                self.droppable.add(name)
            if tolerated:
                self.tolerated.add(name)

    def add_stop(self, stop: Any) -> None:
        """Set `stop`. An empty text stops nothing: every answer would end before it begins."""
        if isinstance(stop, list):
            stop = [text for text in stop if text != ""]
        self.add("stop", stop or None)

    def call_fields(self) -> dict[str, Any]:
        """The fields of a `RelayedCall` that are about options."""
        return {
            "options": dict(self),
            "droppable": frozenset(self.droppable),
            "tolerated": frozenset(self.tolerated),
            "alternatives": self.alternatives,
            "dropped": tuple(self.dropped),
        }

    def add_tools(self, tools: list[Tool], choice: str | None, parallel: bool | None) -> None:
        """Set what concerns tools. Without any, only what asks for a call means something."""
        self.add("tools", tools or None)
        if tools or choice not in ("auto", "none"):
            self.add("tool_choice", choice, droppable=choice == "auto")
        if tools:
            self.add("parallel_tool_calls", parallel, droppable=parallel is True)


class UncheckedFormat(ResponseFormat):
    """Whether an answer is what was asked for is for the relay's client to find, as with the wire's own server."""

    def parse(self, text: str) -> None:
        return None


def effort_of_budget(tokens: int) -> str:
    """The effort whose budget this one comes up to, of those that nearly every provider knows.

    Args:
        tokens: the most tokens of reasoning.
    """
    reached = [effort for effort in _EFFORTS if tokens >= EFFORT_BUDGETS[effort]]
    return reached[-1] if reached else _EFFORTS[0]


def parse_tools(entries: Sequence[Mapping[str, Any]]) -> list[Tool]:
    """Tools in chat completions' form, nested or flat.

    Raises:
        InvalidRequestError: one of them is none, or of a type that only the wire's own server has.
    """
    for index, entry in enumerate(entries):
        if (type_ := entry.get("type")) != "function":
            raise InvalidRequestError(
                f"tools[{index}]: the relay carries functions only, not {type_!r}: "
                "only the wire's own server has those",
                argument="tools",
            )
    try:
        return as_tools(entries)
    except ValueError as error:
        raise InvalidRequestError(f"tools: {error}", argument="tools") from None


def parse_response_format(value: Any, where: str, *, nested: bool) -> UncheckedFormat | None:
    """A response format: `text` (None), `json_object` or `json_schema`.

    Args:
        where: the field's name.
        nested: whether the schema's name and the schema stand in a field `json_schema` of their own.

    Raises:
        InvalidRequestError: it is none of these.
    """
    type_ = value.get("type") if isinstance(value, dict) else None
    if type_ == "text":
        return None
    if type_ == "json_object":
        return UncheckedFormat(json_schema=None)
    if type_ != "json_schema":
        raise InvalidRequestError(f"{where}: its type is text, json_object or json_schema", argument=where)
    inner = value.get("json_schema") if nested else {name: field for name, field in value.items() if name != "type"}
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise InvalidRequestError(f"{where}: there is no schema", argument=where)
    fields = {("json_schema" if name == "schema" else name): field for name, field in inner.items()}
    try:
        return UncheckedFormat.model_validate({name: field for name, field in fields.items() if field is not None})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{where}: {error}", argument=where) from None


def parse_message(entry: Mapping[str, Any], where: str) -> Message:
    """A message, whose place in the request errors name.

    Raises:
        InvalidRequestError: it cannot be sent.
    """
    try:
        return as_messages([entry])[0]
    except InvalidRequestError as error:
        raise InvalidRequestError(
            str(error).replace("messages[0]", where, 1), argument=where.partition("[")[0]
        ) from None
