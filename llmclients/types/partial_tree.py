"""`PartialTree`: a JSON value under construction, changed in place: what `PartialJSON` builds."""

from __future__ import annotations

import re
from typing import Any

from llmclients.types.strict_json import json_float, json_int

__all__ = ["PartialTree", "number_value"]

# Theory of operation
# -------------------
# A container is in the tree from its first bracket on. A string or number that a piece's end has cut is put into it
# only when somebody looks: `show_string` writes the string's new characters behind those that it has shown already. For
# this the string is taken out of its container first, so that nobody else refers to it: CPython then lengthens it where
# it is, and a string of n characters that is looked at after each of its pieces costs n, not n². A number that is shown
# may turn out unfinished (`1`, then `1.`): it is taken back, and with it what it had replaced.
#
# The outermost value is the only item of a list, `root`, so that it is put where it belongs like every other.

_MAX_SHOWN_NUMBER = 400
"""Longer numbers are converted once, at their end: to convert one after each of its digits would cost their square."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NOTHING: Any = object()


class PartialTree:
    """The value so far, and the place in it where the next one goes.

    Attributes:
        root: holds the outermost value, once it is there.
        container: the innermost list or dict that is open.
        is_list: whether that is a list.
        stack: those around it.
        key: the last key, where it is a dict.
        parts: what has come of the string or number under way, and is not in the tree yet.
        shown: whether the string or number under way is in the tree, as far as it had come.
    """

    __slots__ = ("_replaced", "container", "is_list", "key", "parts", "root", "shown", "stack")

    def __init__(self) -> None:
        self.root: list[Any] = []
        self.container: Any = self.root
        self.is_list = True
        self.stack: list[Any] = []
        self.key = ""
        self.parts: list[str] = []
        self.shown = False
        self._replaced: Any = _NOTHING  # what a number that is shown has replaced

    def put(self, value: Any) -> None:
        """Put a value behind the last one, or to the last key."""
        if self.is_list:
            self.container.append(value)
        else:
            self.container[self.key] = value

    def enter(self, container: Any) -> None:
        """Put a list or dict; what comes next goes into it."""
        self.put(container)
        self.stack.append(self.container)
        self.container, self.is_list = container, type(container) is list

    def leave(self) -> None:
        """The innermost container is complete. If the one around it is a dict, another key comes before a value."""
        self.container = container = self.stack.pop()
        self.is_list = type(container) is list

    def show_string(self) -> None:
        """Put into the tree what has come of the string."""
        parts, container = self.parts, self.container
        if self.shown and not parts:
            return
        new = parts[0] if len(parts) == 1 else "".join(parts)
        parts.clear()
        if not self.shown:
            self.shown = True
            self.put(new)
            return
        place = -1 if self.is_list else self.key
        text = container[place]
        container[place] = None
        text += new  # in place: the name is the only reference
        container[place] = text

    def show_number(self) -> None:
        """Put the number into the tree as far as it is one; else take it out."""
        parts = self.parts
        if len(parts[0]) > _MAX_SHOWN_NUMBER:
            return
        if len(parts) > 1:
            parts[:] = ("".join(parts),)
        elif self.shown:
            return
        if self.shown:
            self._hide_number()
        if len(parts[0]) > _MAX_SHOWN_NUMBER:
            return
        try:
            number = number_value(parts[0])
        except ValueError:  # not yet, or never: its end will tell
            return
        if not self.is_list:
            self._replaced = self.container.get(self.key, _NOTHING)
        self.put(number)
        self.shown = True

    def end_number(self) -> None:
        """The number is complete.

        Raises:
            ValueError: it is none.
        """
        parts = self.parts
        if self.shown and len(parts) == 1:  # that was all of it
            self.shown, self._replaced = False, _NOTHING
        else:
            if self.shown:
                self._hide_number()
            self.put(number_value("".join(parts)))
        parts.clear()

    def _hide_number(self) -> None:
        self.shown = False
        if self.is_list:
            self.container.pop()
        elif self._replaced is _NOTHING:
            del self.container[self.key]
        else:
            self.container[self.key] = self._replaced
        self._replaced = _NOTHING


def number_value(text: str) -> int | float:
    """The number that the text is.

    Raises:
        ValueError: it is none in JSON, or too large for a float.
    """
    if text.isdigit() and text[0] != "0" and len(text) < 16:
        return int(text)
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError("an invalid number")
    return json_int(text) if found.lastindex is None else json_float(text)
