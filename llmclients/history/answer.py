"""`AnswerWriter`: writes an answer into the history while it streams, so that what was shown is not lost."""

# Theory of operation
# -------------------
# The rule is: first stored, then shown. `write` stores a chunk before it returns. Who shows several chunks at once
# gathers them, and stores them all with one `flush` before it shows them: a transaction costs about as much as a
# hundred chunks, whatever it holds. What was stored is with the system, and outlives this process even when that is
# killed.
#
# A turn is `streaming` until `complete` or `broke` is called. Both may be called once; then the writer is closed.

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.errors import APIError, InvalidRequestError, ToolLoopError
from llmclients.history.database import Database
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.types.messages import ToolCall

__all__ = [
    "AnswerWriter",
    "answer_columns",
    "as_json",
    "calls_as_json",
    "error_columns",
    "errors_as_json",
    "finish_turn",
    "gathered_columns",
    "storable",
]

_TEXT, _REASONING, _TOOLS = "text", "reasoning", "tools"


class AnswerWriter:
    """An answer that streams: made by `History.answer`, not by hand.

    As a context manager it ends the answer however the block ends: by an exception, the answer is stored as broken by
    it; without `complete`, as left before its end.

    Attributes:
        turn: the id of the answer's turn.
    """

    def __init__(self, database: Database, turn: int) -> None:
        self.turn = turn
        self._database = database
        self._gathered: dict[str, list[Any]] = {_TEXT: [], _REASONING: [], _TOOLS: []}
        self._is_restarted = False
        self._number = 0
        self._first_token: float | None = None
        self._cost: float | None = None
        self._is_open = True

    def write(self, chunk: Chunk | str) -> None:
        """Store a chunk, or text, before it is shown.

        Raises:
            HistoryError: it could not be stored.
        """
        self.gather(chunk)
        self.flush()

    def gather(self, chunk: Chunk | str) -> None:
        """Keep a chunk, or text, for the next `flush`, which is to come before it is shown."""
        if isinstance(chunk, str):
            self._gathered[_TEXT].append(chunk)
            return
        if chunk.restarted:
            self._gathered = {_TEXT: [], _REASONING: [], _TOOLS: []}
            self._is_restarted = True
        if chunk.text:
            self._gathered[_TEXT].append(chunk.text)
        if chunk.reasoning:
            self._gathered[_REASONING].append(chunk.reasoning)
        if chunk.tool_calls:
            self._gathered[_TOOLS] += [piece.model_dump(exclude_none=True) for piece in chunk.tool_calls]
        if chunk.usage is not None:
            self._cost = cost_in(chunk.raw)

    def flush(self) -> None:
        """Store what was gathered.

        Raises:
            HistoryError: it could not be stored.
        """
        self._check_open()
        rows: list[tuple[int, int, str, str]] = []
        for kind, pieces in self._gathered.items():
            if pieces:
                data = json.dumps(pieces) if kind == _TOOLS else "".join(pieces)
                rows.append((self.turn, self._number + len(rows), kind, storable(data)))
        if not rows and not self._is_restarted:
            return
        with self._database.transaction() as connection:
            if self._is_restarted:
                connection.execute("DELETE FROM piece WHERE turn = ?", (self.turn,))
            if self._first_token is None and rows:
                self._first_token = time.time()
                statement = "UPDATE turn SET first_token = ? WHERE id = ?"
                connection.execute(statement, (self._first_token, self.turn))
            connection.executemany("INSERT INTO piece (turn, number, kind, data) VALUES (?, ?, ?, ?)", rows)
        self._number += len(rows)
        self._gathered = {_TEXT: [], _REASONING: [], _TOOLS: []}
        self._is_restarted = False

    def complete(self, response: ChatResponse, *, cost: float | None = None) -> None:
        """The answer is whole: store it, before it is shown as that.

        Args:
            response: what the stream's `response` is at its end.
            cost: in US dollars, if the caller knows it. The provider's own word, where it sends one, needs no caller.

        Raises:
            HistoryError: it could not be stored.
        """
        known = self._cost if cost is None else cost
        self._end(answer_columns(response, known) | {"state": "complete"})

    def broke(self, error: BaseException | str, *, cost: float | None = None) -> None:
        """The answer broke off: store why, and keep what had come of it.

        Args:
            error: why; an `APIError` brings what had come in its `partial`, a `ToolLoopError` in its `response`.
            cost: as in `complete`.

        Raises:
            HistoryError: it could not be stored.
        """
        partial = error.partial if isinstance(error, APIError) else None
        if isinstance(error, ToolLoopError):
            partial = error.response
        known = self._cost if cost is None else cost
        columns = {} if partial is None else answer_columns(partial, known)
        if not columns.get("text"):  # then what was written is all there is
            columns = {name: value for name, value in columns.items() if name not in ("text", "reasoning")}
        self._end(columns | error_columns(error) | {"cost": known})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_open:
            self.broke("left before its end" if exc_value is None else exc_value)

    def _end(self, columns: dict[str, Any]) -> None:
        self._check_open()
        with self._database.transaction():
            self.flush()
            finish_turn(self._database, self.turn, columns | {"ended": time.time()})
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise InvalidRequestError("this answer has ended: History.answer() begins another")


