"""The command `chat`: one question and its answer; or, without a text, in a terminal, a session."""

from __future__ import annotations

import argparse
import gc
import re
import sys
from typing import TYPE_CHECKING, Any

from llmclients.cli.given import content_of, load_schema, load_tool, question, split_words
from llmclients.cli.tty import quiet_terminal
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.cli.talk import Answer, Setup, Talk, View
    from llmclients.history import History, StoredConversation

__all__ = ["continued", "open_history", "run", "setup_of"]

_ID = re.compile(r"[0-9][0-9a-hjkmnp-tv-z]{3,15}")


def run(arguments: argparse.Namespace) -> int:
    """Print the answer to one question, or begin a session."""
    provider, words = split_words(arguments.words, arguments.provider)
    if arguments.continued and not _ID.fullmatch(arguments.continued):  # `--continue And in winter?`
        arguments.continued, words = "", [arguments.continued, *words]
    is_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if not words and is_terminal and not (arguments.json or arguments.again or arguments.save):
        with quiet_terminal():
            gc.disable()  # of what is loaded now, all stays; `Session` enables it
            from llmclients.cli.session import run_session

            return run_session(arguments, provider)
    text = question(words)
    if not text.strip() and not arguments.attach:
        raise ConfigurationError(_nothing_to_ask(provider if arguments.provider is None else None))
    return _ask_once(arguments, provider, content_of(text, arguments.attach))


def _nothing_to_ask(word: str | None) -> str:
    if word is None:
        return "there is nothing to ask: write a text, or pipe one in; without either, a session needs a terminal"
    return (
        f"{word} is a provider: write the question behind it (llmclients chat {word} 'Hello!'); "
        f"a session with it needs a terminal; to send the word itself: llmclients chat -p PROVIDER {word}"
    )


def _ask_once(arguments: argparse.Namespace, provider: str | None, content: Any) -> int:
    history = open_history(is_on=arguments.history, is_needed=arguments.continued is not None)
    with history:
        conversation = continued(history, arguments.continued)
        setup = setup_of(arguments, provider, conversation)
        if arguments.again is not None:
            from llmclients.cli.columns import ask_both

            return ask_both(history, conversation, setup, content, arguments)
        from llmclients.cli.talk import Talk

        talk = Talk(setup, history, conversation)
        try:
            if setup.system is not None and conversation is not None:
                talk.change(system=setup.system)
            else:
                talk.client()  # what is wrong with it is to be known before anything is stored
            answer = talk.answer(
                talk.ask(content), _view(arguments), stream=arguments.stream and not arguments.json and not setup.schema
            )
        finally:
            _save(talk, arguments.save)
            talk.close()
    _show_end(answer, arguments)
    return 0


def _view(arguments: argparse.Namespace) -> View:
    from llmclients.cli.views import PlainView, TerminalView, styles_for

    if arguments.json:
        import io

        return PlainView(io.StringIO())
    styles = styles_for(sys.stdout)
    if arguments.raw or arguments.schema or not any(styles):
        return PlainView()
    return TerminalView(sys.stdout, styles, shows_waiting=False)  # stderr may be elsewhere, or the local model's


def _show_end(answer: Answer, arguments: argparse.Namespace) -> None:
    """What was asked for besides the text."""
    if arguments.json:
        print(answer.response.model_dump_json(exclude_none=True))
    if arguments.usage:
        from llmclients.cli.views import status_line

        print(status_line(answer, with_cost=False), file=sys.stderr)
    if arguments.cost:
        unknown = f"unknown: {answer.response.provider} does not say it"
        print(f"cost: {unknown if answer.cost is None else f'${answer.cost}'}", file=sys.stderr)


def _save(talk: Talk, name: str | None) -> None:
    if name is not None and talk.conversation is not None:
        from llmclients.cli.saving import save

        save(talk.history, talk.conversation, name)


def open_history(*, is_on: bool, is_needed: bool = False) -> History:
    """The user's history. One in memory, where nothing is to be kept, or nobody knows where.

    Raises:
        ConfigurationError: there is none, and it is needed.
    """
    from llmclients.history import History, HistoryError, history_path

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
        print(f"llmclients: warning: nothing of this is kept: {error}", file=sys.stderr)
        return History.in_memory()


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
    from llmclients.history import ConversationNotFoundError

    raise ConversationNotFoundError("there is no conversation yet to go on with")


def setup_of(arguments: argparse.Namespace, provider: str | None, conversation: StoredConversation | None) -> Setup:
    """Who is asked, and how: what was given, else what the conversation had.

    Raises:
        ConfigurationError: the model is named twice; a tool or schema does not load.
    """
    from llmclients.cli.talk import Setup

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
