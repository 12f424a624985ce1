"""`History`: the conversations and turns of one file, for the terminal, the relay's page and the clients."""

# Threads and processes: a `History` may be shared by threads, and several processes may have the same file open. Each
# method is one transaction, and takes about a millisecond at the most where it does not read much; so asynchronous
# programs may call it directly, or in a thread if they must not wait for another process that writes.
#
# What methods give are snapshots. Where they take a conversation, its id will do, too.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from llmclients.history import export, tree
from llmclients.history.answer import AnswerWriter
from llmclients.history.conversations import Conversations, id_of
from llmclients.history.database import ConversationNotFoundError, HistoryError
from llmclients.history.media import Blob
from llmclients.history.records import (
    CONVERSATION_COLUMNS,
    Cost,
    SearchHit,
    StoredConversation,
    StoredTurn,
    as_conversation,
)
from llmclients.history.search import find_turns
from llmclients.history.totals import total_cost
from llmclients.types.messages import Message, MessageLike, as_messages

__all__ = ["AT_LEAF", "History"]


class _AtLeaf:
    def __repr__(self) -> str:
        return "AT_LEAF"


AT_LEAF: Final = _AtLeaf()
"""As a parent: the last turn of the branch that is shown."""


class History(Conversations):
    """Conversations and their turns. `History.open()` opens the user's.

    May be shared by threads. Close it, or use it in a `with`. Every method raises `HistoryError` when the file cannot
    be read or written, and `ConversationNotFoundError` for a conversation or turn that there is not.

    Attributes:
        path: the file; None for a history in memory.
    """

    # --- turns --------------------------------------------------------------------------------------------------------

    def add(
        self,
        conversation: StoredConversation | str,
        message: MessageLike,
        *,
        parent: int | _AtLeaf | None = AT_LEAF,
    ) -> StoredTurn:
        """Add a message that is complete: a question, a tool's result. It becomes the end of the branch that is shown.

        Args:
            message: text, a `Message` or a dict, as a client takes it.
            parent: the turn before it; default: the end of the branch that is shown. Another turn, or None for the very
                beginning, begins a branch: so a question is edited.

        Raises:
            InvalidRequestError: it is no message.
        """
        (checked,) = as_messages(message)
        with self._database.transaction():
            number, leaf = self._number(conversation)
            turn = tree.add_message(self._database, number, leaf if isinstance(parent, _AtLeaf) else parent, checked)
        return self.turn(turn)

    def answer(
        self,
        conversation: StoredConversation | str,
        *,
        parent: int | _AtLeaf | None = AT_LEAF,
        provider: str | None = None,
        model: str | None = None,
    ) -> AnswerWriter:
        """Begin to write an answer that streams; it is the end of the branch that is shown from now on.

        Args:
            parent: the turn that it answers, as in `add`: with the question's id, it is one more answer to that.
            provider, model: who was asked; the whole answer says who it was.
        """
        writer = None if self._writers is None else self._lock_file()
        columns = {"role": "assistant", "state": "streaming", "writer": writer or "memory"}
        with self._database.transaction():
            number, leaf = self._number(conversation)
            turn = tree.add_turn(
                self._database,
                number,
                leaf if isinstance(parent, _AtLeaf) else parent,
                {**columns, "provider": provider, "model": model},
            )
        return AnswerWriter(self._database, turn)

    def turn(self, turn: int) -> StoredTurn:
        """The turn with this id."""
        number, conversation = self._conversation_of(turn)
        found = tree.read_branch(self._database, number, conversation, turn, 1)
        return found[0]  # type: ignore[no-any-return]

    def turns(
        self, conversation: StoredConversation | str, *, limit: int | None = None, before: int | None = None
    ) -> list[StoredTurn]:
        """The turns of the branch that is shown, the first one first.

        Args:
            limit: only so many, the last ones.
            before: only those before this turn: the first one of the page that comes after.
        """
        number, leaf = self._number(conversation)
        if before is not None:
            leaf = self.turn(before).parent
        found = tree.read_branch(self._database, number, id_of(conversation), leaf, limit)
        if any(turn.state == "streaming" for turn in found) and self.recover():
            found = tree.read_branch(self._database, number, id_of(conversation), leaf, limit)
        return found

    def all_turns(self, conversation: StoredConversation | str) -> list[StoredTurn]:
        """The turns of all branches, in the order in which they were added."""
        number, _ = self._number(conversation)
        return tree.read_all(self._database, number, id_of(conversation))

    def show_branch(self, turn: int) -> StoredConversation:
        """Show the branch through this turn, up to its newest end."""
        _, conversation = self._conversation_of(turn)
        with self._database.transaction() as connection:
            leaf = tree.newest_leaf(connection, turn)
            connection.execute("UPDATE conversation SET leaf = ? WHERE id = ?", (leaf, conversation))
        return self.conversation(conversation)

    def messages(self, conversation: StoredConversation | str, *, leaf: int | None = None) -> list[Message]:
        """The branch as messages to send: the system text, and its turns.

        Of a broken answer, its text; calls of tools that nobody answered are left out, as no provider takes them.

        Args:
            leaf: the branch's last turn; default: that of the branch that is shown.
        """
        known = self.conversation(id_of(conversation))
        number, _ = self._number(known)
        turns = tree.read_branch(self._database, number, known.id, known.leaf if leaf is None else leaf, None)
        return export.as_sent(known.system, turns, self.blob)

    def blob(self, name: str) -> Blob:
        """The bytes of an image or a file, by the hash that a part has as its `blob`."""
        row = self._database.row("SELECT media_type, data FROM blob WHERE hash = ?", (name,))
        if row is None:
            raise ConversationNotFoundError(f"there are no bytes with the hash {name[:64]!r}")
        return Blob(*row)

    # --- search, export, cost -----------------------------------------------------------------------------------------

    def search(
        self, text: str, limit: int = 50, *, conversation: StoredConversation | str | None = None
    ) -> list[SearchHit]:
        """The turns with all of these words, the newest first. Any text may be searched for: there is no syntax.

        Case and accents do not count, and the last of them may be a beginning. What is in double quotes is a phrase.

        Args:
            conversation: only its turns.
        """
        number = None if conversation is None else self._number(conversation)[0]
        return find_turns(self._database, text, limit, number)

    def export_jsonl(self, conversation: StoredConversation | str | None = None) -> Iterator[str]:
        """Lines of JSON: of each conversation a line about it, then one for each turn of all branches, bytes included.

        Args:
            conversation: the one to export; None: all of them, the oldest first.
        """
        return export.as_jsonl(self, self._exported(conversation))

    def export_markdown(self, conversation: StoredConversation | str) -> str:
        """The branch that is shown, as Markdown."""
        known = self.conversation(id_of(conversation))
        return export.as_markdown(known, self.turns(known))

    def cost(self, conversation: StoredConversation | str) -> Cost:
        """What all answers of a conversation have taken, on all branches."""
        return total_cost(self._database, self._number(conversation)[0])

    # --- inside -------------------------------------------------------------------------------------------------------

    def _exported(self, conversation: StoredConversation | str | None) -> Sequence[StoredConversation]:
        if conversation is not None:
            return [self.conversation(id_of(conversation))]
        rows = self._database.rows(f"SELECT {CONVERSATION_COLUMNS} FROM conversation AS c ORDER BY c.number")
        return [as_conversation(row) for row in rows]

    def _conversation_of(self, turn: int) -> tuple[int, str]:
        statement = (
            "SELECT c.number, c.id FROM turn JOIN conversation AS c ON c.number = turn.conversation WHERE turn.id = ?"
        )
        row = self._database.row(statement, (turn,))
        if row is None:
            raise ConversationNotFoundError(f"there is no turn {turn}")
        return row[0], row[1]

    def _lock_file(self) -> str:
        assert self._writers is not None
        try:
            return self._writers.name()
        except OSError as error:
            raise HistoryError(f"{self.path}: no lock file can be made beside it: {error.strerror or error}") from error
