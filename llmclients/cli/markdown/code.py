"""Highlighting of code blocks with Pygments, a portion at a time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

__all__ = ["Highlighter"]

_LIMIT = 100_000
"""How many characters of an answer are highlighted: Pygments takes about two seconds for a million."""

_LONGEST_CARRY = 20_000


class Highlighter:
    """Highlights the code blocks of one answer.

    Args:
        is_on: whether the terminal has colours.
    """

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._left = _LIMIT
        self._lexer: Any = None
        self._lexers: dict[str, Any] = {}
        self._carry = ""

    def begin(self, language: str) -> bool:
        """Begin a block. Whether it will be highlighted."""
        self._carry = ""
        self._lexer = self._lexer_of(language) if self._is_on and self._left > 0 else None
        return self._lexer is not None

    def highlighted(self, code: str) -> str | None:
        """The next whole lines of the block in colours; None for as they are."""
        self._left -= len(code)
        if self._lexer is None or self._left < 0:
            return None
        from pygments.token import Token

        # What a block is in the middle of, such as a docstring, is read again from its beginning, and not shown again.
        pending, shown = len(self._carry), list[Any]()
        text = self._carry + code
        open_from, position = len(text), 0
        for kind, value in self._lexer.get_tokens(text):
            is_open = kind in Token.Literal.String or kind in Token.Comment
            if not is_open:
                open_from = len(text)
            elif open_from == len(text):
                open_from = position
            position += len(value)
            if pending >= len(value):
                pending -= len(value)
            else:
                shown.append((kind, value[pending:]))
                pending = 0
        line = text.rfind("\n", 0, open_from) + 1 if open_from < len(text) else len(text)
        self._carry = text[line:] if len(text) - line < _LONGEST_CARRY else ""
        out: str = _format(self._formatter, shown)
        return out.removesuffix("\n")

    @cached_property
    def _formatter(self) -> Any:
        from pygments.formatters import TerminalFormatter
        from pygments.token import Token

        # Pygments' grey is the terminal's white: on a dark background like all else, on a light one not to be read.
        grey = ("brightblack", "brightblack")
        colours = {**TerminalFormatter().colorscheme, Token.Comment: grey, Token.Text.Whitespace: grey}
        return TerminalFormatter(colorscheme=colours)

    def _lexer_of(self, language: str) -> Any:
        if not language:
            return None
        if language in self._lexers:
            return self._lexers[language]
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound

        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        except ClassNotFound:
            lexer = None
        self._lexers[language] = lexer
        return lexer


def _format(formatter: Any, tokens: list[Any]) -> str:
    import io

    out = io.StringIO()
    formatter.format(tokens, out)
    return out.getvalue()