def finish_turn(database: Database, turn: int, columns: dict[str, Any]) -> None:
    """Write these columns of a turn; what they do not have is gathered from its pieces, which are removed."""
    with database.transaction() as connection:
        before = connection.execute("SELECT text, reasoning FROM turn WHERE id = ?", (turn,)).fetchone()
        pieces = connection.execute("SELECT kind, data FROM piece WHERE turn = ? ORDER BY number", (turn,)).fetchall()
        unset = {"writer": None, "error_kind": None, "error_message": None}
        columns = {**unset, **gathered_columns(pieces, *before), **columns}
        names = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(f"UPDATE turn SET {names} WHERE id = ?", (*map(storable, columns.values()), turn))
        connection.execute("DELETE FROM piece WHERE turn = ?", (turn,))
        statement = "UPDATE conversation SET updated = ? WHERE number = (SELECT conversation FROM turn WHERE id = ?)"
        connection.execute(statement, (time.time(), turn))


def gathered_columns(
    pieces: Iterable[tuple[str, str]], text: str | None = None, reasoning: str | None = None
) -> dict[str, Any]:
    """The columns that the pieces of an answer make, behind the text and the reasoning that its turn has already.

    It has some where the answer was taken for one of a dead process, and went on.
    """
    texts: dict[str, list[str]] = {_TEXT: [text or ""], _REASONING: [reasoning or ""]}
    calls: dict[int, dict[str, str]] = {}
    for kind, data in pieces:
        if kind in texts:
            texts[kind].append(data)
            continue
        for piece in map(ToolCallDelta.model_validate, json.loads(data)):
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"], call["name"] = piece.id or call["id"], piece.name or call["name"]
            call["arguments"] += piece.arguments
    columns: dict[str, Any] = {name: "".join(found) for name, found in texts.items() if any(found)}
    if calls:
        columns["tool_calls"] = json.dumps([calls[index] for index in sorted(calls)])
    return columns


def answer_columns(response: ChatResponse, cost: float | None) -> dict[str, Any]:
    """The columns of an answer. A cost that the caller does not know may be in the reply."""
    data = response.provider_data
    usage = response.usage
    return {
        "text": response.text,
        "reasoning": response.reasoning,
        "tool_calls": calls_as_json(response.tool_calls),
        "provider_data": None if data is None else as_json(data),
        "provider": response.provider,
        "model": response.model,
        "usage": None if usage is None else as_json(usage.model_dump(exclude_none=True)),
        "cost": cost_in(response.raw) if cost is None else cost,
        "finish_reason": response.finish_reason,
    }


def error_columns(error: BaseException | str) -> dict[str, Any]:
    """The columns of an answer that broke off: by an error, or for a reason in words."""
    kind = "Interrupted" if isinstance(error, str) else type(error).__name__
    columns: dict[str, Any] = {"state": "broken", "error_kind": kind, "error_message": str(error)}
    if isinstance(error, APIError) and error.previous_errors:
        columns["previous_errors"] = errors_as_json(error.previous_errors)
    return columns


def calls_as_json(calls: Sequence[ToolCall] | None) -> str | None:
    """The calls of a turn; None without any."""
    rows: list[dict[str, Any]] = []
    for call in calls or ():
        data = (
            {} if call.provider_data is None else {"provider_data": call.provider_data}
        )  # a signature goes back with it
        rows.append({"id": call.id, "name": call.name, "arguments": call.arguments_text, **data})
    return as_json(rows) if rows else None


def errors_as_json(errors: Sequence[BaseException]) -> str:
    """Why attempts failed, a line for each."""
    return as_json([f"{type(error).__name__}: {error}" for error in errors])


def as_json(value: Any) -> str:
    """JSON; of a value that it has not, its text."""
    return json.dumps(value, default=str)


def storable(value: Any) -> Any:
    """The value as SQLite takes it: in a text, half a surrogate pair becomes a question mark."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "replace").decode()


def cost_in(raw: Any) -> float | None:
    """What an answer cost, in US dollars, where its provider says so beside the token counts.

    `usage.cost` is a number at OpenRouter (https://openrouter.ai/docs/use-cases/usage-accounting).
    """
    usage = raw.get("usage") if isinstance(raw, dict) else None
    cost = usage.get("cost") if isinstance(usage, dict) else None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < float("inf"):
        return None
    return float(cost)
