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
# on until arguments begin, so the first piece of a call goes out with the first of its arguments, or with those of a
# later call. What is held back by then (of a call without arguments, its id and name; an id that never came; a bare
# `{}`) goes out with `finish`.
#
# State: `_calls`, by our index, which counts from 0 in the order in which calls begin; `_by_id` and `_by_index`, which
# call an id or index of the wire means at present; `_last`, the call of the last piece; `_open`, the calls of which
# something may be held back; `_begun`, below which all calls have gone out; `_events`, the number of the event;
# `_ids_change`, whether a call has gone on with another id than it began with, so that ids no longer tell calls apart.
# One instance serves one answer. All of it is linear in the number of pieces.

from __future__ import annotations

from typing import Any

from llmclients.codecs.openai_chat.call_pieces import Call, Piece, read_piece, unclear
from llmclients.codecs.openai_chat.provider_data import CODEC_NAME, merged
from llmclients.errors import APIResponseError
from llmclients.types.limits import check_call_count
from llmclients.types.response import FinishReason, ToolCallDelta

__all__ = ["CUT_REASONS", "ToolCalls", "whole_calls"]

CUT_REASONS: frozenset[FinishReason | None] = frozenset({"length", "content_filter", "error"})
"""The finish reasons of an answer whose last call may not be whole."""

_NAMELESS = "the provider's reply has a tool call without a name"


