"""The history: conversations and their turns, in one SQLite file that several processes may use at once.

from llmclients.history import History

with History.open() as history:
    for conversation in history.conversations(limit=10):
        print(conversation.id, conversation.title)
"""

from __future__ import annotations

from llmclients.history.answer import AnswerWriter
from llmclients.history.database import ConversationNotFoundError, DamagedHistoryError, HistoryError
from llmclients.history.media import Blob
from llmclients.history.paths import history_path
from llmclients.history.recording import HistoryWarning
from llmclients.history.records import Cost, SearchHit, StoredConversation, StoredError, StoredTurn
from llmclients.history.store import History

__all__ = [
    "AnswerWriter",
    "Blob",
    "ConversationNotFoundError",
    "Cost",
    "DamagedHistoryError",
    "History",
    "HistoryError",
    "HistoryWarning",
    "SearchHit",
    "StoredConversation",
    "StoredError",
    "StoredTurn",
    "history_path",
]
