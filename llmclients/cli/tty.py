"""The terminal's own way with what is typed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["quiet_terminal"]


@contextmanager
def quiet_terminal() -> Iterator[None]:
    """What is typed meanwhile is not shown: it waits for the next prompt. Ctrl-C works as ever."""
    try:
        import termios

        file = sys.stdin.fileno()
        before = termios.tcgetattr(file)
    except (ImportError, OSError, ValueError, AttributeError):
        yield  # no terminal, or none of this kind
        return
    except Exception as error:
        if type(error).__name__ != "error":  # termios.error is no OSError
            raise
        yield
        return
    quiet: list[Any] = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(file, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)
