"""`Recorder`: writes a client's calls into a history, for `Client(log=…)`."""

# Theory of operation
# -------------------
# A client's call has no conversation: each sends all messages so far. So a turn that a client recorded has a *chain*,
# a hash of itself and of all turns before it. The messages of a call are hashed in the same way, and the longest
# beginning of them that is in the history already, and has an answer in it, is the branch that the call goes on with.
# What comes behind it is added below. So a chat loop, a conversation, the turns of `run_tools`, an edited question and
# a second answer to the same question all become one tree, also over several processes; and two first questions, if
# they are the same, stay two conversations.
#
# The hash is of what a provider is told in any wire: roles, texts, parts, calls. Not of what only one wire has, such as
# reasoning and signatures, which programs may leave out when they send an answer back.
#
# A history that cannot be written costs no answer: it is a warning, and the call goes on.

from __future__ import annotations

import hashlib
import os
import sqlite3
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from llmclients.calls.recorded import CallReport, RecordedCall
from llmclients.errors import ConfigurationError
from llmclients.history.answer import answer_columns, as_json, error_columns, errors_as_json, storable
from llmclients.history.database import HistoryError
from llmclients.history.media import stored_parts
from llmclients.history.paths import history_path
from llmclients.history.store import History
from llmclients.history.tree import add_message, add_turn
from llmclients.types.messages import Message

if TYPE_CHECKING:
    from llmclients.calls.chat import ChatCall
    from llmclients.calls.fallback import FallbackCall

__all__ = ["HistoryWarning", "Recorder", "make_recorder"]


class HistoryWarning(UserWarning):
    """A client's call was made, and could not be recorded."""


def make_recorder(log: bool | str | os.PathLike[str] | History) -> Recorder | None:
    """The recorder that a client's `log` asks for; None where the user's history is off.

    Raises:
        ConfigurationError: it is something else.
        HistoryError: its file cannot be used.
    """
    if log is True:
        return None if history_path() is None else Recorder(History.open())
    if isinstance(log, History):
        return Recorder(log)
    if not isinstance(log, str | os.PathLike) or not os.fspath(log):
        message = f"log must be True, a path or a History, not {type(log).__name__}"
        raise ConfigurationError(message if log != "" else "log is empty: give a path", argument="log")
    return Recorder(History.open(Path(log).expanduser()))


class Recorder:
    """Writes the calls of a client, or of several, into a history. May be shared by threads."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: deque[tuple[Sequence[Message], Mapping[str, Any], CallReport]] = deque()
        finalize(self, _write_all, history, self._waiting)

    def flush(self) -> None:
        """Write what is left to be written: calls that were left before their end."""
        _write_all(self._history, self._waiting)

    def __reduce__(self) -> tuple[Any, ...]:
        return Recorder, (self._history,)

    def recorded(
        self, call: ChatCall | FallbackCall, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> RecordedCall:
        """The call, recorded when it ends.

        Args:
            messages: what it sends.
            options: of the call; those that are plain values are kept.
        """
        kept = {name: value for name, value in options.items() if isinstance(value, str | int | float)}

        def on_end(report: CallReport) -> None:
            self._waiting.append((messages, kept, report))
            if not report.is_left:  # else it comes from anywhere, and waits for the next one
                self.flush()

        return RecordedCall(call, on_end)


def _write_all(history: History, waiting: deque[tuple[Sequence[Message], Mapping[str, Any], CallReport]]) -> None:
    while waiting:
        try:
            _write(history, *waiting.popleft())
        except HistoryError as error:
            warnings.warn(f"a call was not recorded: {error}", HistoryWarning, stacklevel=2)


def _write(history: History, messages: Sequence[Message], options: Mapping[str, Any], report: CallReport) -> None:
    """One call: the messages that are new, and its answer."""
    system = messages[0].text if messages[0].role == "system" and isinstance(messages[0].content, str) else None
    messages = messages if system is None else messages[1:]
    chains = [hashlib.blake2b(as_json(system).encode(), digest_size=16).digest()]
    for message in messages:
        chains.append(_chain(chains[-1], message))
    columns = _answer(report)
    if report.response is not None:
        columns["chain"] = _chain(chains[-1], report.response.message)
    database = history._database
    with database.transaction() as connection:
        number, parent, known = _known_branch(connection, messages, chains)
        if number is None:
            number, _ = history._number(history.start(source="library", system=system, options=options))
        for message, chain in zip(messages[known:], chains[known + 1 :], strict=True):
            parent = add_message(database, number, parent, message, {"chain": chain, "started": report.started})
        add_turn(database, number, parent, columns)
        if report.response is not None and report.response.provider is not None:
            asked = (report.response.provider, storable(report.response.model), number)
            connection.execute("UPDATE conversation SET provider = ?, model = ? WHERE number = ?", asked)


def _answer(report: CallReport) -> dict[str, Any]:
    """The columns of a call's answer, whole or broken."""
    columns: dict[str, Any] = {"role": "assistant", "state": "complete", "started": report.started}
    if report.response is not None:
        columns |= answer_columns(report.response, None)
    if report.error is not None:
        columns |= {"provider": report.error.provider, "model": report.error.model, **error_columns(report.error)}
    elif report.is_left:
        columns |= error_columns("left before its end")
    if report.previous_errors:
        columns["previous_errors"] = errors_as_json(report.previous_errors)
    return columns | {"ended": report.ended}


def _known_branch(
    connection: sqlite3.Connection, messages: Sequence[Message], chains: Sequence[bytes]
) -> tuple[int | None, int | None, int]:
    """The conversation with the longest beginning of the messages, its turn there, and how many messages that is."""
    roles = [message.role for message in messages]
    first = roles.index("assistant") + 1 if "assistant" in roles else len(roles) + 1
    for known in range(len(messages), first - 1, -1):
        found = connection.execute(
            "SELECT conversation, id FROM turn WHERE chain = ? ORDER BY id DESC LIMIT 1", (chains[known],)
        ).fetchone()
        if found is not None:
            return found[0], found[1], known
    return None, None, 0


def _chain(before: bytes, message: Message) -> bytes:
    """The hash of a message and all before it."""
    calls = [(call.name, call.arguments_text) for call in message.tool_calls or []]
    has_media = isinstance(message.content, list) and any(part.type != "text" for part in message.content)
    parts = stored_parts(message.parts)[0] if has_media else None
    seen = as_json([message.role, message.text, parts, calls])
    return hashlib.blake2b(before + seen.encode(), digest_size=16).digest()
