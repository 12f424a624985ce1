"""The inside of a line of Markdown: text in runs of one look, read piece by piece.

What begins with a mark is held back until its end has come, the line has ended, or more than `LONGEST` characters have
come without it: then the mark was none. So a run that was given out is never taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from llmclients.cli.markdown.styles import Styles

__all__ = ["LONGEST", "Run", "read"]

Run: TypeAlias = tuple[str, str]
"""A text and its look."""

LONGEST = 160
"""The most characters between two marks. That of a whole line would make a stray asterisk hold back all behind it."""

_BODY = rf".{{1,{LONGEST}}}?"
_SPANS = re.compile(
    rf"(?<!`)(?P<ticks>`{{1,8}})(?!`)(?P<code>{_BODY})(?<!`)(?P=ticks)(?!`)"
    rf"|\*\*\*(?=\S)(?P<both>{_BODY})(?<=\S)\*\*\*(?!\*)"
    rf"|(?P<strong_mark>\*\*|(?<!\w)__)(?=[^\s*])(?P<strong>{_BODY})(?<=\S)(?P=strong_mark)(?![*_])"
    rf"|\*(?=[^\s*])(?P<star>{_BODY})(?<=[^\s*])\*(?!\*)"
    rf"|(?<![\w_])_(?=[^\s_])(?P<score>{_BODY})(?<=[^\s_])_(?!\w)"
    rf"|~~(?=\S)(?P<struck>{_BODY})(?<=\S)~~"
    rf"|!?\[(?P<label>[^\[\]]{{0,{LONGEST}}})\]\((?P<url>[^\s()<>]{{1,500}}(?:\([^\s()]*\)[^\s()]*)?)"
    r'(?:\s"[^"]*")?\)'
    r"|<(?P<auto>https?://[^\s<>]{1,500})>"
    r"|\\(?P<escaped>[*_`#~\\|>])"
)
_PLAIN = re.compile(r"[^`*_~!\[<\\]+")
_IMPOSSIBLE = re.compile(
    r"\*{1,3}\s|\*{4}|_{1,4}\s|_{5}|`{9}|~{3}|(?<=\w)_|~[^~]|![^\[]|<[^h]|\\[^*_`#~\\|>]"
    rf"|!?\[[^\[\]]{{0,{LONGEST}}}(?:\[|\][^(]|\]\([^\s()<>]*[\s<>](?!\"))"
)
"""What begins like a mark and is none, whatever comes."""
_LONGEST_LINK = 2 * LONGEST + 500


def read(
    text: str, position: int, styles: Styles, look: str = "", *, is_whole: bool = True
) -> Iterator[tuple[int, Run]]:
    """The runs from `position` on, each with where it ends.

    Args:
        look: of the text around it, which its own is added to.
        is_whole: whether the line ends where the text does; else what may still become a mark is left.
    """
    end = len(text)
    while position < end:
        if plain := _PLAIN.match(text, position):
            position = plain.end()
            # A word before an underscore decides what that is; it is looked back at, and may be given out.
            yield position, (plain.group(), look)
            continue
        span = _SPANS.match(text, position)
        if span is not None and (is_whole or span.end() < end or span["escaped"]):
            position = span.end()
            for run in _span(span, styles, look):
                yield position, run
            continue
        longest = _LONGEST_LINK if text[position] in "[!<" else LONGEST + 6
        if not is_whole and end - position < longest and not _IMPOSSIBLE.match(text, position):
            return
        mark = _mark(text, position)
        position += len(mark)
        yield position, (mark, look)


def _mark(text: str, position: int) -> str:
    """The mark that is none: all of the same characters, lest their rest be taken for another one."""
    character = text[position]
    end = position + 1
    while end < len(text) and text[end] == character and character in "`*_~":
        end += 1
    return text[position:end]


def _span(span: re.Match[str], styles: Styles, look: str) -> Iterator[Run]:
    if (code := span["code"]) is not None:
        if code[:1] == code[-1:] == " " and code.strip():
            code = code[1:-1]
        yield code, look + (styles.code or styles.strong)
    elif span["escaped"]:
        yield span["escaped"], look
    elif span["auto"]:
        yield span["auto"], look + styles.link
    elif span["url"]:
        label = span["label"]
        yield from _inner(label, styles, look + styles.link)
        if label != span["url"]:
            yield f" ({span['url']})" if label else span["url"], look + styles.faint
    else:
        for name, added in (
            ("both", styles.strong + styles.emphasis),
            ("strong", styles.strong),
            ("star", styles.emphasis),
            ("score", styles.emphasis),
            ("struck", styles.struck),
        ):
            if span[name]:
                yield from _inner(span[name], styles, look + added)


def _inner(text: str, styles: Styles, look: str) -> Iterator[Run]:
    return (run for _, run in read(text, 0, styles, look))
