"""`CallArguments`: the arguments of one tool call, put together from pieces, each part of them once."""

# Theory of operation
#
# A wire sends the arguments of a call as pieces of JSON text. Some servers send more than that: everything so far in
# each piece (a *snapshot*), all of the arguments again at the end, or a place-holder `{}` before the first piece. What
# such a piece means is decided by the JSON itself:
#
# - Arguments that are not complete go on with whatever comes. Only a piece that begins as all of them do may be a
#   snapshot. It is one if no object can stand where the text ends; then what is new is the rest of it. Where one can,
#   as in `{"a":` and `{"a":1}`, nothing tells the two apart: that is an error.
# - Complete arguments do not go on. A piece that opens an object or array then begins them *again*: it is collected
#   until it is complete itself, and must be the same text or the same JSON. What to do if it is not, the caller knows:
#   it may be another call. Anything else is taken as it is, so that the text is no JSON, as the model or the server
#   would have it: `ToolCall.arguments` says so.
# - A bare `{}` is held back. If an object follows, it was a place-holder; if nothing does, `end` hands it out.
#
# To know whether arguments are complete, nothing is parsed. Quotes, and brackets outside of strings, are counted, in
# each character once, and only when the question comes up: after a piece that ends in a bracket. Text is compared or
# parsed only with a piece that is as long, so all of it is linear in what was received.

from __future__ import annotations

import json

from pydantic_core import from_json

from llmclients.errors import APIResponseError
from llmclients.types.limits import has_too_many_values

__all__ = ["CallArguments", "canonical_json"]

_OPENING = ("{", "[")
_CLOSING = ("}", "]")
_NOT_PLAIN = ("{", "[", " ", "\t", "\n", "\r", "")
"""What a piece that needs a closer look may begin with: a blank may come before a bracket."""


