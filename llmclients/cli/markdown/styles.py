"""The looks of a text, as the sequences that a terminal takes (ECMA-48, SGR). No sequence, no look.

Only the sixteen colours that every user may have set to their taste, and few of those: they are readable on dark and on
light. With `NO_COLOR` there are none of them; bold, italic and underlined are no colours.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COLOURED", "PLAIN", "RESET", "UNCOLOURED", "Styles"]

RESET = "\x1b[0m"


class Styles(NamedTuple):
    """What each kind of text looks like."""

    strong: str
    emphasis: str
    struck: str
    code: str
    link: str
    heading: str
    title: str
    faint: str
    error: str
    has_colours: bool

    def painted(self, text: str, look: str) -> str:
        """The text in one of the looks."""
        return f"{look}{text}{RESET}" if look and text else text


COLOURED = Styles(
    strong="\x1b[1m",
    emphasis="\x1b[3m",
    struck="\x1b[9m",
    code="\x1b[36m",
    link="\x1b[4m",
    heading="\x1b[1m",
    title="\x1b[1;4m",
    faint="\x1b[2m",
    error="\x1b[31m",
    has_colours=True,
)
UNCOLOURED = COLOURED._replace(code="", error="", has_colours=False)
PLAIN = Styles("", "", "", "", "", "", "", "", "", has_colours=False)
"""For what is no terminal."""
