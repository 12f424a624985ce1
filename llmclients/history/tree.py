"""The turns of a conversation as a tree: reading a branch, adding a turn, turns that a killed process left behind."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llmclients.history.answer import as_json, calls_as_json, finish_turn, gathered_columns, storable
from llmclients.history.database import ConversationNotFoundError, Database
from llmclients.history.media import stored_parts, write_blobs
from llmclients.history.records import TURN_COLUMNS, StoredTurn, as_turn
from llmclients.history.writers import Writers
from llmclients.types.messages import Message

__all__ = ["add_message", "add_turn", "break_dead_turns", "message_columns", "newest_leaf", "read_all", "read_branch"]

_BRANCH = f"""
WITH RECURSIVE branch (id, parent, rest) AS (
    SELECT id, parent, ? FROM turn WHERE id = ?
    UNION ALL
    SELECT turn.id, turn.parent, rest - 1 FROM branch JOIN turn ON turn.id = branch.parent WHERE rest > 1
)
SELECT {TURN_COLUMNS} FROM branch CROSS JOIN turn AS t ON t.id = branch.id ORDER BY t.depth
"""
_ALL = f"SELECT {TURN_COLUMNS} FROM turn AS t WHERE t.conversation = ? ORDER BY t.id"
_NO_LIMIT = 2**62
_ID = TURN_COLUMNS.split(", ").index("t.id")
_PARENT = TURN_COLUMNS.split(", ").index("t.parent")


def read_branch(database: Database, number: int, conversation: str, leaf: int | None, limit: int | None) -> list[Any]:
    """The last turns of the branch that ends with `leaf`, the first of them first."""
    if leaf is None:
        return []
    with database.reading() as connection:
        rows = connection.execute(_BRANCH, (_NO_LIMIT if limit is None else limit, leaf)).fetchall()
        return _turns(connection, number, conversation, rows)


def read_all(database: Database, number: int, conversation: str) -> list[StoredTurn]:
    """All turns of a conversation, of all branches, in the order in which they were added."""
    with database.reading() as connection:
        return _turns(connection, number, conversation, connection.execute(_ALL, (number,)).fetchall())


def _turns(connection: sqlite3.Connection, number: int, conversation: str, rows: list[Any]) -> list[StoredTurn]:
    families: dict[int | None, list[int]] = {}
    for parent, turn in _among(
        connection, "SELECT parent, id FROM turn WHERE parent IN", "id", [r[_PARENT] for r in rows]
    ):
        families.setdefault(parent, []).append(turn)
    if any(row[_PARENT] is None for row in rows):
        statement = "SELECT id FROM turn WHERE parent IS NULL AND conversation = ? ORDER BY id"
        families[None] = [turn for (turn,) in connection.execute(statement, (number,))]
    pieces: dict[int, list[tuple[str, str]]] = {}
    statement = "SELECT turn, kind, data FROM piece WHERE turn IN"
    for turn, kind, data in _among(connection, statement, "turn, number", [row[_ID] for row in rows]):
        pieces.setdefault(turn, []).append((kind, data))
    turns = [as_turn(row, conversation, tuple(families[row[_PARENT]])) for row in rows]
    return [_with_pieces(turn, pieces[turn.id]) if turn.id in pieces else turn for turn in turns]


def _among(connection: sqlite3.Connection, statement: str, order: str, keys: Sequence[int | None]) -> Iterator[Any]:
    """The rows of a statement that ends with `IN`, for keys of any number, each once."""
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), 500):  # an older SQLite takes 999 values in a statement
        some = distinct[start : start + 500]
        yield from connection.execute(f"{statement} ({', '.join('?' * len(some))}) ORDER BY {order}", some)


def _with_pieces(turn: StoredTurn, pieces: list[tuple[str, str]]) -> StoredTurn:
    columns = gathered_columns(pieces, turn.text, turn.reasoning)
    if "tool_calls" in columns:
        columns["tool_calls"] = json.loads(columns["tool_calls"])
    return replace(turn, **columns)


def newest_leaf(connection: sqlite3.Connection, turn: int) -> int:
    """The end of the branch through a turn: of several, the newest child at each fork."""
    while True:
        (child,) = connection.execute("SELECT max(id) FROM turn WHERE parent = ?", (turn,)).fetchone()
        if child is None:
            return turn
        turn = child


def message_columns(message: Message) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a message, and its blobs by hash."""
    has_parts = isinstance(message.content, list)
    parts, blobs = stored_parts(message.parts if has_parts else [])
    return {
        "role": message.role,
        "text": message.text,
        "parts": as_json(parts) if has_parts else None,
        "reasoning": message.reasoning,
        "tool_calls": calls_as_json(message.tool_calls),
        "tool_call_id": message.tool_call_id,
        "name": message.name,
        "is_error": message.is_error,
        "provider_data": None if message.provider_data is None else as_json(message.provider_data),
    }, blobs


def add_message(
    database: Database, number: int, parent: int | None, message: Message, extra: dict[str, Any] | None = None
) -> int:
    """Add a message below its parent, as the end of the branch that is shown. Gives the turn's id."""
    columns, blobs = message_columns(message)
    with database.transaction() as connection:
        turn = add_turn(database, number, parent, {**columns, "state": "complete", **(extra or {})})
        write_blobs(connection, turn, blobs)
        if message.role == "user":
            statement = "UPDATE conversation SET title = ? WHERE number = ? AND title IS NULL"
            connection.execute(statement, (_title(message), number))
    return turn


def add_turn(database: Database, number: int, parent: int | None, columns: dict[str, Any]) -> int:
    """Add a turn with these columns below its parent, as the end of the branch that is shown. Gives its id.

    Raises:
        ConversationNotFoundError: the conversation has no such turn.
    """
    now = time.time()
    with database.transaction() as connection:
        depth = 0
        if parent is not None:
            found = connection.execute(
                "SELECT depth FROM turn WHERE id = ? AND conversation = ?", (parent, number)
            ).fetchone()
            if found is None:
                raise ConversationNotFoundError(f"the conversation has no turn {parent}")
            depth = found[0] + 1
        columns = {"conversation": number, "parent": parent, "depth": depth, "started": now, **columns}
        statement = f"INSERT INTO turn ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        turn = connection.execute(statement, tuple(map(storable, columns.values()))).lastrowid
        assert turn is not None
        connection.execute("UPDATE conversation SET leaf = ?, updated = ? WHERE number = ?", (turn, now, number))
    return turn


def break_dead_turns(database: Database, writers: Writers | None) -> int:
    """Turns that stream, and whose process is dead, become broken. Gives how many there were."""
    found: Sequence[tuple[int, str | None]] = database.rows("SELECT id, writer FROM turn WHERE state = 'streaming'")
    dead = [turn for turn, writer in found if writer is None or (writers is not None and not writers.is_alive(writer))]
    reason = {"state": "broken", "error_kind": "ProcessEnded", "error_message": "its process ended in the middle of it"}
    for turn in dead:
        with database.transaction() as connection:  # another process may have found it as well
            state = connection.execute("SELECT state FROM turn WHERE id = ?", (turn,)).fetchone()
            if state is not None and state[0] == "streaming":
                finish_turn(database, turn, reason)
    return len(dead)


def _title(message: Message) -> str | None:
    """The question's beginning, on one line."""
    line = " ".join(storable(message.text[:1000]).split())
    return line[:60].rstrip() + "…" if len(line) > 60 else line or None
