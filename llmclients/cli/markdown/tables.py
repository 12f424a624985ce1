"""A table of Markdown: its rows, laid out in columns that fit the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmclients.cli.markdown.cells import columns, units
from llmclients.cli.markdown.inline import read
from llmclients.cli.markdown.styles import Styles
from llmclients.cli.markdown.wrapping import Wrapper

__all__ = ["Table", "shown_width", "shrunk"]

_DELIMITER = re.compile(r"\s*\|?(\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?\s*")
_GAP = "  "
_NARROWEST = 6
_SEQUENCES = re.compile("\x1b\\[[0-9;]*m")


class Table:
    """Takes rows as they were written; `render` gives those that it has not given yet.

    The columns' widths are fixed by the rows that there are when it is first asked.
    """

    def __init__(self, width: int, styles: Styles) -> None:
        self._width = width
        self._styles = styles
        self._rows: list[list[str]] = []
        self._given = 0
        self._widths: list[int] = []
        self._right: list[bool] = []
        self._has_head = False

    def add(self, line: str) -> None:
        """Add a row."""
        if len(self._rows) == 1 and not self._has_head and _DELIMITER.fullmatch(line):
            self._has_head = True
            self._right = [cell.endswith(":") and not cell.startswith(":") for cell in _cells(line)]
            return
        self._rows.append(_cells(line))

    def render(self) -> str:
        """The rows that were added since, each with its line end."""
        is_first = not self._widths
        if is_first:
            self._widths = self._fitted()
        out = []
        for number, row in enumerate(self._rows[self._given :]):
            is_head = is_first and number == 0 and self._has_head
            out.append(self._row(row, self._styles.strong if is_head else ""))
            if is_head:
                rule = _GAP.join("─" * width for width in self._widths)
                out.append(self._styles.painted(rule, self._styles.faint) + "\n")
        self._given = len(self._rows)
        return "".join(out)

    def _row(self, row: Sequence[str], look: str) -> str:
        cells = [self._cell(cell, width, look) for cell, width in zip(row, self._widths, strict=False)]
        cells += [[""]] * (len(self._widths) - len(cells))
        lines = []
        for index in range(max(map(len, cells), default=0)):
            line = []
            for column, cell in enumerate(cells):
                text = cell[index] if index < len(cell) else ""
                space = " " * max(self._widths[column] - shown_width(text), 0)
                is_right = column < len(self._right) and self._right[column]
                line.append(space + text if is_right else text + space)
            lines.append(_GAP.join(line).rstrip() + "\n")
        return "".join(lines)

    def _cell(self, text: str, width: int, look: str) -> list[str]:
        wrapper = Wrapper(width)
        for _, (piece, its_look) in read(text, 0, self._styles, look):
            wrapper.put(piece, its_look)
        return wrapper.end().split("\n")

    def _fitted(self) -> list[int]:
        count = max(map(len, self._rows), default=0)
        widths, least = [1] * count, [_NARROWEST] * count
        for row in self._rows:
            for column, cell in enumerate(row):
                shown = "".join(piece for _, (piece, _) in read(cell, 0, self._styles))
                widths[column] = max(widths[column], columns(shown))
                longest = max((columns(unit) for part in shown.split() for unit in units(part)), default=0)
                least[column] = max(least[column], longest)
        room = self._width - len(_GAP) * (count - 1)
        return shrunk(shrunk(widths, least, room), [_NARROWEST] * count, room)


def shrunk(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit, if that can be without any's getting below its least; the widest gives way first."""
    found = [*widths]
    while sum(found) > room:
        wide = [width for width, lowest in zip(found, least, strict=True) if width > lowest]
        if not wide:
            break
        widest = max(wide)
        second = max((width for width in wide if width < widest), default=0)
        lower = max(second, widest - -(-(sum(found) - room) // wide.count(widest)))
        found = [
            max(lower, lowest) if width == widest and width > lowest else width
            for width, lowest in zip(found, least, strict=True)
        ]
    return found


def _cells(line: str) -> list[str]:
    text = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", text)]


def shown_width(text: str) -> int:
    """How many columns a text takes, without its looks."""
    return columns(_SEQUENCES.sub("", text))