class _Scanner:
    """A text in pieces, and whether it is a whole JSON object or array."""

    __slots__ = ("_end", "_in_string", "_lists", "_objects", "_pieces", "_rest", "_scanned", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[str] = []
        self._scanned = 0  # pieces
        self._end = ""  # the last character that is not blank
        self._objects = 0  # that are open
        self._lists = 0
        self._in_string = 0
        self._rest = ""  # a backslash whose character is in the next piece

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.size += len(piece)
        self._end = piece.rstrip()[-1:] or self._end

    def add_inside(self, piece: str) -> bool:
        """Add a piece, if the text has begun and cannot be complete."""
        if not self._end or self._end in _CLOSING:
            return False
        self.add(piece)
        return True

    @property
    def is_blank(self) -> bool:
        return not self._end

    @property
    def is_complete(self) -> bool:
        if self._end not in _CLOSING:
            return False
        self._scan()
        return self._objects == self._lists == self._in_string == 0

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._scan()
            self._pieces = ["".join(self._pieces)]
            self._scanned = 1
        return self._pieces[0] if self._pieces else ""

    def can_go_on_with(self, piece: str) -> bool:
        """Whether a piece that opens an object or array can be JSON here: in a string, or in a value's place."""
        self._scan()
        if self._in_string:
            _, quote, rest = piece.partition('"')
            return not quote or rest.lstrip()[:1] in ("", ",", ":", "}", "]")
        return self._end in (":", "[") or (self._end == "," and self._lists > 0)

    def _scan(self) -> None:
        """Count the quotes and brackets that have not been counted yet."""
        piece = self._rest + "".join(self._pieces[self._scanned :])
        self._scanned = len(self._pieces)
        odd = (len(piece) - len(piece.rstrip("\\"))) % 2
        self._rest = "\\" * odd
        parts = piece[: len(piece) - odd].replace("\\\\", "").replace('\\"', "").split('"')
        outside = "".join(parts[self._in_string :: 2])
        self._in_string ^= (len(parts) - 1) % 2
        self._objects += outside.count("{") - outside.count("}")
        self._lists += outside.count("[") - outside.count("]")


class CallArguments:
    """The arguments of one call."""

    __slots__ = ("_again", "_canonical", "_held", "_whole")

    def __init__(self) -> None:
        self._whole = _Scanner()
        self._held = ""  # a `{}` that has not gone out
        self._canonical: str | None = None
        self._again: _Scanner | None = None

    @property
    def is_empty(self) -> bool:
        """Whether none have come yet. A bare `{}` is some."""
        return self._whole.is_blank

    @property
    def is_complete(self) -> bool:
        """Whether they are a whole JSON object or array."""
        return self._whole.is_complete

    @property
    def canonical(self) -> str:
        """They, complete, as `canonical_json` writes them; "" if they are no JSON."""
        if self._canonical is None:
            self._canonical = canonical_json(self._whole.text) or ""
        return self._canonical

    @property
    def is_begun_again(self) -> bool:
        """Whether complete arguments are followed by the beginning of others."""
        return self._again is not None

    @property
    def is_placeholder(self) -> bool:
        """Whether they are a bare `{}` so far."""
        return bool(self._held)

    def add(self, piece: str) -> str | None:
        """Take the next piece. Returns what of it is new, to go out now: nothing, of what came before.

        None: they were complete, and this begins, or completes, others. Those are in `take_others`.

        Raises:
            APIResponseError: the piece goes on with the arguments, or is all of them so far: nothing tells which.
        """
        whole = self._whole
        opens = piece.lstrip()[:1] in _OPENING if piece else False
        if whole.is_blank:
            whole.add(piece)
            if opens and piece.strip() == "{}":
                self._held = piece
                return ""
            return piece
        if self._again is None and not whole.is_complete:
            if not opens or not self._is_snapshot(piece):
                whole.add(piece)
                return piece
            return self._extend(piece)
        return self._add_to_complete(piece, opens)

    def add_plain(self, piece: str) -> bool:
        """Take a piece that can only be the next one. False: it may be something else, and `add` must take it."""
        return piece[:1] not in _NOT_PLAIN and self._whole.add_inside(piece)

    def can_go_on_with(self, piece: str) -> bool:
        """Whether a piece may be the next of arguments that are not complete: an object or array not everywhere."""
        return piece.lstrip()[:1] not in _OPENING or self._whole.can_go_on_with(piece)

    def fill(self, text: str) -> str | None:
        """All of the arguments have come in one. Returns what of them is new; None if others came before."""
        if not text.strip():
            return ""
        if self.begins_like(text):
            return self._extend(text)
        if self._held:
            self._whole, self._canonical, self._held = _Scanner(), None, ""
            self._whole.add(text)
            return text
        return "" if self.is_complete and self.is_same(text) else None

    def take_others(self) -> str:
        """The other arguments that have come, which are no longer expected to be these ones again."""
        again, self._again = self._again, None
        return "" if again is None else again.text

    def end(self, *, cut: bool = False) -> str:
        """No more comes. Returns what was held back.

        Args:
            cut: the answer was cut off, so it may end anywhere.

        Raises:
            APIResponseError: complete arguments began again, and that did not end.
        """
        if self._again is not None and not cut:
            raise APIResponseError("the arguments of a tool call go on after their end")
        self._again = None
        held, self._held = self._held, ""
        return held

    def is_same(self, text: str) -> bool:
        """Whether other arguments are the same as these, which are complete: as text, or as JSON."""
        return text == self._whole.text or (bool(self.canonical) and self.canonical == canonical_json(text))

    def begins_like(self, piece: str) -> bool:
        """Whether a piece is all of these so far, or begins with it."""
        return len(piece) >= self._whole.size and piece.startswith(self._whole.text)

    def _is_snapshot(self, piece: str) -> bool:
        """Whether a piece is all of the arguments so far, and more, rather than their next piece."""
        if not self.begins_like(piece) or not _can_be_json(piece):
            return False
        if self._whole.can_go_on_with(piece):
            raise APIResponseError(
                "a piece of a tool call's arguments begins as they do: nothing tells whether they go on with it, or "
                "whether it is all of them so far"
            )
        return True

    def _extend(self, snapshot: str) -> str:
        new = snapshot[self._whole.size :]
        self._whole.add(new)
        return new

    def _add_to_complete(self, piece: str, opens: bool) -> str | None:
        """A piece after complete arguments."""
        if not piece.strip():
            return ""
        again = self._again
        if again is None:
            if self._held:
                held, self._held = self._held, ""
                if piece.strip() == "{}":
                    self._held = held
                    return ""
                if opens:  # a place-holder's place is taken
                    self._whole, self._canonical = _Scanner(), None
                    self._whole.add(piece)
                    return piece
                self._whole.add(piece)
                return held + piece
            if not opens:  # no JSON
                self._whole.add(piece)
                return piece
            again = self._again = _Scanner()
        again.add(piece)
        if not again.is_complete:
            return ""
        if not self.is_same(again.text):
            return None
        self._again = None
        return ""


def canonical_json(text: str) -> str | None:
    """A JSON object or array, written in one way; None for what is none."""
    try:
        return None if has_too_many_values(text) else json.dumps(from_json(text), sort_keys=True)
    except (ValueError, TypeError):  # a TypeError is half a surrogate pair
        return None


def _can_be_json(text: str) -> bool:
    """Whether a text may be the beginning of JSON: false only if it cannot."""
    try:
        from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True
