"""`PartialJSON`: a reader of JSON that arrives in pieces; at each moment it has the value as far as it has come."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from llmclients.types.partial_tree import PartialTree

__all__ = ["PartialJSON"]

# Theory of operation
# -------------------
# The reader goes over each character once. Between two pieces it keeps where it stands: the *step*, a function that
# takes the rest of a piece from a position on, moves the reader, and returns the position behind what it has used.
#
#     step            stands                                            goes on with
#     _value          before a value; after `[` also before `]`         what the value begins with
#     _key            before a key; after `{` also before `}`           _string
#     _colon          behind a key                                      _value
#     _string         inside a string or key                            itself, _escape, _after, _colon
#     _escape, _hex   inside an escape, behind its `\` or `\u`          _string; _low, after half of a surrogate pair
#     _low            between the halves of a surrogate pair            _escape
#     _number         inside a number that may go on                    _after
#     _literal        inside true, false, null                          _after
#     _after          behind a value inside a container                 _value, _key
#     _end            behind the outermost value                        nothing but space may come
#     _failed         behind what is no JSON                            nothing
#
# What it reads it builds into a tree, which it has from `PartialTree`; how cut strings and numbers get there is said
# there. It takes for JSON what the reader of the whole answer takes (`strict_json`), with pydantic's bounds: no half
# surrogate pairs, 200 containers within each other. So it may refuse at once what would be refused at the end.

_MAX_DEPTH = 200

_Match = Callable[[str, int], "re.Match[str]"]
_match_space = cast(_Match, re.compile(r"[ \t\n\r]*").match)  # these three match anywhere, if only nothing
_match_plain = cast(_Match, re.compile(r'[^"\\\x00-\x1f]*').match)
_match_number = cast(_Match, re.compile(r"[-+.eE0-9]*").match)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?=[],} \t\n\r])")
_HEX = re.compile(r"[0-9A-Fa-f]{1,4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


class PartialJSON(PartialTree):
    """Reads JSON piece by piece.

    Args:
        items_key: where in an outermost object the list stands whose items are to be noted; if the outermost value is
            a list, its own are. None: no items are noted.

    Attributes:
        item_ends: the position, in the whole text, behind each item that is complete.
        items_begin: the position behind the bracket that opens their list; None before it.
    """

    __slots__ = (
        *("_escape_text", "_failure", "_first", "_high", "_is_key", "_items", "_items_key", "_literal_value"),
        *("_offset", "_rest", "_step", "item_ends", "items_begin"),
    )

    def __init__(self, items_key: str | None = None) -> None:
        super().__init__()
        self._step: _Step = _value
        self._offset = 0  # of the piece, in the whole text
        self._first = False  # whether the innermost container may end here, as it has nothing yet
        self._is_key = False  # whether the string is a key
        self._escape_text = ""  # the digits of an escape
        self._high = 0  # the first half of a surrogate pair
        self._rest = ""  # of a literal
        self._literal_value: Any = None
        self._failure = ""
        self._items_key = items_key
        self._items: Any = None
        self.item_ends: list[int] = []
        self.items_begin: int | None = None

    def feed(self, piece: str) -> None:
        """Take the next piece, cut anywhere.

        Raises:
            ValueError: what has come is no beginning of JSON. It stays so for all that follows, and `value` as it was.
        """
        position, end = 0, len(piece)
        while position < end:
            position = self._step(self, piece, position)
        self._offset += end

    @property
    def value(self) -> Any:
        """What the value is so far, as plain JSON values; None before anything.

        A list or dict is the reader's own, and goes on changing with what is fed: look at it, do not change it. A cut
        string is there as far as it has come, a cut number if it is one already, a key once it has a value. It is what
        pydantic's `from_json(text, allow_partial="trailing-strings")` makes of the text.
        """
        step = self._step
        if step is _number:
            self.show_number()
        elif not self._is_key and (step is _string or step in _IN_ESCAPE):
            self.show_string()
        return self.root[0] if self.root else None

    @property
    def is_complete(self) -> bool:
        """Whether the outermost value has ended. A number that nothing encloses may always go on."""
        return self._step is _end

    def _ended(self, end: int) -> None:
        """A value has ended at this position of the piece."""
        if self.container is self._items:
            self.item_ends.append(self._offset + end)
        self._step = _after if self.stack else _end

    def _number_ended(self, piece: str, end: int) -> int:
        """The same of a number. A comma behind it is taken at once: lists of numbers have most steps for a piece."""
        if piece[end] == "," and self.is_list and self.stack and self.container is not self._items:
            self._first = False
            self._step = _value
            return end + 1
        self._ended(end)
        return end

    def _open(self, container: Any, position: int) -> int:
        """A bracket opens a container at this position of the piece."""
        depth = len(self.stack)
        if depth >= _MAX_DEPTH:
            raise self._error("nested too deeply", position)
        if depth < 2 and type(container) is list and self._items_key is not None:
            self._note_items(container, position)
        self.enter(container)
        self._first = True
        self._step = _value if self.is_list else _key
        return position + 1

    def _note_items(self, container: Any, position: int) -> None:
        if self.stack and (self.is_list or self.key != self._items_key):
            return
        if self._items is not None:
            raise self._error(f"a second {self._items_key!r}", position)
        self._items, self.items_begin = container, self._offset + position + 1

    def _close(self, bracket: str, position: int) -> int:
        """A bracket closes the innermost container at this position of the piece."""
        if bracket != ("]" if self.is_list else "}"):
            raise self._error(f"an unexpected {bracket!r}", position)
        self.leave()
        self._ended(position + 1)
        return position + 1

    def _error(self, message: str, position: int) -> ValueError:
        self._failure = f"it is not JSON: {message} at character {self._offset + position}"
        self._step = _failed
        return ValueError(self._failure)


_Step = Callable[[PartialJSON, str, int], int]


def _failed(reader: PartialJSON, piece: str, position: int) -> int:
    raise ValueError(reader._failure)


def _value(reader: PartialJSON, piece: str, position: int) -> int:
    character = piece[position]
    if character == '"':
        reader._is_key = reader.shown = False
        reader._step = _string
        return position + 1
    if character in "-0123456789":
        if found := _WHOLE.match(piece, position):  # most numbers are whole, short and not cut
            reader.put(int(found[0]))
            return reader._number_ended(piece, found.end())
        reader.shown = False
        reader._step = _number
        return _number(reader, piece, position)
    if character in " \t\n\r":
        return _match_space(piece, position).end()
    if character == "{":
        return reader._open({}, position)
    if character == "[":
        return reader._open([], position)
    if character in _LITERALS:
        reader._rest, reader._literal_value = _LITERALS[character]
        reader._step = _literal
        return _literal(reader, piece, position)
    if character == "]" and reader._first:
        return reader._close(character, position)
    raise reader._error(f"{character!r} in place of a value", position)


def _key(reader: PartialJSON, piece: str, position: int) -> int:
    character = piece[position]
    if character == '"':
        reader._is_key = True
        reader._step = _string
        return position + 1
    if character in " \t\n\r":
        return _match_space(piece, position).end()
    if character == "}" and reader._first:
        return reader._close(character, position)
    raise reader._error(f"{character!r} in place of a key", position)


def _colon(reader: PartialJSON, piece: str, position: int) -> int:
    character = piece[position]
    if character == ":":
        reader._first = False
        reader._step = _value
        return position + 1
    if character in " \t\n\r":
        return _match_space(piece, position).end()
    raise reader._error(f"{character!r} in place of ':'", position)


def _string(reader: PartialJSON, piece: str, position: int) -> int:
    end = _match_plain(piece, position).end()
    parts = reader.parts
    if end > position:
        parts.append(piece[position:end])
    if end == len(piece):
        return end
    character = piece[end]
    if character == "\\":
        reader._step = _escape
        return end + 1
    if character != '"':
        raise reader._error(f"{character!r} inside a string", end)
    if reader._is_key:
        reader.key = "".join(parts)
        parts.clear()
        reader._step = _colon
        return end + 1
    reader.show_string()
    reader._ended(end + 1)
    return end + 1


def _escape(reader: PartialJSON, piece: str, position: int) -> int:
    character = piece[position]
    if character == "u":
        reader._escape_text = ""
        reader._step = _hex
    elif character in _ESCAPES and not reader._high:
        reader.parts.append(_ESCAPES[character])
        reader._step = _string
    else:
        raise reader._error(f"an invalid escape {character!r}", position)
    return position + 1


def _hex(reader: PartialJSON, piece: str, position: int) -> int:
    found = _HEX.match(piece[position : position + 4 - len(reader._escape_text)])
    if found is None:
        raise reader._error(f"{piece[position]!r} inside an escape", position)
    reader._escape_text += found[0]
    position += found.end()
    if len(reader._escape_text) < 4:
        return position
    code = int(reader._escape_text, 16)
    is_low = 0xDC00 <= code < 0xE000
    if is_low != bool(reader._high):
        raise reader._error("half of a surrogate pair", position)
    if 0xD800 <= code < 0xDC00:
        reader._high = code
        reader._step = _low
        return position
    if is_low:
        code += 0x10000 + ((reader._high - 0xD800) << 10) - 0xDC00
        reader._high = 0
    reader.parts.append(chr(code))
    reader._step = _string
    return position


def _low(reader: PartialJSON, piece: str, position: int) -> int:
    if piece[position] != "\\":
        raise reader._error("half of a surrogate pair", position)
    reader._step = _escape
    return position + 1


def _number(reader: PartialJSON, piece: str, position: int) -> int:
    end = _match_number(piece, position).end()
    if end > position:
        reader.parts.append(piece[position:end])
    if end == len(piece):
        return end
    try:
        reader.end_number()
    except ValueError as error:
        raise reader._error(f"{error}: it ends", end) from None
    return reader._number_ended(piece, end)


def _literal(reader: PartialJSON, piece: str, position: int) -> int:
    rest = reader._rest
    found = piece[position : position + len(rest)]
    if not rest.startswith(found):
        raise reader._error(f"{found!r} in place of {rest!r}", position)
    reader._rest = rest = rest[len(found) :]
    end = position + len(found)
    if not rest:
        reader.put(reader._literal_value)
        reader._ended(end)
    return end


def _after(reader: PartialJSON, piece: str, position: int) -> int:
    character = piece[position]
    if character == ",":
        reader._first = False
        reader._step = _value if reader.is_list else _key
        return position + 1
    if character in "]}":
        return reader._close(character, position)
    if character in " \t\n\r":
        return _match_space(piece, position).end()
    raise reader._error(f"{character!r} in place of a comma", position)


def _end(reader: PartialJSON, piece: str, position: int) -> int:
    end = _match_space(piece, position).end()
    if end < len(piece):
        raise reader._error(f"{piece[end]!r} behind the JSON", end)
    return end


_IN_ESCAPE = frozenset({_escape, _hex, _low})
