"""Two answers side by side: the same question to two models at once."""

# Theory of operation
# -------------------
# Each answer is read by a thread of its own, and rendered for half the terminal. A row of the two is written once both
# have it: rows are written once and not again, so the slower answer holds the faster one's rows back. Where the output
# is no terminal, or too narrow a one, the answers come one below the other.

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from llmclients.cli.failures import exit_code, terminal_message
from llmclients.cli.given import is_provider
from llmclients.cli.markdown.stream import MarkdownStream
from llmclients.cli.markdown.styles import Styles
from llmclients.cli.markdown.tables import shown_width
from llmclients.cli.talk import Setup, Talk
from llmclients.cli.views import status_line, styles_for, terminal_size
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.history import AnswerWriter, History, StoredConversation, StoredTurn
    from llmclients.types.messages import Message, ToolCall
    from llmclients.types.response import Chunk

__all__ = ["ask_again", "ask_both"]

_GAP = " │ "
_NARROWEST = 24


class _Column:
    """One answer: a view that keeps what it is to show, and the thread that reads it."""

    def __init__(self, talk: Talk, width: int, height: int, styles: Styles, news: SimpleQueue[None]) -> None:
        self.talk = talk
        self.rows: list[str] = [styles.painted(talk.setup.label, styles.strong)]
        self.is_over = False
        self.error: Exception | None = None
        self.last = ""
        self._news = news
        self._lock = threading.Lock()
        self._open = ""
        self._markdown = MarkdownStream(lambda: (width, height), styles, can_rewrite=False)
        self._writer: AnswerWriter | None = None

    def begin(self, writer: AnswerWriter) -> None:
        self._writer = writer

    def chunk(self, chunk: Chunk) -> None:
        assert self._writer is not None
        self._writer.write(chunk)
        self._markdown.feed(chunk.text)
        self._keep(self._markdown.taken())

    def end(self) -> None:
        self._keep(self._markdown.end())

    def tool(self, call: ToolCall, result: Message) -> None:
        self._keep(f"{call.name} → {' '.join(result.text.split())[:40]}\n")

    def _keep(self, text: str) -> None:
        *rows, self._open = (self._open + text).split("\n")
        if rows:
            with self._lock:
                self.rows += rows
            self._news.put(None)

    def read(self, question: StoredTurn, *, stream: bool) -> None:
        """Read the answer: what a thread does."""
        try:
            self.last = status_line(self.talk.answer(question, self, stream=stream))
        except Exception as error:  # noqa: BLE001 - shown below the column
            self.error = error
            self.last = f"broke off: {terminal_message(error)}"
        self.is_over = True
        self._news.put(None)


def ask_both(
    history: History,
    conversation: StoredConversation | None,
    setup: Setup,
    content: Any,
    arguments: argparse.Namespace,
) -> int:
    """Ask two the same. The second answer is a branch beside the first.

    Raises:
        ConfigurationError: one of them cannot be asked.
    """
    if arguments.json or arguments.save:
        raise ConfigurationError("--again shows two answers: without --json and --save")
    talk = Talk(setup, history, conversation)
    talk.client()
    other = _other(talk, arguments.again)
    question = talk.ask(content)
    return _side_by_side([talk, _joined(other, talk)], question, stream=arguments.stream)


def ask_again(talk: Talk, question: StoredTurn, name: str) -> None:
    """Ask the one of a conversation, and another one, a question that was asked before."""
    other = _joined(_other(talk, name), talk)
    _side_by_side([talk, other], question, stream=True)


def _other(talk: Talk, name: str) -> Talk:
    provider, _, model = name.partition("/")
    if not is_provider(provider):  # a model of the same provider, whose name may have slashes
        provider, model = talk.setup.provider, name
    other = Talk(
        replace(talk.setup, provider=provider, model=model or None, base_url=_address(talk, provider)), talk.history
    )
    other.client()
    return other


def _address(talk: Talk, provider: str) -> str | None:
    return talk.setup.base_url if provider == talk.setup.provider else None


def _joined(other: Talk, talk: Talk) -> Talk:
    other.conversation = talk.conversation
    return other


def _side_by_side(talks: Sequence[Talk], question: StoredTurn, *, stream: bool) -> int:
    styles = styles_for(sys.stdout)
    width, height = terminal_size()
    column_width = (width - len(_GAP) * (len(talks) - 1)) // len(talks)
    news: SimpleQueue[None] = SimpleQueue()
    is_wide = any(styles) and column_width >= _NARROWEST
    found = [_Column(talk, column_width if is_wide else width, height, styles, news) for talk in talks]
    threads = [
        threading.Thread(target=column.read, args=(question,), kwargs={"stream": stream}, daemon=True)
        for column in found
    ]
    try:
        for thread in threads:
            thread.start()
        if is_wide:
            _write_rows(found, column_width, styles, news)
        else:
            _write_in_turn(found, threads)
    finally:
        for talk in talks:
            talk.close()  # which ends the answers that are left
        for thread in threads:
            thread.join()
    return max((exit_code(column.error) for column in found if column.error is not None), default=0)


def _write_rows(found: Sequence[_Column], width: int, styles: Styles, news: SimpleQueue[None]) -> None:
    done = 0
    gap = styles.painted(_GAP, styles.faint)
    while True:
        is_over = all(column.is_over for column in found)
        ends = [len(column.rows) for column in found]
        known = (
            max(ends)
            if is_over
            else min((end for end, column in zip(ends, found, strict=True) if not column.is_over), default=max(ends))
        )
        while done < known:
            cells = [column.rows[done] if done < len(column.rows) else "" for column in found]
            padded = [cell + " " * max(width - shown_width(cell), 0) for cell in cells[:-1]]
            print(gap.join([*padded, cells[-1]]), flush=True)
            done += 1
        if is_over:
            break
        news.get()
    for column in found:
        name = f"{column.talk.setup.label}: " if column.error else ""
        print(styles.painted(f"{name}{column.last}", styles.error if column.error else styles.faint))
    print()


def _write_in_turn(found: Sequence[_Column], threads: Sequence[threading.Thread]) -> None:
    for column, thread in zip(found, threads, strict=True):
        thread.join()
        print("\n".join(column.rows))
        print(f"({column.last})\n")
