"""The session's commands: each has what was typed behind it, and prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmclients.cli.log import printable
from llmclients.cli.parsing import assignment
from llmclients.cli.prompting import COMMANDS
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.cli.session import Session
    from llmclients.history import StoredConversation, StoredTurn

__all__ = ["run"]


def run(session: Session, text: str) -> None:
    """Run a command.

    Raises:
        LLMClientError: there is no such command, or it cannot be done.
    """
    name, _, argument = text.strip().partition(" ")
    command = _RUN.get(name)
    if command is None:
        import difflib

        similar = difflib.get_close_matches(name, _RUN, 1, 0.7)
        likely = f"did you mean {similar[0]}?" if similar else "/help lists them;"
        raise ConfigurationError(
            f"there is no command {name}: {likely} A question that begins with a slash has a blank before it"
        )
    command(session, argument.strip())


def _model(session: Session, name: str) -> None:
    if not name:
        from llmclients.cli.completion import models_of

        known = models_of(session.talk.setup.provider)
        session.say(f"{session.talk.setup.label}; known: {', '.join(known) or 'none'} (llmclients models lists them)")
        return
    session.talk.change(model=name)
    session.say(f"now with {session.talk.setup.label}")


def _provider(session: Session, name: str) -> None:
    from llmclients.config.credentials import key_origin
    from llmclients.providers.registry import find_provider, provider_names

    if not name:
        known = map(find_provider, provider_names())
        usable = [one.name for one in known if not one.key_required or key_origin(one)]
        session.say(f"{session.talk.setup.label}; without a key, or with one that is set: {', '.join(usable)}")
        return
    provider, _, model = name.partition("/")
    found = find_provider(provider)
    session.talk.change(provider=found.name, model=model or None)
    needs = "" if model or found.default_model else f": it needs a model, /model NAME (llmclients models {found.name})"
    session.say(f"now with {session.talk.setup.label}{needs}")


def _system(session: Session, text: str) -> None:
    talk = session.talk
    if text:
        talk.change(system=None if text == "-" else text)
    known = talk.conversation.system if talk.conversation is not None else talk.setup.system
    session.say(f"system text: {known or 'none'}")


def _option(session: Session, text: str) -> None:
    import argparse

    talk = session.talk
    options = dict(talk.setup.options)
    if text:
        try:
            name, value = assignment(text)
        except argparse.ArgumentTypeError as error:
            raise ConfigurationError(str(error)) from None
        options.pop(name, None)
        if value != "":
            options[name] = value
        talk.change(options=options)
    session.say("options: " + (", ".join(f"{name}={value!r}" for name, value in options.items()) or "none"))


def _attach(session: Session, names: str) -> None:
    from llmclients.cli.given import attachment

    try:
        session.files |= {name: attachment(name) for name in shlex.split(names)}
    except ValueError as error:  # a quote without its other half
        raise ConfigurationError(f"/attach: {error}") from None
    attached = ", ".join(session.files)
    session.say(f"attached to the next question: {attached} (Ctrl-C takes it back)" if attached else "attached: none")


def _tool(session: Session, reference: str) -> None:
    from llmclients.cli.given import load_tool

    talk = session.talk
    tools = list(talk.setup.tools)
    if reference == "-":
        tools = []
    elif reference:
        tools.append(load_tool(reference, "/tool"))
    if reference:
        talk.change(tools=tools)
    session.say(f"tools: {', '.join(tool.name for tool in tools) or 'none'}")


def _last_question(session: Session) -> StoredTurn:
    talk = session.talk
    turns = talk.history.turns(talk.conversation) if talk.conversation is not None else []
    for turn in reversed(turns):
        if turn.role == "user":
            return turn
    raise ConfigurationError("nothing was asked yet")


def _retry(session: Session, _: str) -> None:
    session.answer(_last_question(session))


def _edit(session: Session, _: str) -> None:
    session.edited = _last_question(session)
    session.default = session.edited.text


def _branch(session: Session, number: str) -> None:
    talk = session.talk
    if talk.conversation is None:
        raise ConfigurationError("nothing was asked yet")
    turns = talk.history.all_turns(talk.conversation)
    if number:
        if not number.isdecimal() or not any(turn.id == int(number) for turn in turns):
            raise ConfigurationError(f"/branch: there is no turn {number} here")
        talk.conversation = talk.history.show_branch(int(number))
        session.show_last()
        return
    shown = {turn.id for turn in talk.history.turns(talk.conversation)}
    for turn in turns:
        if len(turn.siblings) > 1:
            text = " ".join(printable(turn.text).split())
            by = f" ({turn.model or turn.provider})" if turn.role == "assistant" else ""
            print(f"{'*' if turn.id in shown else ' '} {turn.id:>5}  {'  ' * turn.number}{turn.role}{by}: {text[:60]}")
    if any(len(turn.siblings) > 1 for turn in turns):
        print()
    else:
        session.say("there is one branch: /retry, /edit and /again make others")


def _again(session: Session, name: str) -> None:
    from llmclients.cli.columns import ask_again

    if not name:
        raise ConfigurationError("/again needs a PROVIDER/MODEL")
    ask_again(session.talk, _last_question(session), name)


def _save(session: Session, name: str) -> None:
    from llmclients.cli.saving import save

    talk = session.talk
    if talk.conversation is None:
        raise ConfigurationError("nothing was asked yet")
    if not name:
        session.say(f"it is in the history, as {talk.conversation.id}; /save FILE.md, .jsonl or .json writes a file")
        return
    session.say(f"written to {save(talk.history, talk.conversation, name)}")


def _load(session: Session, name: str) -> None:
    from llmclients.cli.saving import load

    talk = session.talk
    if not name:
        for conversation in talk.history.conversations(10):
            print(f"{conversation.id}  {printable(conversation.title or 'Untitled')}")
        print()
        return
    _go_on(session, load(talk.history, name))
    session.show_last()


def _go_on(session: Session, conversation: StoredConversation) -> None:
    talk = session.talk
    if conversation.provider is not None:
        changes = {"provider": conversation.provider, "model": conversation.model, "options": conversation.options}
        before, talk.conversation = talk.conversation, None
        try:
            talk.change(**changes)
        except ConfigurationError:
            talk.conversation = before
            raise
    talk.conversation = conversation


def _new(session: Session, _: str) -> None:
    session.talk.conversation = None
    session.files, session.edited = {}, None
    session.say("a new conversation begins")


def _cost(session: Session, _: str) -> None:
    talk = session.talk
    if talk.conversation is None:
        raise ConfigurationError("nothing was asked yet")
    cost = talk.history.cost(talk.conversation)
    usage = cost.usage
    dollars = "unknown" if cost.dollars is None else f"${cost.dollars:.6f}"
    parts = [f"{cost.answers} answers", f"{usage.input_tokens or 0:,} + {usage.output_tokens or 0:,} tokens", dollars]
    if cost.without_usage:
        parts.append(f"{cost.without_usage} without token counts")
    if cost.dollars is not None and cost.without_cost:
        parts.append(f"{cost.without_cost} whose cost is unknown")
    session.say(" · ".join(parts))


def _help(session: Session, _: str) -> None:
    for name, text in COMMANDS.items():
        print(f"{name.ljust(10)} {text}")
    print()


def _quit(session: Session, _: str) -> None:
    session.is_over = True


_RUN: dict[str, Callable[[Session, str], None]] = {
    "/model": _model,
    "/provider": _provider,
    "/system": _system,
    "/option": _option,
    "/attach": _attach,
    "/tool": _tool,
    "/retry": _retry,
    "/edit": _edit,
    "/branch": _branch,
    "/again": _again,
    "/save": _save,
    "/load": _load,
    "/new": _new,
    "/cost": _cost,
    "/help": _help,
    "/quit": _quit,
}
