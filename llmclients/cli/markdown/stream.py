"""`MarkdownStream`: Markdown in, as it comes; what a terminal is to be sent for it out."""

# Theory of operation
# -------------------
# A terminal's rows cannot be taken back once they have scrolled away, and to write them again and again flickers. So
# what is given out is final, as far as it can be:
#
# - A line's kind is held back until its first characters have told it; a word until it has ended; what begins with a
#   mark until the mark has its other half (`inline.py`). All of that is a few characters, for a moment.
# - A line of Markdown is a line in the terminal, wrapped. Paragraphs are not joined: who writes for a chat ends lines
#   where they are to end.
# - Code and tables are different: only at a block's end can be told what colours a piece of code has, and how wide a
#   column is. They are shown at once, as they are written, and written again once: when the block ends, or has grown to
#   nearly the terminal's height. Above that are rows that scroll away.
#
# So each row is written once, and rows of code and tables once more. Nothing is looked at twice but for what is held
# back, which is bounded: the work is proportional to the text.
#
# `open rows` are those that are shown and may be written again. The cursor stands at their end.

from __future__ import annotations

import re
from collections.abc import Callable

from llmclients.cli.markdown.cells import clean, columns
from llmclients.cli.markdown.code import Highlighter
from llmclients.cli.markdown.inline import read
from llmclients.cli.markdown.styles import Styles
from llmclients.cli.markdown.tables import Table
from llmclients.cli.markdown.wrapping import Wrapper

__all__ = ["MarkdownStream"]

_UNDECIDED = re.compile(r"[ \t]*(?:#{0,6}|[-*+_] ?(?:[-*_] ?)*|\d{0,9}[.)]?|`{0,2}|~{0,2})(?:\[?[ xX]?\]?)?")
"""A line's beginning that may become one thing or another."""

_FENCE = re.compile(r"( *)(`{3,16}|~{3,16})[ \t]*([\w+#.-]*)([^`]{0,200})")
_PREFIX = re.compile(
    r"(?P<indent>[ \t]*)(?:(?P<heading>#{1,6})[ \t]+|(?P<rule>(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$"
    r"|(?P<bullet>[-*+])[ \t]+(?:(?P<task>\[[ xX]\])[ \t]+)?|(?P<number>\d{1,9}[.)])[ \t]+|(?P<quote>>)[ \t]?)?"
)
_LONGEST_HELD = 4096
"""The most characters of a line that are held back until its kind is known, or of a table's row."""

_KEPT = 4096
"""Of a line, how many characters that were read are kept."""


