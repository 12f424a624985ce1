"""Tool-call assembly for chat completions: decides which call each piece belongs to, and what of it is new.

The wire: docs/protocols/openai-chat.md, "Tool calls in pieces".
"""

# Theory of operation
#
# A call arrives in pieces. OpenAI gives each piece the `index` of its call, the first piece an `id` and a name, and the
# others only more of the arguments. Servers that copy it differ in what marks a call, and in what they repeat:
#
#     habit                                           what it is read as
#     ----------------------------------------------  ------------------------------------------------------------------
#     no index, null, "0"                             the call that the last piece was of; "0" is 0
#     no id, null, "", "null", or only later          the first id that comes; one of ours if none does
#     an id that is new in every piece                other names for one call, as long as the pieces go on with it
#     two calls under one index, ids of their own     a call for each id
#     two calls under one index, without ids          another name after complete arguments is another call
#     one id for two calls                            likewise; so is a first piece with another index and a name
#     the name in pieces, before any arguments        put together; all of it so far in each piece, likewise
#     the name again in each piece                    nothing new
#     arguments before the name                       a call without a name takes the first that comes
#     arguments sent again, whole or as snapshots     nothing new: see `CallArguments`
#     arguments "", null, missing, {}, an object      none, or the object's JSON
#     whole calls again in the last event             nothing new: the same calls by id or index
#     the call's members without `function`           as if they were in it
#     a piece with nothing in it                      nothing
#
# So a piece is first led to the *current* call: that which its id means, else its index, else the last one. Then what
# marks a beginning is looked at: an id that the call does not have, a name that it does not have, arguments that begin
# after its own are complete. `_find` has the rules, in their order. Where two of these readings are possible and
# nothing in the pieces tells which, that is an error, in place of a guess: a call that is made twice, or with another's
# arguments, does harm.
#
# What goes out, and when: the id and the name of a call once each, and each part of its arguments once. A name may go
# on until arguments begin, so the first piece of a call goes out with the first of its arguments. What is held back by
# then (of a call without arguments, its id and name; an id that never came; a bare `{}`) goes out with `finish`.
#
# State: `_calls`, by our index, which counts from 0 in the order in which calls begin; `_by_id` and `_by_index`, which
# call an id or index of the wire means at present; `_last`, the call of the last piece; `_open`, the calls of which
# something may be held back. One instance serves one answer. All of it is linear in the number of pieces.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmclients.codecs.call_arguments import CallArguments
from llmclients.codecs.openai_chat.call_pieces import Piece, read_piece
from llmclients.codecs.openai_chat.provider_data import CODEC_NAME, merged
from llmclients.errors import APIResponseError
from llmclients.types.limits import check_call_count
from llmclients.types.response import FinishReason, ToolCallDelta

__all__ = ["CUT_REASONS", "ToolCalls", "whole_calls"]

CUT_REASONS: frozenset[FinishReason | None] = frozenset({"length", "content_filter", "error"})
"""The finish reasons of an answer whose last call may not be whole."""

_NAMELESS = "the provider's reply has a tool call without a name"


