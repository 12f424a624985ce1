"""`PageStore`: the history as the page uses it: opened when first needed, and used in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from llmclients.errors import ConfigurationError
from llmclients.history import History, StoredTurn

__all__ = ["PageStore", "turn_fields"]

T = TypeVar("T")


class PageStore:
    """The history behind the page. The relay makes no file before somebody uses the page.

    Args:
        history: the caller's; True: the user's, opened when it is first used.

    Raises:
        ConfigurationError: it is something else.
    """

    def __init__(self, history: History | Literal[True] = True) -> None:
        if history is not True and not isinstance(history, History):
            message = f"page must be True, False or a History, not {type(history).__name__}"
            raise ConfigurationError(message, argument="page")
        self._history = None if history is True else history
        self._is_ours = history is True
        self._lock = threading.Lock()

    @property
    def history(self) -> History:
        """The history. Only in a thread: it may have to be opened.

        Raises:
            ConfigurationError: where it is to be is not known.
            HistoryError: it cannot be opened.
        """
        with self._lock:
            if self._history is None:
                self._history = History.open()
            return self._history

    async def use(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function gives, in a thread: another process may be writing to the file."""
        return await asyncio.to_thread(function, *arguments)

    def close(self) -> None:
        """Close the history, unless it is the caller's."""
        with self._lock:
            history = self._history
            if self._is_ours and history is not None:
                self._history = None
                history.close()


def turn_fields(turn: StoredTurn) -> dict[str, Any]:
    """A turn as the page reads it: without what only its provider's wire has."""
    fields = turn.to_dict()
    fields.pop("provider_data", None)
    return fields
