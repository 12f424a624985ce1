"""The command `chat`: one question and its answer; or, without a text, in a terminal, a session."""

from __future__ import annotations

import argparse
import gc
import re
import sys
from typing import TYPE_CHECKING, Any

from llmclients.cli.given import content_of, question, split_provider
from llmclients.cli.tty import quiet_terminal
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.cli.talk import Talk
    from llmclients.cli.turns import Answer, View

__all__ = ["run"]

_ID = re.compile(r"[0-9][0-9a-hjkmnp-tv-z]{3,15}")


def run(arguments: argparse.Namespace) -> int:
    """Print the answer to one question, or begin a session."""
    provider, texts = split_provider(arguments.texts, arguments.provider)
    if arguments.continued and not _ID.fullmatch(arguments.continued):  # `--continue And in winter?`
        arguments.continued, texts = "", [arguments.continued, *texts]
    is_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if not texts and is_terminal and not (arguments.json or arguments.again or arguments.save):
        with quiet_terminal():
            gc.disable()  # of what is loaded now, all stays; `Session` enables it
            from llmclients.cli.session import run_session

            return run_session(arguments, provider)
    text = question(texts)
    if not text.strip() and not arguments.attach:
        if texts:
            raise ConfigurationError("the text is empty")
        raise ConfigurationError(_nothing_to_ask(provider if arguments.provider is None else None))
    return _ask_once(arguments, provider, content_of(text, arguments.attach))


def _nothing_to_ask(name: str | None) -> str:
    if name is None:
        return "there is nothing to ask: write a text, or pipe one in; without either, a session needs a terminal"
    return (
        f"{name} is a provider: write the question behind it (llmclients chat {name} 'Hello!'); "
        f"a session with it needs a terminal; to send the word itself: llmclients chat -p PROVIDER {name}"
    )


def _ask_once(arguments: argparse.Namespace, provider: str | None, content: Any) -> int:
    from llmclients.cli.opening import continued, open_history, set_up_log, setup_of

    set_up_log(is_debug=arguments.debug)
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