class ToolCalls:
    """The tool calls of one answer, piece by piece."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._by_id: dict[str, Call] = {}
        self._by_index: dict[int, Call] = {}
        self._last: Call | None = None
        self._open: dict[int, Call] = {}
        self._events = 0
        self._begun = 0
        self._ids_change = False

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, entries: list[Any]) -> list[ToolCallDelta]:
        """The pieces of one event, the entries of its `tool_calls`. Returns what is new.

        Raises:
            APIResponseError: one is no piece of a tool call, or nothing tells which call it belongs to.
        """
        self._events += 1
        if len(entries) == 1 and (plain := self._plain(entries[0])) is not None:
            return [plain]
        found: list[ToolCallDelta] = []
        pieces = [read_piece(entry) for entry in entries]
        if len(pieces) > 1 and self._are_all_again(pieces):
            return []
        for piece in pieces:
            call = self._find(piece)
            if call is not None or not piece.is_empty:
                found += self._take(call or self._begin(), piece)
        return found

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

    def _plain(self, entry: Any) -> ToolCallDelta | None:
        """The delta of an index and more arguments, as nearly every piece is; None for what needs a closer look."""
        try:
            index, function = entry["index"], entry["function"]
            text = function["arguments"]
        except (LookupError, TypeError):
            return None
        if len(entry) != 2 or len(function) != 1 or type(index) is not int or type(text) is not str:
            return None
        call = self._by_index.get(index)
        if call is None or not (call.id_is_out and call.name_is_out and call.arguments.add_plain(text)):
            return None
        self._last = call
        return ToolCallDelta(index=call.index, arguments=text)

    def _are_all_again(self, pieces: list[Piece]) -> bool:
        """Whether the pieces are all calls so far, whole and in their order: some servers end with them."""
        return len(pieces) == len(self._calls) and all(
            piece.name == call.name and call.is_whole and call.arguments.is_same(piece.text)
            for piece, call in zip(pieces, self._calls, strict=True)
        )

    # --- which call -------------------------------------------------------------------------------------------------

    def _find(self, piece: Piece) -> Call | None:
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
        if piece.id is not None and known is None and current.id is not None and not self._ids_change:
            found = self._with_new_id(current, piece)
            self._ids_change = found is current and bool(piece.text.strip())
            return found
        if not piece.name or not current.name:
            return current
        if piece.name != current.name:
            return self._with_new_name(current, piece)
        return self._with_same_name(current, piece) if piece.opens else current

    def _goes_on_elsewhere(self, piece: Piece) -> bool:
        """Whether a piece with an index of its own only goes on with the last call: it has arguments, and no more."""
        last = self._last
        if last is None or last.is_whole or piece.id is not None or piece.name or not piece.text.strip():
            return False
        if last.arguments.is_empty:
            last.goes_elsewhere = bool(last.name)
            return last.goes_elsewhere
        return not piece.opens

    def _with_new_id(self, current: Call, piece: Piece) -> Call | None:
        """The call of a piece with an id that none has: a new one, or the current, if ids are new in each piece."""
        if not piece.name:
            begins = current.is_whole and bool(piece.text.strip()) and (current.name_came_last or not current.name)
            return None if begins else current
        if not current.name:
            return current
        if piece.name != current.name or current.is_whole or not piece.text.strip():
            return None
        if current.arguments.is_empty:
            if current.event == self._events:
                return None
            raise unclear(f"two pieces name {piece.name}, with an id each, and the first has no arguments")
        if not piece.opens:
            return current
        if current.arguments.can_go_on_with(piece.text) or current.arguments.begins_like(piece.text):
            raise unclear(f"inside the arguments of a call of {piece.name}, a piece with another id names it, too")
        return None

    def _with_new_name(self, current: Call, piece: Piece) -> Call | None:
        """The call of a piece with another name than the current has so far: a new one, or the name goes on."""
        if current.goes_elsewhere and not piece.text.strip():
            raise unclear(f"{piece.name} names arguments that came after the name {current.name}")
        if current.is_whole or current.event == self._events:
            return None
        if not current.arguments.is_empty:
            raise unclear(f"inside the arguments of a call of {current.name}, a piece has the name {piece.name}")
        if current.id is not None:
            return current
        raise unclear(f"{current.name} and {piece.name}, without arguments between, are two names, or one in pieces")

    def _with_same_name(self, current: Call, piece: Piece) -> Call | None:
        """The call of a piece with the current's name, and the beginning of arguments."""
        arguments, has_id = current.arguments, piece.id is not None
        if arguments.is_empty or (current.id is not None):
            return current
        if current.is_whole:
            if current.event == self._events:
                return None
            is_same = arguments.is_placeholder or arguments.is_same(piece.text)
            if is_same and (has_id or (current.came_whole and len(self._by_index) < 2)):
                raise unclear(f"a call of {current.name} comes twice, first without an id: it is one call, or two")
            return None if has_id else current
        if has_id or not arguments.can_go_on_with(piece.text):
            return current if arguments.begins_like(piece.text) else None
        if piece.wire_index is None:
            raise unclear(f"inside the arguments of a call of {current.name}, a piece has its name, and no id")
        return current

    # --- what is new ------------------------------------------------------------------------------------------------

    def _begin(self) -> Call:
        check_call_count(len(self._calls) + 1)
        call = Call(len(self._calls), self._events)
        self._calls.append(call)
        return call

    def _take(self, call: Call, piece: Piece) -> list[ToolCallDelta]:
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
            if piece.name and was_named and (call.id is None or self._ids_change) and not arguments.is_begun_again:
                call.named_again = "with" if piece.text.strip() else "before"
            return self._take_more(call, piece)
        if piece.text:
            begins = arguments.is_empty
            new = arguments.add(piece.text) or ""
            if begins and piece.name:
                call.came_whole = arguments.is_complete
        return [] if arguments.is_empty else self._out(call, new)  # until then, the name may go on

    def _take_more(self, call: Call, piece: Piece) -> list[ToolCallDelta]:
        """Add a piece to a call whose arguments are complete: they come again, or others come."""
        new = call.arguments.add(piece.text)
        if new is None:
            text = call.arguments.take_others()
            if not call.named_again and not call.name_came_last:
                raise unclear(f"the arguments of a call of {call.name or 'a tool'} come twice, and are not the same")
            name = call.name if call.named_again else ""
            return self._take(self._begin(), Piece(piece.wire_index, None, name, text, piece.members))
        if piece.text.strip() and not call.arguments.is_begun_again:
            if (call.name_came_last and not piece.name) or (call.named_again == "before" and len(self._by_index) < 2):
                raise unclear(f"a call of {call.name} has the same arguments twice: again, or of another call")
            call.named_again = ""
        return self._out(call, new)

    def _out(self, call: Call, arguments: str) -> list[ToolCallDelta]:
        """What goes out of a call, after what is known of those before it: calls begin in their order."""
        waiting = self._calls[self._begun : call.index]
        self._begun = max(self._begun, call.index)
        found = [*(other.delta("") for other in waiting), call.delta(arguments)]
        return [delta for delta in found if delta is not None]

    def _new_id(self, number: int) -> str:
        """An id for a call that has none from the wire."""
        while (id := f"call_{number}") in self._by_id:
            number += 1
        self._by_id[id] = self._calls[0]
        return id


def _is_another(known: Call, piece: Piece) -> bool:
    """Whether a piece with a call's id, and an index that is new, begins another call."""
    if not piece.name:
        return known.is_whole and bool(piece.text.strip())
    return piece.name != known.name or not (known.is_whole and known.arguments.is_same(piece.text))


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
