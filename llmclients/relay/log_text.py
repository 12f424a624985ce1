"""Text from elsewhere on one line: nothing that a client or a provider sends can look like a line of the log."""

from __future__ import annotations

import traceback

__all__ = ["exception_text", "one_line"]


def one_line(text: str, limit: int = 1000) -> str:
    """The text without what a terminal or a log would act on: line ends become blanks, the rest its escape.

    Args:
        text: any text.
        limit: the most characters of it that stay.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def exception_text(error: BaseException) -> str:
    """An exception, and those that it came of, for a log: where they were raised, and their messages, a line for each.

    Python's own form has the messages as they are, with line ends in them.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < 10:
        place = "".join(traceback.format_tb(seen.__traceback__, limit=-20))
        lines.append(f"{one_line(f'{type(seen).__name__}: {seen}')}\n{place}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "caused by ".join(lines).rstrip("\n")
