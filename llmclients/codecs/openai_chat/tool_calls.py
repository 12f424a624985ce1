"""Tool-call assembly for chat completions: decides which call each piece belongs to.

The wire: docs/protocols/openai-chat.md, "Tool calls in pieces".
"""

# Theory of operation
#
# A call arrives in pieces. OpenAI gives each piece the `index` of its call, the first piece an `id` and a name, and the
# others only more of the arguments. Servers that copy it leave things out: some have no index, some give every call the
# index 0, some repeat the id or the name in each piece, some send whole calls one after the other without any id.
#
# `ToolCalls` gives each piece the index of its call, counted from 0 in the order in which the calls begin. It keeps
# nothing of the arguments: the accumulator puts those together. Its state:
#
# - `_ids`: the id of each call so far, by our index. A call without an id gets one of ours.
# - `_by_wire_index`: which call a wire index means at present. With an index shared by several calls, that changes.
# - `_named`: the calls whose name has gone out.
#
# The current call is the one that the piece's wire index means; of a piece without an index, the one that began last. A
# piece belongs to
#
# 1. the current call, if the piece has that call's id, or no id. But a piece with a name and neither index nor id is
#    the beginning of another call, for a name is all that can tell;
# 2. else the call that has the piece's id, if it is not the first piece with its wire index;
# 3. else a new call.
#
# Invariants: the id and the name of a call go out once each, the id with its first piece; an index never means another
# call later on. One instance serves one answer.

from __future__ import annotations

import json
from typing import Any

from llmclients.codecs.json_fields import unexpected_type
from llmclients.types.response import ToolCallDelta

__all__ = ["ToolCalls"]


class ToolCalls:
    """The tool calls of one answer, piece by piece."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._by_wire_index: dict[int, int] = {}
        self._named: set[int] = set()

    def add(self, entry: Any) -> ToolCallDelta:
        """The next piece, an entry of `tool_calls`, with the index of its call.

        Raises:
            APIResponseError: it is no piece of a tool call.
        """
        if type(entry) is not dict:
            raise unexpected_type("tool_calls[]", entry)
        function = entry.get("function") or {}
        if type(function) is not dict:
            raise unexpected_type("tool_calls[].function", function)
        name, arguments = function.get("name") or None, function.get("arguments")
        if isinstance(arguments, dict):  # as Ollama's own wire has them
            arguments = json.dumps(arguments, ensure_ascii=False)
        if not isinstance(name, str | None) or not isinstance(arguments, str | None):
            raise unexpected_type("tool_calls[].function", function)
        wire_index, wire_id = entry.get("index"), entry.get("id")
        if type(wire_index) is not int:
            wire_index = None
        if type(wire_id) is not str or wire_id in ("", "null"):
            wire_id = None
        index = self._find(wire_index, wire_id, name)
        new_id = None
        if index is None:
            index = len(self._ids)
            new_id = wire_id or f"call_{index}"
            self._ids.append(new_id)
        if wire_index is not None:
            self._by_wire_index[wire_index] = index
        if index in self._named:
            name = None
        elif name:
            self._named.add(index)
        return ToolCallDelta(index=index, id=new_id, name=name, arguments=arguments or "")

    def _find(self, wire_index: int | None, wire_id: str | None, name: str | None) -> int | None:
        """The call that a piece belongs to, by our index; None for a new one."""
        if wire_index is not None:
            current = self._by_wire_index.get(wire_index)
        else:
            current = len(self._ids) - 1 if self._ids else None
        if current is None:
            return None
        if wire_id is None:
            return None if wire_index is None and name is not None else current
        if wire_id == self._ids[current]:
            return current
        return self._ids.index(wire_id) if wire_id in self._ids else None
