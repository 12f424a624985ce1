"""`Terminal`: a program in a terminal of its own, and the screen that its user sees."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pexpect
import pyte

__all__ = ["Terminal"]


class _Screen(pyte.HistoryScreen):
    """A screen that answers, as terminals do, where its cursor is. What is faint is grey, as pyte has no word for it."""

    answer: Callable[[str], None]

    def select_graphic_rendition(self, *attributes: int, **given: Any) -> None:
        super().select_graphic_rendition(*attributes, **given)
        if 2 in attributes and 38 not in attributes and 48 not in attributes:  # else it may be of a colour's number
            self.cursor.attrs = self.cursor.attrs._replace(fg="brightblack")

    def write_process_input(self, data: str) -> None:
        self.answer(data)


def _line(row: Any) -> str:
    """A row's text: of all cells that something was written to."""
    return "".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip()


class Terminal:
    """A program in a pseudo-terminal.

    Args:
        arguments: of `llmclients`.
        environment: variables besides those of this process.
    """

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.screen = _Screen(columns, rows, history=5000)
        self.screen.answer = self.type
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self._past: list[str] = []
        variables = {**os.environ, "TERM": "xterm-256color", **environment}
        variables.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
        self.process: Any = pexpect.spawn(
            sys.executable, ["-m", "llmclients", *arguments], dimensions=(rows, columns), env=variables, timeout=20
        )
        self.process.delaybeforesend = None

    def type(self, text: str) -> None:
        """Press keys."""
        self.process.send(text)

    def read(self, seconds: float = 0.0) -> bool:
        """Take what the program has written, after a wait of at most so long. Whether it had."""
        try:
            data = self.process.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            self.process.wait()
            return False
        self.written += data
        self._stream.feed(data)
        return True

    def wait_for(self, *texts: str, seconds: float = 20.0) -> str:
        """Wait until the screen, with what has scrolled away, has all of these texts."""
        return self.wait_until(lambda shown: all(text in shown for text in texts), repr(texts), seconds)

    def wait_until(self, is_shown: Callable[[str], bool], what: str, seconds: float = 20.0) -> str:
        """Wait until the screen, with what has scrolled away, is as it should be; looked at when something new is on it."""
        end = time.monotonic() + seconds
        while not is_shown(shown := self.text):
            while not self.read(0.05):
                if time.monotonic() > end or not self.process.isalive():
                    raise AssertionError(f"{what} is not on the screen:\n{shown}")
            while self.read():  # a look at the screen costs more than what it takes to read on
                pass
        return shown

    def wait_for_end(self, seconds: float = 20.0) -> int:
        """Wait until the program has ended: its exit code."""
        end = time.monotonic() + seconds
        while self.read(0.05) or self.process.isalive():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        self.process.close()
        return self.process.exitstatus if self.process.exitstatus is not None else -self.process.signalstatus

    @property
    def text(self) -> str:
        """The rows that have scrolled away, and the screen."""
        top = self.screen.history.top
        self._past += map(_line, islice(top, len(self._past), len(top)))  # they do not change any more
        rows = (self.screen.buffer[number] for number in range(self.screen.lines))
        return "\n".join((*self._past, *map(_line, rows))).rstrip()

    def kill(self) -> None:
        """Kill the program, so that it can do nothing more."""
        self.process.kill(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End the program, if it has not ended."""
        self.process.close(force=True)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
