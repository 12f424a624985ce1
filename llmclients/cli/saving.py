"""A conversation as a file, and back: Markdown to read, JSON Lines with everything, JSON for `Conversation`."""

from __future__ import annotations

from pathlib import Path

from llmclients.conversation import Conversation
from llmclients.errors import ConfigurationError
from llmclients.history import History, StoredConversation
from llmclients.types.messages import Message

__all__ = ["load", "save"]


def save(history: History, conversation: StoredConversation, name: str) -> Path:
    """Write the conversation to a file, whose ending says how: `.md`, `.jsonl` or `.json`.

    Raises:
        ConfigurationError: it cannot be written, or has another ending.
    """
    path = Path(name).expanduser()
    known = history.conversation(conversation.id)
    if path.suffix == ".md":
        text = history.export_markdown(known)
    elif path.suffix == ".jsonl":
        text = "".join(f"{line}\n" for line in history.export_jsonl(known))
    elif path.suffix == ".json":
        messages = history.messages(known)
        has_system = bool(known.system) and bool(messages) and messages[0].role == "system"
        saved = Conversation(
            provider=known.provider or "local",
            model=known.model,
            system=known.system,
            messages=messages[1:] if has_system else messages,
            options=dict(known.options) or None,
        )
        text = saved.model_dump_json(indent=2) + "\n"
    else:
        raise ConfigurationError(f"{name} ends with none of .md, .jsonl and .json")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be written: {error.strerror or error}") from None
    return path


def load(history: History, name: str) -> StoredConversation:
    """A conversation of the history, by its id or the beginning of that; or one that was saved as `.json`, which the
    history has from now on.

    Raises:
        ConversationNotFoundError: there is none.
        ConfigurationError: the file is no conversation.
    """
    path = Path(name).expanduser()
    if path.suffix != ".json":
        return history.conversation(name)
    try:
        saved = Conversation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from None
    conversation = history.start(
        provider=saved.provider,
        model=saved.model,
        system=saved.system,
        source="terminal",
        options=saved.options or {},
    )
    message: Message
    for message in saved.messages:
        history.add(conversation, message)
    return history.conversation(conversation.id)
