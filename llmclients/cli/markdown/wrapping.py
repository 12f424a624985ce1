"""`Wrapper`: fills rows of a terminal with runs of text. A word that may still grow is held back."""

from __future__ import annotations

import re
from collections.abc import Callable

from llmclients.cli.markdown.cells import columns, cut, is_joined, units
from llmclients.cli.markdown.styles import RESET

__all__ = ["Wrapper"]

_PIECES = re.compile(r"[ \t]+|[^ \t]+")


class Wrapper:
    """Takes the runs of one line, and gives what is to be written, row by row.

    Args:
        width: of a row, in columns; or gives it, and is asked for each row.
        first: what the first row begins with; it may have looks.
        others: what each other row begins with, as wide as the first.
        indent: how many columns both take.
    """

    def __init__(self, width: int | Callable[[], int], first: str = "", others: str = "", indent: int = 0) -> None:
        self._width = width if callable(width) else None
        self._indent = indent
        self._room = self._room_of(width() if callable(width) else width)
        self._others = others
        self._out: list[str] = [first]
        self._look = ""
        self._column = 0
        self._blanks = 0
        self._held: list[tuple[str, str]] = []
        self._held_width = 0

    def _room_of(self, width: int) -> int:
        return max(width - self._indent, 8)

    def put(self, text: str, look: str) -> None:
        """Add a run. Its last word is held back until something follows that ends it."""
        pieces = _PIECES.findall(text)
        if len(pieces) > 4 and text.isascii():
            # What was held, and what may be held, is between two runs; all between is plain, and most of any text.
            self._put_slowly(pieces[:2], look)
            self._put_plainly(pieces[2:-1], look)
            pieces = pieces[-1:]
        self._put_slowly(pieces, look)

    def _put_slowly(self, pieces: list[str], look: str) -> None:
        for piece in pieces:
            if piece[0] in " \t":
                self._place()
                self._blanks += len(piece)
            else:
                self._add(piece, look)

    def _put_plainly(self, pieces: list[str], look: str) -> None:
        """The same for pieces in ASCII: whole words of one look, with blanks between."""
        self._place()
        out, room = self._out, self._room
        column, blanks = self._column, self._blanks
        for piece in pieces:
            width = len(piece)
            if piece[0] in " \t":
                blanks += width
                continue
            if look != self._look or width > room:  # at the beginning, or rarely
                self._column, self._blanks = column, blanks
                self._add(piece, look)
                self._place()
                column, blanks = self._column, self._blanks
                continue
            if column + blanks + width > room and column:
                self._next_row()
                column = blanks = 0
                room = self._room
            if blanks:
                if column:
                    out.append(" " * blanks)
                    column += blanks
                blanks = 0
            out.append(piece)
            column += width
        self._column, self._blanks = column, blanks

    def taken(self) -> str:
        """What is to be written now; the look of its end stays on."""
        out = "".join(self._out)
        self._out.clear()
        return out

    def end(self) -> str:
        """What is left to be written of the line, without a line end."""
        self._place()
        if self._look:
            self._out.append(RESET)
            self._look = ""
        return self.taken()

    def _add(self, piece: str, look: str) -> None:
        if piece.isascii() and (not self._held or self._held[-1][0].isascii()):
            self._held.append((piece, look))
            self._held_width += len(piece)
        else:
            for number, unit in enumerate(units(piece)):
                if number or (self._held and not is_joined(self._held[-1][0][-1], unit[0])):
                    self._place()
                self._held.append((unit, look))
                self._held_width += columns(unit)
        if self._held_width > self._room:
            self._break_long()

    def _place(self) -> None:
        """Put the held word into the row, or into the next one."""
        if not self._held:
            return
        if self._column and self._column + self._blanks + self._held_width > self._room:
            self._next_row()
        if self._blanks and self._column:
            if self._held[0][1] != self._look:
                self._paint("")  # blanks between two looks have neither
            blanks = " " * min(self._blanks, self._room - self._column)
            self._out.append(blanks)
            self._column += len(blanks)
        self._blanks = 0
        for text, look in self._held:
            self._paint(look)
            self._out.append(text)
        self._column += self._held_width
        self._held.clear()
        self._held_width = 0

    def _break_long(self) -> None:
        """A word that no row has room for begins in this row if it can, and goes on in the next ones."""
        if self._column and self._column + self._blanks + 1 > self._room:
            self._next_row()
        held, self._held, self._held_width = self._held, [], 0
        for text, look in held:
            while text:
                if self._column + self._blanks + self._held_width >= self._room:
                    self._place()
                    self._next_row()
                part, text = cut(text, self._room - self._column - self._blanks - self._held_width)
                self._held.append((part, look))
                self._held_width += columns(part)

    def _next_row(self) -> None:
        look = self._look
        self._paint("")
        self._out.append("\n" + self._others)
        self._column = self._blanks = 0
        if self._width is not None:
            self._room = self._room_of(self._width())  # the window may be another size by now
        self._paint(look)

    def _paint(self, look: str) -> None:
        if look != self._look:
            if self._look:
                self._out.append(RESET)
            self._out.append(look)
            self._look = look
