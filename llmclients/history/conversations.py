"""`Conversations`: the half of a `History` that is about the file, and about conversations as a whole."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.errors import InvalidRequestError
from llmclients.history.answer import as_json, storable
from llmclients.history.database import ConversationNotFoundError, Database
from llmclients.history.paths import history_path
from llmclients.history.records import CONVERSATION_COLUMNS, StoredConversation, as_conversation
from llmclients.history.search import find_conversations
from llmclients.history.tree import break_dead_turns
from llmclients.history.writers import Writers

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Conversations", "id_of"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SETTINGS = ("provider", "model", "system", "options")


class Conversations:
    """The file, and the conversations in it."""

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._database = database
        self._writers = None if database.path is None else Writers(database.path)
        self.recover()

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Open a history, or begin one: the file, and the folders to it, for this user alone.

        Args:
            path: the file; default: `history_path()`. Where `LLMCLIENTS_HISTORY` is `off`, and no path is given, the
                history is in memory, and ends with the object.

        Raises:
            ConfigurationError: where the file is to be is not known.
            HistoryError: it cannot be opened, or is of a newer version.
            DamagedHistoryError: it is damaged, or no history; it is left as it is.
        """
        given = history_path() if path is None else Path(path)
        return cls(Database(given and given.absolute()))

    @classmethod
    def in_memory(cls) -> Self:
        """A history without a file, for as long as the object lives."""
        return cls(Database(None))

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()
        if self._writers is not None:
            self._writers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"History({str(self.path)!r})" if self.path else "History.in_memory()"

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: the path; whoever loads it opens the file."""
        if self.path is None:
            raise TypeError("a history in memory cannot be pickled")
        return type(self).open, (self.path,)

    def recover(self) -> int:
        """Mark answers whose process ended in the middle of them as broken: how many. Opening does it as well."""
        return break_dead_turns(self._database, self._writers)

    # --- conversations ------------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        title: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        system: str | None = None,
        source: str = "library",
        options: Mapping[str, Any] | None = None,
    ) -> StoredConversation:
        """Begin a conversation.

        Args:
            title: default: the beginning of the first question.
            source: who begins it: `terminal`, `page` or `library`.
            options: of its calls; values that JSON has.
        """
        now = time.time()
        values = (_new_id(now), title, now, now, provider, model, system, source, as_json(dict(options or {})))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO conversation (id, title, created, updated, provider, model, system, source, options) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                tuple(map(storable, values)),
            )
        return self.conversation(values[0])

    def conversations(
        self,
        limit: int = 50,
        *,
        before: StoredConversation | str | None = None,
        search: str | None = None,
        source: str | None = None,
    ) -> list[StoredConversation]:
        """The conversations that were used last, the last one first.

        Args:
            limit: how many, at the most.
            before: the last one of the page before this one.
            search: only those with this in the title or a turn, as `search` reads it.
            source: only those that this source began.
        """
        conditions, values = ["1"], list[Any]()
        if before is not None:
            last = self.conversation(id_of(before))
            conditions.append("(c.updated, c.number) < (?, (SELECT number FROM conversation WHERE id = ?))")
            values += [last.updated, last.id]
        if source is not None:
            conditions.append("c.source = ?")
            values.append(source)
        if search is not None:
            numbers = find_conversations(self._database, search)
            conditions.append("c.number IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(numbers))
        rows = self._database.rows(
            f"SELECT {CONVERSATION_COLUMNS} FROM conversation AS c WHERE {' AND '.join(conditions)} "
            "ORDER BY c.updated DESC, c.number DESC LIMIT ?",
            (*values, limit),
        )
        return [as_conversation(row) for row in rows]

    def conversation(self, id_or_prefix: str) -> StoredConversation:
        """The conversation with this id, or whose id alone begins like that.

        Raises:
            ConversationNotFoundError: there is none, or there are several.
        """
        rows = self._database.rows(
            f"SELECT {CONVERSATION_COLUMNS} FROM conversation AS c WHERE c.id >= ? AND c.id < ? ORDER BY c.id LIMIT 2",
            (id_or_prefix, id_or_prefix + "\U0010ffff"),
        )
        if not id_or_prefix or not rows:
            raise ConversationNotFoundError(f"there is no conversation {id_or_prefix!r}")
        if len(rows) > 1 and rows[0][0] != id_or_prefix:
            raise ConversationNotFoundError(f"several conversations begin with {id_or_prefix!r}: give more of the id")
        return as_conversation(rows[0])

    def rename(self, conversation: StoredConversation | str, title: str) -> StoredConversation:
        """Give it another title."""
        return self._update(conversation, {"title": title})

    def configure(self, conversation: StoredConversation | str, **settings: Any) -> StoredConversation:
        """Change what it goes on with: any of `provider`, `model`, `system`, `options`.

        Raises:
            InvalidRequestError: something else is given.
        """
        for name in settings:
            if name not in _SETTINGS:
                raise InvalidRequestError(f"a conversation has no {name!r}, but {', '.join(_SETTINGS)}", argument=name)
        if "options" in settings:
            settings["options"] = as_json(dict(settings["options"] or {}))
        return self._update(conversation, settings)

    def delete(self, conversation: StoredConversation | str) -> None:
        """Remove it with all its turns, and the bytes that no other turn has."""
        number, _ = self._number(conversation)
        with self._database.transaction() as connection:
            held = connection.execute(
                "SELECT DISTINCT hash FROM turn_blob WHERE turn IN (SELECT id FROM turn WHERE conversation = ?)",
                (number,),
            ).fetchall()
            connection.execute("DELETE FROM turn WHERE conversation = ?", (number,))
            connection.execute("DELETE FROM conversation WHERE number = ?", (number,))
            connection.executemany(
                "DELETE FROM blob WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM turn_blob WHERE hash = blob.hash)", held
            )

    def _update(self, conversation: StoredConversation | str, columns: Mapping[str, Any]) -> StoredConversation:
        number, _ = self._number(conversation)
        with self._database.transaction() as connection:
            for name, value in columns.items():
                connection.execute(f"UPDATE conversation SET {name} = ? WHERE number = ?", (storable(value), number))
        return self.conversation(id_of(conversation))

    def _number(self, conversation: StoredConversation | str) -> tuple[int, int | None]:
        """Its row, and the end of the branch that is shown."""
        statement = "SELECT number, leaf FROM conversation WHERE id = ?"
        row = self._database.row(statement, (id_of(conversation),))
        if row is None:
            raise ConversationNotFoundError(f"there is no conversation {id_of(conversation)!r}")
        return row[0], row[1]


def id_of(conversation: StoredConversation | str) -> str:
    """The id of a conversation, or of one that is named by it."""
    return conversation if isinstance(conversation, str) else conversation.id


def _new_id(now: float) -> str:
    """Nine characters of the time in milliseconds, seven of chance."""
    number = int(now * 1000) << 35 | secrets.randbits(35)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
