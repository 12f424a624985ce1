"""The Responses API's tools that are no functions, as functions, and the calls of those back in the wire's form.

The wire: docs/protocols/openai-responses.md, "Tools". A provider behind the relay knows functions only. So

- a `custom` tool, whose call is one free text, becomes a function with one argument, that text. Its grammar, if it has
  one, is told to the model in words: nobody holds it to that;
- the tools of a `namespace` become functions whose names begin with the namespace's;
- what only the wire's own server can do is left out where programs ask for it always, and else rejected.

The names of a request's functions are made of its tools' alone, so the calls in its history find them, too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import WireTool
from llmclients.relay.codecs.json_fields import check_known, get_objects

__all__ = ["INPUT", "FunctionTools", "call_item", "custom_input", "function_name", "plain_item"]

_MAX_NAME = 64
"""The longest name of a function that every provider takes."""
INPUT = "input"
"""The one argument of a custom tool."""
_DROPPED_TYPES = frozenset({"tool_search", "web_search"})
"""Tools of the wire's own server that its programs name in every request."""
_NOT_READ = frozenset({"defer_loading", "output_schema"})
"""Members of a tool about when its description is sent, and about what it answers."""


@dataclass(slots=True)
class FunctionTools:
    """The tools of a request, as far as they can be functions.

    Attributes:
        functions: in the wire's form of functions.
        tools: those of them that are something else on the wire, by their names as functions.
        dropped: what was left out, in words.
    """

    functions: list[dict[str, Any]] = field(default_factory=list)
    tools: dict[str, WireTool] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def add(self, entries: Iterable[dict[str, Any]], where: str = "tools", namespace: str = "") -> None:
        """Add tools as the wire has them.

        Args:
            where: their place in the request, for messages.
            namespace: the group that they belong to.

        Raises:
            InvalidRequestError: one of them has no name, or is of a type that only the wire's own server has.
            UnsupportedOptionError: one of them has something that is not known.
        """
        for index, entry in enumerate(entries):
            place = f"{where}[{index}]"
            type_ = entry.get("type")
            if type_ == "namespace" and not namespace:
                check_known(entry, {"type", "name", "description", "tools"}, place, argument="tools")
                self.add(get_objects(entry, "tools"), f"{place}.tools", _name(entry, place))
            elif type_ == "custom":
                self._add_custom(entry, place, namespace)
            elif type_ == "function" and namespace:
                self._add_function(entry, _name(entry, place), namespace)
            elif isinstance(type_, str) and type_ in _DROPPED_TYPES:
                self.dropped.append(f"{place}: {type_} is left out: only the wire's own server has it")
            elif type_ == "function":
                self.functions.append(_without_unread(entry))
            else:
                raise InvalidRequestError(
                    f"{place}: the relay carries functions only, not {type_!r}: only the wire's own server has those",
                    argument="tools",
                )

    def _add_function(self, entry: Mapping[str, Any], name: str, namespace: str) -> None:
        known_as = function_name(name, namespace)
        self.functions.append({**_without_unread(entry), "name": known_as})
        self.tools[known_as] = WireTool(name, namespace)

    def _add_custom(self, entry: Mapping[str, Any], place: str, namespace: str) -> None:
        known = {"type", "name", "description", "format"}
        check_known(_without_unread(entry), known, place, argument="tools")
        name = _name(entry, place)
        known_as = function_name(name, namespace)
        text = {"type": "string", "description": _input_description(entry.get("format"), place)}
        parameters = {
            "type": "object",
            "properties": {INPUT: text},
            "required": [INPUT],
            "additionalProperties": False,
        }
        function = {"type": "function", "name": known_as, "parameters": parameters}
        if entry.get("description") is not None:
            function["description"] = entry["description"]
        self.functions.append(function)
        self.tools[known_as] = WireTool(name, namespace, is_custom=True)


def _name(entry: Mapping[str, Any], place: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{place}: there is no name", argument="tools")
    return name


def _without_unread(entry: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in entry.items() if name not in _NOT_READ}
    if fields.get("allowed_callers") == ["direct"]:  # the model, and not a program of its own
        del fields["allowed_callers"]
    return fields


def _input_description(format_: Any, place: str) -> str:
    """What the text of a custom tool is, for the model to read."""
    if format_ is None or (isinstance(format_, dict) and format_.get("type") == "text"):
        return "The tool's input: free text."
    if not isinstance(format_, dict) or format_.get("type") != "grammar":
        raise UnsupportedOptionError(f"{place}: the relay does not know this format of a text", argument="tools")
    return f"The tool's input: free text of this {format_.get('syntax')} grammar:\n{format_.get('definition')}"


def function_name(name: str, namespace: Any = None) -> str:
    """The name of a tool as a function. A long one is cut, and ends with a checksum: no two become the same."""
    full = f"{namespace}__{name}" if namespace else name
    if not namespace or len(full) <= _MAX_NAME:
        return full
    return f"{full[: _MAX_NAME - 9]}_{zlib.crc32(full.encode('utf-8', 'replace')):08x}"


# --- calls ----------------------------------------------------------------------------------------------------------


def custom_input(arguments: str) -> str:
    """The text that a call of a custom tool has, of its arguments as a function.

    Also where the answer was cut in it; and a model that wrote no JSON has written the text itself.
    """
    try:
        fields = from_json(arguments or "{}", allow_partial="trailing-strings")
    except ValueError:
        return arguments
    text = fields.get(INPUT, "") if isinstance(fields, dict) else None
    return text if isinstance(text, str) else arguments


def call_item(item: Mapping[str, Any], tools: Mapping[str, WireTool]) -> dict[str, Any]:
    """A function's call as the item that the request's own tool wants; that of a plain function as it is."""
    name = item.get("name") if item.get("type") == "function_call" else None
    tool = tools.get(name) if isinstance(name, str) else None
    if tool is None:
        return dict(item)
    namespace = {"namespace": tool.namespace} if tool.namespace else {}
    named = {**item, "name": tool.name, **namespace}
    if not tool.is_custom:
        return named
    return named | {"type": "custom_tool_call", "input": custom_input(str(named.pop("arguments", "")))}


def plain_item(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The reverse: a call in a request's history, or its result, as a function's; any other item as it is.

    Raises:
        InvalidRequestError: a custom tool's call has no text.
    """
    type_ = item.get("type")
    if type_ == "custom_tool_call_output":
        return {**item, "type": "function_call_output"}
    if type_ not in ("function_call", "custom_tool_call") or not isinstance(item.get("name"), str):
        return dict(item)
    plain = {name: value for name, value in item.items() if name not in ("input", "namespace")}
    plain["name"] = function_name(item["name"], item.get("namespace"))
    if type_ == "custom_tool_call":
        if not isinstance(item.get("input"), str):
            raise InvalidRequestError(f"{where}: the input of a custom tool's call is text", argument="input")
        plain |= {"type": "function_call", "arguments": json.dumps({INPUT: item["input"]}, ensure_ascii=False)}
    return plain
