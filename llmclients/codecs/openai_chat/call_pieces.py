"""One entry of a chat completion's `tool_calls`, checked, in whatever form a server writes it; and a call under way."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from llmclients.codecs.call_arguments import CallArguments
from llmclients.codecs.json_fields import get_list, unexpected_type
from llmclients.codecs.openai_chat.provider_data import CODEC_NAME
from llmclients.errors import APIResponseError
from llmclients.types.response import ToolCallDelta

__all__ = ["Call", "Piece", "call_entries", "read_piece", "unclear"]

_ENTRY_MEMBERS = frozenset({"index", "id", "type", "function"})
_FUNCTION_MEMBERS = frozenset({"name", "arguments"})
_USUAL_TYPES = ("function", None, "")
_FLAT_MEMBERS = _ENTRY_MEMBERS | _FUNCTION_MEMBERS


class Piece(NamedTuple):
    """A piece of a tool call, or all of one.

    Attributes:
        wire_index: its `index`; None where it has none.
        id: the wire's; None where it has none.
        name: the function's, or a piece of it; "" where there is none.
        text: the next of its arguments.
        members: what else it has, and the server may want back.
    """

    wire_index: int | None
    id: str | None
    name: str
    text: str
    members: dict[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing that is part of a call."""
        return self.id is None and not (self.name or self.text.strip() or self.members)

    @property
    def opens(self) -> bool:
        """Whether its text begins an object or array."""
        return self.text.lstrip()[:1] in ("{", "[") if self.text else False


def call_entries(holder: dict[str, Any]) -> list[Any]:
    """The entries of `tool_calls` of a message or delta; without them, the older form's one `function_call`.

    Raises:
        APIResponseError: they are no list.
    """
    entries = get_list(holder, "tool_calls")
    if not entries and holder.get("function_call"):
        return [{"index": 0, "function": holder["function_call"]}]
    return entries


def read_piece(entry: Any) -> Piece:
    """The piece that an entry is.

    Raises:
        APIResponseError: it is none.
    """
    if type(entry) is not dict:
        raise unexpected_type("tool_calls[]", entry)
    function = entry.get("function")
    known = _ENTRY_MEMBERS
    if not function and ("name" in entry or "arguments" in entry):
        function, known = {name: entry[name] for name in _FUNCTION_MEMBERS if name in entry}, _FLAT_MEMBERS
    function = function or {}
    if type(function) is not dict:
        raise unexpected_type("tool_calls[].function", function)
    name, text = function.get("name"), function.get("arguments")
    if isinstance(text, dict) or text == []:  # an object, as on Ollama's own wire; empty, as PHP writes it
        text = json.dumps(text or {}, ensure_ascii=False)
    if not isinstance(name, str | None):
        raise unexpected_type("tool_calls[].function.name", name)
    if not isinstance(text, str | None):
        raise unexpected_type("tool_calls[].function.arguments", text)
    id = entry.get("id")
    if type(id) is not str or id.strip() in ("", "null"):
        id = None
    members = None
    if not (entry.keys() <= known and function.keys() <= _FUNCTION_MEMBERS and entry.get("type") in _USUAL_TYPES):
        members = _other_members(entry, function, known)
    return Piece(_read_index(entry.get("index")), id, name or "", text or "", members)


def _read_index(index: Any) -> int | None:
    """The index; None for what is none. Some servers write it as text."""
    if type(index) is int:
        return index
    if type(index) is str and index.isascii() and index.isdecimal() and len(index) < 10:
        return int(index)
    return None


def _other_members(entry: dict[str, Any], function: dict[str, Any], known: frozenset[str]) -> dict[str, Any] | None:
    """The members that the library has no use for, those of `function` in a member of this name."""
    members = {name: value for name, value in entry.items() if name not in known and value is not None}
    if entry.get("type") not in _USUAL_TYPES:
        members["type"] = entry["type"]
    inner = {name: value for name, value in function.items() if name not in _FUNCTION_MEMBERS and value is not None}
    if inner:
        members["function"] = inner
    return members or None


class Call:
    """A call under way.

    Attributes:
        index: ours.
        id: the first id that came.
        name: as far as it has come.
        event: the number of the event in which it began.
        came_whole: whether its first arguments were complete, and came with its name.
        name_came_last: whether its arguments were complete before its name came.
        named_again: whether, after its arguments were complete, its name came again without any id: `with` arguments,
            `before` them, or "".
        goes_elsewhere: whether its arguments began under an index that no call had.
        members: what else it has, and the server may want back.
    """

    def __init__(self, index: int, event: int) -> None:
        self.index, self.event = index, event
        self.id: str | None = None
        self.name = ""
        self.id_is_out = self.name_is_out = self.came_whole = self.has_new_members = False
        self.name_came_last, self.named_again, self.goes_elsewhere = False, "", False
        self.members: dict[str, Any] = {}
        self.arguments = CallArguments()

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete."""
        return self.arguments.is_complete

    def add_name(self, name: str) -> None:
        """A name, or the next piece of it, or all of it so far."""
        if name == self.name:
            return
        if self.name_is_out:
            raise unclear(f"a call of {self.name} has begun, and a piece of it has the name {name}")
        self.name = name if name.startswith(self.name) else self.name + name

    def delta(self, arguments: str) -> ToolCallDelta | None:
        """What goes out now, with these arguments; None for nothing."""
        id = None if self.id_is_out else self.id
        name = None if self.name_is_out else self.name or None
        if not (arguments or id or name or self.has_new_members):
            return None
        self.id_is_out, self.name_is_out = self.id_is_out or id is not None, self.name_is_out or name is not None
        delta = ToolCallDelta(index=self.index, id=id, name=name, arguments=arguments)
        if self.has_new_members:
            delta.provider_data, self.has_new_members = {CODEC_NAME: self.members}, False
        return delta


def unclear(what: str) -> APIResponseError:
    """The error for pieces that can be read in two ways."""
    return APIResponseError(f"the tool calls of the provider's reply are not clear: {what}")
