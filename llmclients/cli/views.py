"""The views of an answer: as it is, for pipes and files; and as Markdown that grows, for a terminal."""

# Theory of operation
# -------------------
# The main thread reads the answer's chunks, and only adds them, under a lock. A second thread writes to the terminal:
# at once when something has come, and then not before 30 ms are over. So what comes alone is shown at once, what comes
# fast is shown together, and nothing waits for a chunk that may never come. Before it writes, it has the history store
# what it is about to show.
#
# An error of that thread is raised in the main one, with the next chunk.

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from llmclients.cli.markdown.cells import clean
from llmclients.cli.markdown.stream import MarkdownStream
from llmclients.cli.markdown.styles import COLOURED, PLAIN, RESET, UNCOLOURED, Styles
from llmclients.config.environment import environ

if TYPE_CHECKING:
    from llmclients.cli.turns import Answer
    from llmclients.history import AnswerWriter
    from llmclients.types.messages import Message, ToolCall
    from llmclients.types.response import Chunk

__all__ = ["PlainView", "TerminalView", "status_line", "styles_for", "terminal_size"]

_INTERVAL = 0.03  # seconds
_WAITING = "…"
_LONGEST_CALL = 200


def styles_for(out: TextIO) -> Styles:
    """The looks that a stream takes: none where it is no terminal, or a dumb one; no colours with `NO_COLOR`."""
    if not out.isatty() or environ("TERM") == "dumb":
        return PLAIN
    return UNCOLOURED if environ("NO_COLOR") else COLOURED


def terminal_size() -> tuple[int, int]:
    """Columns and rows."""
    import shutil

    size = shutil.get_terminal_size()
    return max(size.columns, 10), max(size.lines, 4)


class PlainView:
    """Writes the text as it is, each piece when it comes; to a terminal without what that would act on."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._is_terminal = self._out.isatty()
        self._writer: AnswerWriter | None = None
        self._has_text = False

    def begin(self, writer: AnswerWriter) -> None:
        """An answer begins."""
        self._writer = writer

    def chunk(self, chunk: Chunk) -> None:
        """Write a piece."""
        assert self._writer is not None
        self._writer.write(chunk)
        if chunk.text:
            self._has_text = True
            self._out.write(clean(chunk.text) if self._is_terminal else chunk.text)
            self._out.flush()

    def end(self) -> None:
        """What follows, be it an error or the prompt, begins on a new line."""
        if self._has_text:
            self._out.write("\n")
            self._out.flush()
        self._has_text = False

    def tool(self, call: ToolCall, result: Message) -> None:
        """A call is told on stderr: the output is the model's."""
        print(clean(_call_line(call, result)), file=sys.stderr)


class TerminalView:
    """Writes Markdown to a terminal while it comes.

    Args:
        out: the terminal.
        styles: the looks.
        size: gives its columns and rows.
        shows_waiting: whether there is an ellipsis until something has come.
    """

    def __init__(
        self,
        out: TextIO,
        styles: Styles,
        size: Callable[[], tuple[int, int]] = terminal_size,
        *,
        shows_waiting: bool = True,
    ) -> None:
        self._out = out
        self._styles = styles
        self._size = size
        self._shows_waiting = shows_waiting
        self._lock = threading.Lock()
        self._has_news = threading.Event()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._writer: AnswerWriter | None = None
        self._markdown = MarkdownStream(size, styles)
        self._reasoning: MarkdownStream | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._is_waiting = False

    def begin(self, writer: AnswerWriter) -> None:
        """An answer begins."""
        self._writer = writer
        self._markdown = MarkdownStream(self._size, self._styles)
        self._reasoning = None
        self._failure = None
        self._over.clear()
        if self._shows_waiting:
            self._write(self._styles.painted(_WAITING, self._styles.faint))
            self._is_waiting = True
        self._thread = threading.Thread(target=self._paint_all, daemon=True)
        self._thread.start()

    def chunk(self, chunk: Chunk) -> None:
        """Add a piece."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            assert self._writer is not None
            self._writer.gather(chunk)
            if chunk.reasoning:
                self._thoughts.append(chunk.reasoning)
            if chunk.text:
                self._texts.append(chunk.text)
            if not (chunk.text or chunk.reasoning):
                return
        self._has_news.set()

    def end(self) -> None:
        """Show what is left."""
        self._over.set()
        self._has_news.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._writer is not None and self._failure is None:
                self._writer.flush()
            self._write(self._taken() + self._end_of_reasoning() + self._markdown.end() + RESET)

    def tool(self, call: ToolCall, result: Message) -> None:
        """Show what was called, and whether that failed."""
        self._write(self._styles.painted(clean(_call_line(call, result)), self._styles.faint) + "\n")

    def _paint_all(self) -> None:
        while not self._over.is_set():
            self._has_news.wait()
            self._has_news.clear()
            if self._over.is_set():
                return
            try:
                with self._lock:
                    assert self._writer is not None
                    self._writer.flush()
                    self._write(self._taken())
            except BaseException as error:  # noqa: BLE001 - for the main thread
                self._failure = error
                return
            self._over.wait(_INTERVAL)

    def _taken(self) -> str:
        """What has come, as it is to be written."""
        thought = answered = ""
        if self._thoughts:
            self._reasoning = self._reasoning or MarkdownStream(self._size, PLAIN)
            self._reasoning.feed("".join(self._thoughts))
            thought = self._styles.painted(self._reasoning.taken(), self._styles.faint)
            self._thoughts.clear()
        if self._texts:
            self._markdown.feed("".join(self._texts))
            self._texts.clear()
            answered = self._end_of_reasoning() + self._markdown.taken()
        return thought + answered

    def _end_of_reasoning(self) -> str:
        reasoning, self._reasoning = self._reasoning, None
        return self._styles.painted(reasoning.end(), self._styles.faint) + "\n" if reasoning else ""

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._is_waiting:
            self._is_waiting = False
            text = "\r\x1b[K" + text
        if "\x1b[J" in text:  # rows are written again: terminals that can show both at once
            text = f"\x1b[?2026h{text}\x1b[?2026l"
        self._out.write(text)
        self._out.flush()


def status_line(answer: Answer, *, with_cost: bool = True) -> str:
    """What an answer took, on one line."""
    response, usage = answer.response, answer.response.usage
    parts = [response.model or response.provider or ""]
    if answer.first is not None:
        parts.append(f"first token {answer.first:.2f} s")
    parts.append(f"all {answer.seconds:.2f} s")
    if usage is not None:
        counts = ("?" if count is None else f"{count:,}" for count in (usage.input_tokens, usage.output_tokens))
        parts.append(f"{' + '.join(counts)} tokens")
    if with_cost and answer.cost is not None:
        parts.append(f"${answer.cost:.6f}".rstrip("0").rstrip("."))
    if response.finish_reason not in (None, "stop", "tool_calls"):
        parts.append(f"ended by: {response.finish_reason}")
    return " · ".join(filter(None, parts))


def _call_line(call: ToolCall, result: Message) -> str:
    text = " ".join(f"{call.name} {call.arguments_text} → {result.text}".split())
    return f"{text[:_LONGEST_CALL]}…" if len(text) > _LONGEST_CALL else text