class _Call:
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
        members: what else it has, and the server may want back.
    """

    def __init__(self, index: int, event: int) -> None:
        self.index, self.event = index, event
        self.id: str | None = None
        self.name = ""
        self.id_is_out = self.name_is_out = self.came_whole = self.has_new_members = False
        self.name_came_last, self.named_again = False, ""
        self.members: dict[str, Any] = {}
        self.arguments = CallArguments()

    @property
    def is_whole(self) -> bool:
        return self.arguments.is_complete

    def add_name(self, name: str) -> None:
        """A name, or the next piece of it, or all of it so far."""
        if name == self.name:
            return
        if self.name_is_out:
            raise _unclear(f"a piece of a call of {self.name} has the name {name}, in the middle of its arguments")
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


class ToolCalls:
    """The tool calls of one answer, piece by piece."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}
        self._last: _Call | None = None
        self._open: dict[int, _Call] = {}
        self._events = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, entries: Iterable[Any]) -> list[ToolCallDelta]:
        """The pieces of one event, the entries of its `tool_calls`. Returns what is new.

        Raises:
            APIResponseError: one is no piece of a tool call, or nothing tells which call it belongs to.
        """
        self._events += 1
        found = []
        for entry in entries:
            piece = read_piece(entry)
            call = self._find(piece)
            if call is None and piece.is_empty:
                continue
            found.append(self._take(call or self._begin(), piece))
        return [delta for delta in found if delta is not None]

    def finish(self, *, cut: bool = False) -> list[ToolCallDelta]:
        """The answer has a finish reason: what was held back.

        Args:
            cut: by that reason, it was cut off, so its last call may lack anything.

        Raises:
            APIResponseError: a call has no name, or its arguments began again and did not end.
        """
        found = []
        for call in self._open.values():
            arguments = call.arguments.end(cut=cut)
            if not call.name and not cut:
                raise APIResponseError(_NAMELESS)
            if call.id is None:
                call.id = self._new_id(call.index)
            found.append(call.delta(arguments))
        self._open.clear()
        return [delta for delta in found if delta is not None]

    # --- which call -------------------------------------------------------------------------------------------------

    def _find(self, piece: Piece) -> _Call | None:
        """The call that a piece belongs to; None for a new one."""
        current = self._last if piece.wire_index is None else self._by_index.get(piece.wire_index)
        known = None if piece.id is None else self._by_id.get(piece.id)
        if known is not None and known is not current:
            if current is None and _is_another(known, piece):
                return None
            if current is None or current.id != piece.id:
                current = known
        if current is None:
            return self._last if self._goes_on_elsewhere(piece) else None
        if piece.id is not None and known is None and current.id is not None:
            return self._with_new_id(current, piece)
        if not piece.name or not current.name:
            return current
        if piece.name != current.name:
            return self._with_new_name(current, piece)
        return self._with_same_name(current, piece) if piece.opens else current

    def _goes_on_elsewhere(self, piece: Piece) -> bool:
        """Whether a piece with an index of its own only goes on with the last call: it has arguments, and no more."""
        last = self._last
        if last is None or last.is_whole or last.arguments.is_empty:
            return False
        return piece.id is None and not piece.name and bool(piece.text.strip()) and not piece.opens

    def _with_new_id(self, current: _Call, piece: Piece) -> _Call | None:
        """The call of a piece with an id that none has: a new one, or the current, if ids are new in each piece."""
        if not piece.name:
            return None if current.is_whole and piece.text.strip() else current
        if not current.name:
            return current
        if piece.name != current.name or current.is_whole or not piece.text.strip():
            return None
        if current.arguments.is_empty:
            if current.event == self._events:
                return None
            raise _unclear(f"two pieces name {piece.name}, with an id each, and the first has no arguments")
        if not piece.opens:
            return current
        if current.arguments.can_go_on_with(piece.text):
            raise _unclear(f"inside the arguments of a call of {piece.name}, a piece with another id names it, too")
        return None

    def _with_new_name(self, current: _Call, piece: Piece) -> _Call | None:
        """The call of a piece with another name than the current has so far: a new one, or the name goes on."""
        if current.is_whole or current.event == self._events:
            return None
        if not current.arguments.is_empty:
            raise _unclear(f"inside the arguments of a call of {current.name}, a piece has the name {piece.name}")
        if current.id is not None:
            return current
        if piece.id is not None:
            return None
        raise _unclear(
            f"{current.name} and {piece.name}, without ids or arguments, are two names, or one in two pieces"
        )

    def _with_same_name(self, current: _Call, piece: Piece) -> _Call | None:
        """The call of a piece with the current's name, and the beginning of arguments."""
        arguments, has_id = current.arguments, piece.id is not None
        if arguments.is_empty or (current.id is not None):
            return current
        if current.is_whole:
            if has_id or current.event == self._events:
                return None
            is_same = arguments.is_placeholder or arguments.is_same(piece.text)
            if current.came_whole and is_same and len(self._by_index) < 2:
                raise _unclear(f"a call of {current.name} comes twice, without ids: it is one call, or two")
            return current
        if has_id or not arguments.can_go_on_with(piece.text):
            return current if arguments.begins_like(piece.text) else None
        if piece.wire_index is None:
            raise _unclear(f"inside the arguments of a call of {current.name}, a piece has its name, and no id")
        return current

    # --- what is new ------------------------------------------------------------------------------------------------

    def _begin(self) -> _Call:
        check_call_count(len(self._calls) + 1)
        call = _Call(len(self._calls), self._events)
        self._calls.append(call)
        return call

    def _take(self, call: _Call, piece: Piece) -> ToolCallDelta | None:
        """Add a piece to its call."""
        arguments = call.arguments
        self._last = self._open[call.index] = call
        if piece.wire_index is not None:
            self._by_index[piece.wire_index] = call
        if piece.id is not None:
            self._by_id[piece.id] = call
            call.id = call.id or piece.id
        was_named = bool(call.name)
        if piece.name:
            call.name_came_last = call.name_came_last or (not was_named and arguments.is_complete)
            call.add_name(piece.name)
        if piece.members:
            call.members = merged([call.members, piece.members])
            call.has_new_members = True
        new = ""
        if arguments.is_complete:
            if piece.name and was_named and call.id is None and not arguments.is_begun_again:
                call.named_again = "with" if piece.text.strip() else "before"
            return self._take_more(call, piece)
        if piece.text:
            begins = arguments.is_empty
            new = arguments.add(piece.text) or ""
            if begins and piece.name:
                call.came_whole = arguments.is_complete
        return None if arguments.is_empty else call.delta(new)  # until then, the name may go on

    def _take_more(self, call: _Call, piece: Piece) -> ToolCallDelta | None:
        """Add a piece to a call whose arguments are complete: they come again, or others come."""
        new = call.arguments.add(piece.text)
        if new is None:
            text = call.arguments.take_others()
            if not call.named_again and not call.name_came_last:
                raise _unclear(f"the arguments of a call of {call.name or 'a tool'} come twice, and are not the same")
            name = call.name if call.named_again else ""
            return self._take(self._begin(), Piece(piece.wire_index, None, name, text, piece.members))
        if piece.text.strip() and not call.arguments.is_begun_again:
            if (call.name_came_last and not piece.name) or (call.named_again == "before" and len(self._by_index) < 2):
                raise _unclear(f"a call of {call.name} has the same arguments twice: again, or of another call")
            call.named_again = ""
        return call.delta(new)

    def _new_id(self, number: int) -> str:
        """An id for a call that has none from the wire."""
        while (id := f"call_{number}") in self._by_id:
            number += 1
        self._by_id[id] = self._calls[0]
        return id


