"""A terminal's screen, as pyte has it, as a picture in SVG that needs nothing from outside."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

import pyte

__all__ = ["as_svg"]

_WIDTH, _HEIGHT = 8.4, 18  # of a character, in pixels
_MARGIN, _BAR = 14, 30
_PAPER, _INK = "#1e1f29", "#e6e6e6"
_COLOURS = {
    "default": _INK,
    "black": "#6c6f85",
    "red": "#ff6b68",
    "green": "#8fd07f",
    "brown": "#e6c07b",
    "blue": "#6fa8ff",
    "magenta": "#d69cf0",
    "cyan": "#5fd0d8",
    "white": "#e6e6e6",
    "brightblack": "#7f849c",
    "brightred": "#ff8f8c",
    "brightgreen": "#b5e8a6",
    "brightbrown": "#f2d9a0",
    "brightblue": "#9cc4ff",
    "brightmagenta": "#e7c1f8",
    "brightcyan": "#94e2e8",
    "brightwhite": "#ffffff",
}


def as_svg(screen: pyte.Screen, title: str) -> str:
    """The picture. Rows below the last one with something on it are left out."""
    rows = [screen.buffer[number] for number in range(screen.cursor.y + 1)]
    width, height = screen.columns * _WIDTH + 2 * _MARGIN, len(rows) * _HEIGHT + _BAR + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{title}">',
        f"<style>text {{ font: 14px ui-monospace, Menlo, Consolas, monospace; white-space: pre; fill: {_INK} }}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{_PAPER}"/>',
        f'<text x="{_MARGIN}" y="20" style="fill: #9399b2">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        y = _BAR + _MARGIN + number * _HEIGHT + 13
        cells = [(column, row[column]) for column in range(screen.columns)]
        for look, group in groupby(cells, key=lambda cell: _look(cell[1])):
            found = list(group)
            text = "".join(cell.data for _, cell in found).rstrip()
            if text:
                x = _MARGIN + found[0][0] * _WIDTH
                size = f'textLength="{len(text) * _WIDTH:.1f}"'
                lines.append(f'<text x="{x:.1f}" y="{y}" {size} style="{look}">{escape(text)}</text>')
    x, y = _MARGIN + screen.cursor.x * _WIDTH, _BAR + _MARGIN + screen.cursor.y * _HEIGHT
    lines.append(f'<rect x="{x:.1f}" y="{y}" width="{_WIDTH}" height="{_HEIGHT - 2}" fill="{_INK}"/>')
    return "\n".join([*lines, "</svg>", ""])


def _look(cell: Any) -> str:
    looks = []
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}")
    if colour != _INK:
        looks.append(f"fill: {colour}")
    if cell.bold:
        looks.append("font-weight: bold")
    if cell.italics:
        looks.append("font-style: italic")
    if cell.underscore:
        looks.append("text-decoration: underline")
    return "; ".join(looks)
