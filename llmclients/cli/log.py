"""The commands of `llmclients log`, one function each: what was typed in, what it prints on stdout, an exit code out.

They raise the library's errors and leave it to `main` to show them. The history is imported by the commands, so that
the others do not load SQLite. What is shown was written by models and by files: a terminal gets it without control
characters. An export is as it is.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING

from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.history import History, StoredConversation

__all__ = ["delete", "export", "print_id", "print_path", "search", "show", "show_list"]

_HEADS = ("ID", "LAST", "TURNS", "FROM", "MODEL", "TITLE")
_FIRST_DROPPED = ("FROM", "TURNS", "MODEL", "LAST")
_TITLE = 24
"""How many columns a title needs for its reader to know it."""

_GAP = "  "


def show_list(limit: int, *, as_json: bool) -> int:
    """Print the conversations that were used last, one a line."""
    with _open() as history:
        found = history.conversations(limit)
    if as_json:
        print(json.dumps([one.to_dict() for one in found], ensure_ascii=False))
        return 0
    for line in _lines([_HEADS, *map(_row, found)]) if found else ():
        print(line)
    if not found:
        print(f"llmclients: {_none_yet()}", file=sys.stderr)
    return 0


def _row(conversation: StoredConversation) -> tuple[str, ...]:
    model = "/".join(filter(None, (conversation.provider, conversation.model)))
    title = printable(conversation.title or "").replace("\n", " ")
    last = _when(conversation.updated)
    return conversation.id, last, str(conversation.length), conversation.source, printable(model), title


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows of a table; of a narrow terminal's, without the columns that leave the titles no room."""
    from llmclients.cli.markdown.cells import columns, cut

    kept = [*range(len(_HEADS))]
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    *_, titles = kept
    if room is not None:
        for dropped in map(_HEADS.index, _FIRST_DROPPED):
            taken = sum(widths[column] + len(_GAP) for column in kept[:-1])
            if room - taken >= min(widths[titles], _TITLE):
                break
            kept.remove(dropped)
    lines = []
    for row in rows:
        line = _GAP.join(row[column] + " " * (widths[column] - columns(row[column])) for column in kept).rstrip()
        lines.append(line if room is None or columns(line) <= room else cut(line, room - 1)[0] + "…")
    return lines


def show(identifier: str | None, *, as_json: bool) -> int:
    """Print a conversation, the branch that is shown; by default the last one."""
    with _open() as history:
        conversation = _find(history, identifier)
        if as_json:
            turns = [turn.to_dict() for turn in history.turns(conversation)]
            print(json.dumps({**conversation.to_dict(), "turns": turns}, ensure_ascii=False))
        else:
            print(printable(history.export_markdown(conversation)), end="")
    return 0


def search(text: str, limit: int, *, as_json: bool) -> int:
    """Print the turns with all of these words, the newest first. The exit code is 1 where there are none."""
    with _open() as history:
        hits = history.search(text, limit)
    if as_json:
        print(json.dumps([{**hit._asdict(), "snippet": hit.snippet} for hit in hits], ensure_ascii=False))
    else:
        for hit in hits:
            snippet = " ".join(printable(hit.snippet).split())
            print(f"{hit.conversation}  {_when(hit.time)}  {hit.role}: {snippet}")
    return 0 if hits else 1


def export(identifier: str | None, format_name: str) -> int:
    """Print a conversation, or all of them, as JSON Lines or as Markdown."""
    with _open() as history:
        if format_name == "jsonl":
            known = None if identifier is None else history.conversation(identifier)
            for line in history.export_jsonl(known):
                print(line)
            return 0
        found = (
            [history.conversation(identifier)] if identifier is not None else history.conversations(limit=None)[::-1]
        )
        print("\n".join(map(history.export_markdown, found)), end="")
    return 0


def print_id(identifier: str | None) -> int:
    """Print the whole id of a conversation; by default of the last one."""
    with _open() as history:
        print(_find(history, identifier).id)
    return 0


def delete(identifier: str, *, is_sure: bool) -> int:
    """Remove a conversation, after a question. The exit code is 1 where the answer is not yes."""
    with _open() as history:
        conversation = history.conversation(identifier)
        if not is_sure and not _asked(f"Delete {conversation.id}, {printable(conversation.title or 'Untitled')!r}?"):
            return 1
        history.delete(conversation)
    return 0


def print_path() -> int:
    """Print where the history is."""
    from llmclients.history import history_path

    print(history_path() or "off")
    return 0


def printable(text: str) -> str:
    """The text without what a terminal would act on."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _asked(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigurationError("delete asks first, and there is no terminal to ask: give --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _open() -> History:
    """The user's history. One that there is not yet is not begun by who looks at it."""
    from llmclients.history import History, history_path

    path = history_path()
    if path is None:
        raise ConfigurationError("the history is off (LLMCLIENTS_HISTORY=off)", argument="LLMCLIENTS_HISTORY")
    return History.open(path) if path.exists() else History.in_memory()


def _find(history: History, identifier: str | None) -> StoredConversation:
    if identifier is not None:
        return history.conversation(identifier)
    for conversation in history.conversations(limit=1):
        return conversation
    from llmclients.history import ConversationNotFoundError

    raise ConversationNotFoundError(_none_yet())


def _none_yet() -> str:
    from llmclients.history import history_path

    return f"there are no conversations yet in {history_path()}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
