"""Full-text search over turns and titles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmclients.history.database import Database
from llmclients.history.records import SearchHit

__all__ = ["as_query", "find_conversations", "find_turns"]

_BEGIN, _END = "\x02", "\x03"  # around what was found; in a text they mean nothing
_SNIPPET = 24  # tokens
_SCANNED = 10_000
"""How many turns are looked at, the newest first, to find out which conversations they are of."""

_TERM = re.compile(r'"([^"]*)"|(\S+)')


def as_query(text: str) -> str:
    """What a user types, as a query of FTS5 that has no syntax error; empty if nothing can be searched for.

    Each term is quoted; FTS5 joins them by AND. The last one is a beginning, unless the user has closed its quotes.
    """
    found = []
    for match in _TERM.finditer(text.replace("\0", " ")):
        phrase = match[2] if match[1] is None else match[1]
        phrase = phrase.replace('"', " ")
        if any(character.isalnum() for character in phrase):
            found.append(f'"{phrase}"' + ("*" if match[1] is None and match.end() == len(text.rstrip()) else ""))
    return " ".join(found)


def find_turns(database: Database, text: str, limit: int, conversation: int | None) -> list[SearchHit]:
    """The turns with all terms, the newest first."""
    query = as_query(text)
    if not query:
        return []
    condition = "" if conversation is None else "AND t.conversation = ?"
    values: Sequence[Any] = (query,) if conversation is None else (query, conversation)
    rows = database.rows(
        "SELECT c.id, c.title, t.id, t.role, t.started, "
        f"snippet(turn_index, 0, '{_BEGIN}', '{_END}', '…', {_SNIPPET}) "
        "FROM turn_index CROSS JOIN turn AS t ON t.id = turn_index.rowid "
        "CROSS JOIN conversation AS c ON c.number = t.conversation "
        f"WHERE turn_index MATCH ? {condition} ORDER BY turn_index.rowid DESC LIMIT ?",
        (*values, limit),
    )
    return [SearchHit._make((*row[:5], _pieces(row[5]))) for row in rows]


def find_conversations(database: Database, text: str) -> list[int]:
    """The rows of the conversations with all terms in one turn, or in the title."""
    query = as_query(text)
    if not query:
        return []
    rows = database.rows(
        "SELECT number FROM title_index CROSS JOIN conversation ON number = title_index.rowid "
        "WHERE title_index MATCH ? "
        "UNION SELECT conversation FROM (SELECT rowid AS id FROM turn_index WHERE turn_index MATCH ? "
        "ORDER BY rowid DESC LIMIT ?) AS hit CROSS JOIN turn ON turn.id = hit.id",
        (query, query, _SCANNED),
    )
    return [number for (number,) in rows]


def _pieces(marked: str) -> tuple[tuple[str, bool], ...]:
    """A snippet, cut at its marks."""
    pieces: list[tuple[str, bool]] = []
    for index, part in enumerate(marked.split(_BEGIN)):
        inside, end, after = part.partition(_END)
        if index and end:
            pieces.append((inside, True))
            part = after
        if part:
            pieces.append((part.replace(_END, ""), False))
    return tuple(pieces)
