"""What `chat` begins with: the history, the conversation to go on with, and who is asked."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from llmclients.cli.given import load_schema, load_tool
from llmclients.cli.talk import Setup
from llmclients.errors import ConfigurationError
from llmclients.history import ConversationNotFoundError, History, HistoryError, StoredConversation, history_path

__all__ = ["continued", "open_history", "set_up_log", "setup_of"]


def _warn(text: str) -> None:
    print(f"llmclients: warning: {text}", file=sys.stderr)


def open_history(*, is_on: bool, is_needed: bool = False, warn: Callable[[str], None] = _warn) -> History:
    """The user's history. One in memory, where nothing is to be kept, or nobody knows where.

    Args:
        warn: told why nothing is kept, where it should be.

    Raises:
        ConfigurationError: there is none, and it is needed.
    """
    if is_needed and (not is_on or history_path() is None):
        raise ConfigurationError("--continue needs the history, which is off")
    if not is_on:
        return History.in_memory()
    try:
        return History.open()
    except ConfigurationError:
        if is_needed:
            raise
        return History.in_memory()
    except HistoryError as error:
        if is_needed:
            raise
        warn(f"nothing of this is kept: {error}")
        return History.in_memory()


def set_up_log(*, is_debug: bool) -> None:
    """What the library logs, such as where a tool has failed, is for who debugs: on stderr, with its tracebacks.

    The others are told in the terminal's own way; without a handler, Python would print warnings besides.
    """
    log = logging.getLogger("llmclients")
    if is_debug:
        log.setLevel(logging.DEBUG)
    if not log.handlers:
        log.addHandler(_OnStderr() if is_debug else logging.NullHandler())


class _OnStderr(logging.Handler):
    """Prints on what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


def continued(history: History, identifier: str | None) -> StoredConversation | None:
    """The conversation to go on with: the one named, or the terminal's last one; None for a new one.

    Raises:
        ConversationNotFoundError: there is none.
    """
    if identifier is None:
        return None
    if identifier:
        return history.conversation(identifier)
    for conversation in history.conversations(limit=1, source="terminal"):
        return conversation
    raise ConversationNotFoundError("there is no conversation yet to go on with")


def setup_of(arguments: argparse.Namespace, provider: str | None, conversation: StoredConversation | None) -> Setup:
    """Who is asked, and how: what was given, else what the conversation had.

    Raises:
        ConfigurationError: the model is named twice; a tool or schema does not load.
    """
    model, system = arguments.model, arguments.system
    options = dict(arguments.option)
    if provider is None and conversation is not None:
        provider = conversation.provider
        model = model or conversation.model
        options = {**conversation.options, **options}
    name, slash, named = (provider or "local").partition("/")
    if slash and model is not None:
        raise ConfigurationError(f"the model is named twice: {named!r} and {model!r}")
    return Setup(
        provider=name,
        model=model or named or None,
        base_url=arguments.base_url,
        timeout=arguments.timeout,
        system=system,
        options=options,
        tools=[*map(load_tool, arguments.tool)],
        schema=None if arguments.schema is None else load_schema(arguments.schema),
    )