def _is_another(known: _Call, piece: Piece) -> bool:
    """Whether a piece with a call's id, and an index that is new, begins another call."""
    if not piece.name:
        return known.is_whole and bool(piece.text.strip())
    return piece.name != known.name or not (known.is_whole and known.arguments.is_same(piece.text))


def _unclear(what: str) -> APIResponseError:
    return APIResponseError(f"the tool calls of the provider's reply are not clear: {what}")


def whole_calls(entries: list[Any], *, cut: bool) -> list[ToolCallDelta]:
    """The calls of a whole reply: each entry is one, whatever its index and id. One that is there twice counts once.

    Args:
        entries: those of the message's `tool_calls`.
        cut: by its finish reason, the answer was cut off.

    Raises:
        APIResponseError: one is no call.
    """
    check_call_count(len(entries))
    pieces = [piece for piece in map(read_piece, entries) if not piece.is_empty]
    ids = {piece.id for piece in pieces}
    seen: set[tuple[str, str, str]] = set()
    found: list[ToolCallDelta] = []
    for piece in pieces:
        if not piece.name and not cut:
            raise APIResponseError(_NAMELESS)
        id = piece.id
        if id is not None:
            if (id, piece.name, piece.text) in seen:
                continue
            seen.add((id, piece.name, piece.text))
        number = len(found)
        while id is None or (piece.id is None and id in ids):
            id, number = f"call_{number}", number + 1
        delta = ToolCallDelta(index=len(found), id=id, name=piece.name or None, arguments=piece.text)
        if piece.members:
            delta.provider_data = {CODEC_NAME: piece.members}
        found.append(delta)
    return found
