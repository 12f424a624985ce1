"""Tool calls of chat completions, put in order (PROTOCOLS 8.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmclients.codecs.json_fields import unexpected_type
from llmclients.types.response import ToolCallDelta

__all__ = ["ToolCalls"]


class ToolCalls:
    """Gives each piece of a tool call its index, whatever the server left out (PROTOCOLS 8.3)."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # of the calls so far; their own index is their place
        self._named: set[int] = set()
        self._by_wire_index: dict[int, int] = {}

    def take(self, entry: Any) -> Iterator[ToolCallDelta]:
        if type(entry) is not dict:
            raise unexpected_type("tool_calls[]", entry)
        function = entry.get("function") or {}
        if type(function) is not dict:
            raise unexpected_type("tool_calls[].function", function)
        name, arguments = function.get("name") or None, function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if not isinstance(name, str | None) or not isinstance(arguments, str | None):
            raise unexpected_type("tool_calls[].function", function)
        wire_id = entry.get("id")
        wire_id = wire_id if isinstance(wire_id, str) and wire_id not in ("", "null") else None
        index, is_new = self._place(entry.get("index"), wire_id, name)
        if index in self._named:
            name = None
        elif name:
            self._named.add(index)
        yield ToolCallDelta(index=index, id=self._ids[index] if is_new else None, name=name, arguments=arguments or "")

    def _place(self, wire_index: Any, wire_id: str | None, name: str | None) -> tuple[int, bool]:
        """Which call a piece belongs to, and whether it opens it."""
        wire_index = wire_index if type(wire_index) is int else None
        known = self._by_wire_index.get(wire_index) if wire_index is not None else len(self._ids) - 1
        if known is None or known < 0:
            pass
        elif wire_id is None:
            # Without an index, a name is all that can open a second call.
            if wire_index is not None or name is None:
                return known, False
        elif wire_id == self._ids[known]:
            return known, False
        elif wire_id in self._ids:  # several calls share an index, or have none, and an earlier one goes on
            index = self._ids.index(wire_id)
            if wire_index is not None:
                self._by_wire_index[wire_index] = index
            return index, False
        self._ids.append(wire_id or f"call_{len(self._ids)}")
        index = len(self._ids) - 1
        if wire_index is not None:
            self._by_wire_index[wire_index] = index
        return index, True
