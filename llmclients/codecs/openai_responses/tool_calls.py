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
# name means that has been seen. Of a call, `announced` says that its id has gone out, `initial` are the arguments that
# its item began with, and `arguments` tells what of the later ones is new.
#
# Invariants: id and name go out once. Of whole arguments goes out what its pieces lack, which is all of them or nearly
# always nothing; if they are others than its pieces, that is an error, and so is a second name. A call that has an id
# never becomes another call with another id, even at the same place. But in the last event, a call with an id that is
# new, and with the name and the arguments of one before, is that one: some servers give new ids there.

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from llmclients.codecs.call_arguments import CallArguments, canonical_json
from llmclients.codecs.json_fields import unexpected_type
from llmclients.errors import APIResponseError
from llmclients.types.limits import check_call_count
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
    initial: str = ""
    arguments: CallArguments = field(default_factory=CallArguments)


class ToolCalls:
    """The calls of one answer. Each method returns what is new, or None."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int | str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, item: dict[str, Any], output_index: Any) -> ToolCallDelta | None:
        """An item begins. Arguments that it has already come again in the events after it, as a rule."""
        call = self._call_of(item, output_index)
        call.initial = call.initial or _text(item.get("arguments"))
        return self._delta(call, item.get("name"), "")

    def end(self, item: dict[str, Any], output_index: Any) -> ToolCallDelta | None:
        """An item as it ended."""
        return self._fill(self._call_of(item, output_index), item.get("name"), item.get("arguments"))

    def end_all(self, items: Sequence[dict[str, Any]]) -> list[ToolCallDelta]:
        """The calls among the answer's items, in the last event: what has not come yet of them, and of the others."""
        before = {(call.name, call.arguments.canonical): call for call in self._calls if call.arguments.is_complete}
        found = []
        for item in items:
            if self._known(_ids(item)) is None:
                arguments = canonical_json(_text(item.get("arguments"))) or ""
                known = before.get((_text(item.get("name")), arguments))
                if known is not None:
                    self._by_key.update((key, known) for key in _ids(item))
            found.append(self.end(item, None))
        found += [self._fill(call, None, call.initial) for call in self._calls if call.arguments.is_empty]
        return [delta for delta in found if delta is not None]

    def add_arguments(self, event: dict[str, Any], arguments: Any, *, whole: bool) -> ToolCallDelta | None:
        """A piece of a call's arguments, or all of them at their end."""
        output_index, item_id = event.get("output_index"), event.get("item_id")
        known = (self._by_key.get(key) for key in (item_id, output_index) if is_key(key))
        call = next(filter(None, known), None)
        if call is None:
            # Where events do not say their place, and the id is another each time, the last call goes on.
            call = self._calls[-1] if self._calls and not is_key(output_index) else self._new(output_index, item_id)
        if whole:
            return self._fill(call, event.get("name"), arguments)
        return self._delta(call, event.get("name"), call.arguments.add(_text(arguments)))

    def _new(self, *keys: Any) -> _Call:
        check_call_count(len(self._calls) + 1)
        call = _Call(len(self._calls))
        self._calls.append(call)
        self._by_key.update((key, call) for key in keys if is_key(key))
        return call

    def _call_of(self, item: dict[str, Any], output_index: Any) -> _Call:
        """The call of an item. An id of its own that has not come makes a new one, whatever else is the same."""
        ids, name = _ids(item), _text(item.get("name"))
        call = self._known(ids)
        keys = ids
        if call is not None and name and call.name not in ("", name):  # one id for two calls: their names differ
            keys = [f"{key} {name}" for key in ids]
            call = self._known(keys)
        if call is None and is_key(output_index):
            call = self._by_key.get(output_index)
            if call is not None and call.id:
                call = None
        if call is None:
            call = self._new()
        self._by_key.update((key, call) for key in (*keys, output_index) if is_key(key))
        call.id = call.id or (ids[0] if ids else f"call_{call.index}")
        return call

    def _known(self, keys: Sequence[str]) -> _Call | None:
        """The call that one of the ids means, the item's own before the call's."""
        return next((self._by_key[key] for key in reversed(keys) if key in self._by_key), None)

    def _fill(self, call: _Call, name: Any, arguments: Any) -> ToolCallDelta | None:
        new = call.arguments.fill(_text(arguments))
        return self._delta(call, name, None if new is None else new + call.arguments.end())

    def _delta(self, call: _Call, name: Any, arguments: str | None) -> ToolCallDelta | None:
        """What is new of a call; None for nothing. Arguments of None are others than its own.

        Raises:
            APIResponseError: the arguments are others, or the name is.
        """
        name = _text(name)
        if arguments is None:
            raise APIResponseError(f"the arguments of a call of {call.name or name} come twice, and are not the same")
        if name and call.name and name != call.name:
            raise APIResponseError(f"one tool call has two names, {call.name} and {name}")
        is_first = bool(call.id) and not call.announced
        new_name = name if not call.name else ""
        if not (is_first or new_name or arguments):
            return None
        call.announced = call.announced or is_first
        call.name = call.name or name
        return ToolCallDelta(
            index=call.index, id=call.id if is_first else None, name=new_name or None, arguments=arguments
        )


def _ids(item: dict[str, Any]) -> list[str]:
    """What an item calls itself."""
    return [key for key in (item.get("call_id"), item.get("id")) if isinstance(key, str) and key]


def _text(value: Any) -> str:
    """A name, or arguments as JSON text."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str | None):
        raise unexpected_type("function_call", value)
    return value or ""
