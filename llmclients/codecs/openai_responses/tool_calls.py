"""Tool-call assembly for the Responses API: which call an event means, and what of the call is new.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".
"""

# Theory of operation
#
# A call is told up to four times: its item begins (`output_item.added`), pieces of its arguments come, then all of them
# (`function_call_arguments.done`), the item ends (`output_item.done`), and the last event has all items again. Events
# name the call by the item's place (`output_index`), by the item's id, or by the call's own id (`call_id`); servers
# leave some of these out, or change the item's id from event to event.
#
# State: `_calls`, in the order in which they began, which is the index that goes out; and `_by_key`, which call each
# name means that has been seen. Of a call, `announced` says that its id has gone out, `has_arguments` that some of its
# arguments have.
#
# Invariants: id and name go out once. Whole arguments go out only if no piece of them has: pieces are trusted, wholes
# fill in. A call that has an id never becomes another call with another id, even at the same place.

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from llmclients.codecs.json_fields import unexpected_type
from llmclients.types.response import ToolCallDelta

__all__ = ["ToolCalls", "is_key"]


def is_key(value: Any) -> TypeGuard[int | str]:
    """Whether a value can name an item or a call."""
    return type(value) is int or (type(value) is str and bool(value))


@dataclass(slots=True)
class _Call:
    """A call under way, and what of it has gone out."""

    index: int
    id: str = ""
    name: str = ""
    announced: bool = False
    has_arguments: bool = False


class ToolCalls:
    """The calls of one answer. Each method returns what is new, or None."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int | str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, item: dict[str, Any], output_index: Any) -> ToolCallDelta | None:
        """An item begins. Arguments that it has already come again in the events after it."""
        return self._delta(self._call_of(item, output_index), item.get("name"), "")

    def end(self, item: dict[str, Any], output_index: Any) -> ToolCallDelta | None:
        """An item as it ended."""
        call = self._call_of(item, output_index)
        return self._delta(call, item.get("name"), "" if call.has_arguments else item.get("arguments"))

    def add_arguments(self, event: dict[str, Any], arguments: Any, *, whole: bool) -> ToolCallDelta | None:
        """A piece of a call's arguments, or all of them at their end."""
        output_index, item_id = event.get("output_index"), event.get("item_id")
        known = (self._by_key.get(key) for key in (item_id, output_index) if is_key(key))
        call = next(filter(None, known), None)
        if call is None:
            # Where events do not say their place, and the id is another each time, the last call goes on.
            call = self._calls[-1] if self._calls and not is_key(output_index) else self._new(output_index, item_id)
        return self._delta(call, event.get("name"), "" if whole and call.has_arguments else arguments)

    def _new(self, *keys: Any) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        self._by_key.update((key, call) for key in keys if is_key(key))
        return call

    def _call_of(self, item: dict[str, Any], output_index: Any) -> _Call:
        """The call of an item. An id of its own that has not come makes a new one, whatever else is the same."""
        ids = [key for key in (item.get("call_id"), item.get("id")) if isinstance(key, str) and key]
        call = next((self._by_key[key] for key in ids if key in self._by_key), None)
        if call is None and is_key(output_index):
            call = self._by_key.get(output_index)
            if call is not None and call.id:
                call = None
        if call is None:
            call = self._new()
        self._by_key.update((key, call) for key in (*ids, output_index) if is_key(key))
        call.id = call.id or (ids[0] if ids else f"call_{call.index}")
        return call

    def _delta(self, call: _Call, name: Any, arguments: Any) -> ToolCallDelta | None:
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if not isinstance(name, str | None) or not isinstance(arguments, str | None):
            raise unexpected_type("function_call", name if isinstance(arguments, str | None) else arguments)
        is_first = bool(call.id) and not call.announced
        new_name = name if name and not call.name else None
        if not (is_first or new_name or arguments):
            return None
        call.announced = call.announced or is_first
        call.name = call.name or name or ""
        call.has_arguments = call.has_arguments or bool(arguments)
        return ToolCallDelta(
            index=call.index, id=call.id if is_first else None, name=new_name, arguments=arguments or ""
        )
