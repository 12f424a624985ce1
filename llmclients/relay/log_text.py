"""Exceptions for the log, whose messages may come from elsewhere: each on one line, so that none looks like another."""

from __future__ import annotations

import traceback

from llmclients.errors import one_line

__all__ = ["MAX_LINE", "exception_text"]

MAX_LINE = 1000  # characters


def exception_text(error: BaseException) -> str:
    """An exception, and those that it came of, for a log: where they were raised, and their messages, a line for each.

    Python's own form has the messages as they are, with line ends in them.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < 10:
        place = "".join(traceback.format_tb(seen.__traceback__, limit=-20))
        lines.append(f"{one_line(f'{type(seen).__name__}: {seen}', MAX_LINE)}\n{place}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "caused by ".join(lines).rstrip("\n")
