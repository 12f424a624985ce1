"""examples/rich_terminal.py on a terminal: Markdown that grows, Ctrl-C, and a refusal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from upstream import BOUND, EXAMPLES, Upstream

pytestmark = pytest.mark.long


class Terminal:
    """A program on a terminal of its own, and what it shows."""

    def __init__(self, prompt: str, upstream: Upstream) -> None:
        self._screen, inside = pty.openpty()
        self.shown = ""
        # The first process of a session that opens a terminal owns it: so Ctrl-C is a signal to the program.
        own_terminal = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>"$0"', os.ttyname(inside)]
        self.process = subprocess.Popen(
            [*own_terminal, sys.executable, EXAMPLES / "rich_terminal.py", *prompt.split()],
            env={**upstream.environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
            start_new_session=True,
        )
        self._inside = inside  # until the end: else a read that comes before the program's start would find nobody

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wait_for(self, text: str) -> None:
        """Until the terminal shows this text."""
        while text not in self.shown:
            assert select.select([self._screen], [], [], BOUND)[0], self.shown
            data = os.read(self._screen, 65536)
            self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode())

    def end(self) -> int:
        """Its exit code."""
        return self.process.wait(BOUND)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(BOUND)
        os.close(self._screen)
        os.close(self._inside)


@contextmanager
def terminal(prompt: str, upstream: Upstream) -> Iterator[Terminal]:
    running = Terminal(prompt, upstream)
    try:
        yield running
    finally:
        running.close()


def test_markdown_grows_on_the_terminal(upstream: Upstream) -> None:
    with terminal("Tell me about the Nile.", upstream) as screen:
        screen.wait_for("The Nile")
        upstream.seen.release()
        screen.wait_for("It is long,")
        upstream.seen.release()
        screen.wait_for("and old.")
        assert screen.end() == 0
        assert "#" not in screen.shown
        assert "*" not in screen.shown


def test_ctrl_c_ends_the_request(upstream: Upstream) -> None:
    with terminal("endless", upstream) as screen:
        screen.wait_for("and on and on")
        screen.type("\x03")
        assert upstream.left.wait(BOUND)
        assert screen.end() == 130
        assert "Traceback" not in screen.shown


def test_a_refusal_is_one_line(upstream: Upstream) -> None:
    with terminal("401", upstream) as screen:
        screen.wait_for("no answer: openai")
        assert screen.end() == 1
        assert "Traceback" not in screen.shown