class MarkdownStream:
    """One text. `feed` it, and write what `taken` gives; at its end, what `end` gives.

    Args:
        size: gives the terminal's columns and rows.
        styles: its looks.
        can_rewrite: whether rows may be written again: not where the output is no terminal.
    """

    def __init__(self, size: Callable[[], tuple[int, int]], styles: Styles, *, can_rewrite: bool = True) -> None:
        self._size = size
        self._styles = styles
        self._can_rewrite = can_rewrite
        self._highlighter = Highlighter(is_on=styles.has_colours and can_rewrite)
        self._out: list[str] = []
        self._pending = ""  # of the line that is being read: what was not
        self._position = 0
        self._wrapper: Wrapper | None = None  # of a line whose kind is known
        self._heading = ""
        self._fence: tuple[str, int] | None = None
        self._code_head = ""  # what has come of a code line that is open
        self._open: list[str] = []  # the lines of a block that are to be written again
        self._open_rows = 0
        self._is_highlighted = False
        self._table: Table | None = None
        self._was_blank = True
        self.width, self._height = size()

    def feed(self, text: str) -> None:
        """Read a piece of the text."""
        text = clean(text)
        if "\n" not in text:
            self._pending += text
        else:
            first, *lines = text.split("\n")
            self._line(self._pending + first)
            self._pending = ""
            for line in lines[:-1]:
                self._line(line)
            self._pending = lines[-1]
        if self._pending:
            self._partial()

    def taken(self) -> str:
        """What is to be written now."""
        if self._wrapper is not None:
            self._out.append(self._wrapper.taken())
        out = "".join(self._out)
        self._out.clear()
        return out

    def end(self) -> str:
        """What is to be written at the end: the last line, with its line end."""
        if self._pending or self._wrapper is not None or self._code_head:
            self._line(self._pending)
            self._pending = ""
        self._end_block()
        return self.taken()

    # --- lines --------------------------------------------------------------------------------------------------------

    def _line(self, line: str) -> None:
        """A line that is whole; of one that has begun, its rest."""
        if self._wrapper is not None:
            self._inline(line, is_whole=True)
            self._end_line()
        elif self._fence is not None:
            self._code_line(line)
        elif not line.strip():
            self._end_block()
            if not self._was_blank:
                self._out.append("\n")
            self._was_blank = True
        elif line.lstrip().startswith("|") and len(line) < _LONGEST_HELD:
            self._table_line(line)
        elif (fence := _FENCE.fullmatch(line)) is not None and not line.startswith(" " * 12):
            self._begin_code(fence)
        else:
            self._end_block()
            self._begin(line)
            self._inline(line, is_whole=True)
            self._end_line()

    def _partial(self) -> None:
        """What can be shown of the line that is open."""
        line = self._pending
        if self._wrapper is None:
            if self._fence is not None:
                self._partial_code()
                return
            is_held = line.lstrip()[:1] in ("|", "") or _FENCE.match(line) or _UNDECIDED.fullmatch(line)
            if is_held and len(line) < _LONGEST_HELD:
                return
            self._end_block()
            self._begin(line)
        self._inline(line, is_whole=False)
        self._pending, self._position = self._trimmed()

    def _trimmed(self) -> tuple[str, int]:
        if self._position <= _KEPT:
            return self._pending, self._position
        return self._pending[self._position - 1 :], 1

    def _begin(self, line: str) -> None:
        """A line's kind, which its beginning tells: what its rows begin with."""
        first = others = ""
        taken, position = 0, 0
        self._heading = ""
        while True:
            prefix = _PREFIX.match(line, position)
            assert prefix is not None
            position = prefix.end()
            indent = prefix["indent"].expandtabs(4)
            if prefix["quote"]:
                bar = indent + self._styles.painted("│", self._styles.faint) + " "
                first, others, taken = first + bar, others + bar, taken + len(indent) + 2
                continue
            if prefix["rule"]:
                first += self._styles.painted("─" * max(self.width - taken, 3), self._styles.faint)
            elif prefix["heading"]:
                self._heading = self._styles.title if len(prefix["heading"]) == 1 else self._styles.heading
            else:
                mark = _mark(prefix)
                first, others = first + indent + mark, others + indent + " " * len(mark)
                taken += len(indent) + len(mark)
            break
        self._wrapper = Wrapper(lambda: self._size()[0], first, others, taken)
        self._position = position

    def _inline(self, line: str, *, is_whole: bool) -> None:
        assert self._wrapper is not None
        for position, (text, look) in read(line, self._position, self._styles, self._heading, is_whole=is_whole):
            self._wrapper.put(text, look)
            self._position = position

    def _end_line(self) -> None:
        assert self._wrapper is not None
        self._out += [self._wrapper.end(), "\n"]
        self._wrapper = None
        self._position = 0
        self._was_blank = False
        self.width, self._height = self._size()

    # --- blocks that are written again --------------------------------------------------------------------------------

    def _begin_code(self, fence: re.Match[str]) -> None:
        self._end_block()
        indent, marks, language = fence[1], fence[2], fence[3]
        self._fence = marks, len(indent)
        self._is_highlighted = self._highlighter.begin(language) and self._can_rewrite
        self._out.append(self._styles.painted(f"── {language} ──" if language else "──", self._styles.faint) + "\n")
        self._was_blank = False

    def _code_line(self, line: str) -> None:
        assert self._fence is not None
        marks, indent = self._fence
        bare = line.strip()
        if not self._code_head and len(bare) >= len(marks) and bare == marks[0] * len(bare):
            self._end_block()
            return
        if self._code_head:
            whole, self._code_head = self._code_head + line, ""
            self._out.append(line.expandtabs(4) + "\n")
        else:
            whole = line[indent:] if not line[:indent].strip() else line
            self._out.append(whole.expandtabs(4) + "\n")
        if self._is_highlighted:
            self._hold(whole)

    def _partial_code(self) -> None:
        """A line of code is shown as it comes, but for what may be the block's end."""
        assert self._fence is not None
        marks, indent = self._fence
        line = self._pending
        if not self._code_head:
            if not line.strip(f" {marks[0]}") or len(line) <= indent:
                return
            line = line[indent:] if not line[:indent].strip() else line
        self._code_head += line
        self._pending = ""
        self._out.append(line.expandtabs(4))

    def _table_line(self, line: str) -> None:
        if self._table is None:
            self._end_block()
            self._table = Table(self.width, self._styles)
        self._table.add(line)
        self._was_blank = False
        if not self._can_rewrite:
            return
        if self._open_rows < 0:  # its columns are fixed
            self._out.append(self._table.render())
            return
        self._out.append(line + "\n")
        self._hold(line)

    def _hold(self, line: str) -> None:
        """A line that was shown is one of the open rows; when they are too many, they are settled."""
        self._open.append(line)
        self._open_rows += max(-(-columns(line.expandtabs(4)) // self.width), 1)
        if self._open_rows >= max(self._height - 3, 3):
            self._settle()
            if self._table is not None:
                self._open_rows = -1

    def _end_block(self) -> None:
        """The end of a block of code, or of a table, if there is one."""
        if self._table is not None and not self._can_rewrite:
            self._out.append(self._table.render())
        elif self._open_rows > 0:
            self._settle()
        if self._fence is not None:
            self._out.append(self._styles.painted("──", self._styles.faint) + "\n")
        self._table = self._fence = None
        self._open.clear()
        self._open_rows = 0

    def _settle(self) -> None:
        """Write the open rows again, as they are to be; not if the window has changed, or is lower than they are."""
        if self._size() == (self.width, self._height) and self._open_rows < self._height:
            code = "\n".join(self._open)
            final = self._table.render() if self._table else self._highlighter.highlighted(code.expandtabs(4) + "\n")
            if final is not None:
                final = final.removesuffix("\n")
                self._out.append(f"\r\x1b[{self._open_rows}A\x1b[J{final}\n")
        elif self._table is not None:
            self._table.render()
        else:
            self._highlighter.begin("")
            self._is_highlighted = False
        self._open.clear()
        self._open_rows = 0
        self.width, self._height = self._size()


def _mark(prefix: re.Match[str]) -> str:
    """What stands for the mark of a list's item."""
    if prefix["bullet"]:
        task = prefix["task"]
        return "• " if task is None else "☐ " if task == "[ ]" else "☑ "
    return f"{prefix['number']} " if prefix["number"] else ""
