"""The command line's arguments: commands, their options, and which function runs each.

Only argparse is loaded here: a command's module comes with its run. `run` is `"module:function"`, called with what was
parsed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from llmclients._version import __version__
from llmclients.cli.bulk import add_bulk
from llmclients.cli.parsing import CommandParser, assignment, completed, seconds
from llmclients.cli.relay_command import add_relay, add_serving

__all__ = ["make_parser"]

Run = str | Callable[[argparse.Namespace], int]


def make_parser() -> CommandParser:
    """The parser of all commands. What it parses has the command's function as `run`."""
    parser = CommandParser(
        prog="llmclients",
        description="Chat models from the command line. Without a command, in a terminal, a session begins.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_chat(commands)
    add_bulk(commands, _add_assignments, _add_base_url)
    _add_listings(commands)
    _add_keys(commands)
    _add_log(commands)
    _add_local(commands)
    add_relay(commands, _add_assignments)
    _add(commands, "demo", "every provider's wire format, answered by the local model", "commands:demo")
    completion = _add(commands, "completion", "the completions of a shell, to be evaluated by it", "completion:show")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    parser.commands = commands.choices
    return parser


def _add(commands: Any, name: str, help_text: str, run: Run | None = None, **options: Any) -> Any:
    """Add a command that runs something, or has commands of its own."""
    command = commands.add_parser(name, help=help_text, description=options.pop("description", None), **options)
    if run is not None:
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="errors with a traceback")
        command.set_defaults(run=run, command=name)
    return command


def _add_chat(commands: Any) -> None:
    chat = _add(
        commands,
        "chat",
        "ask a model; without a text, in a terminal: a session",
        "chat:run",
        usage="%(prog)s [options] [PROVIDER[/MODEL]] [TEXT …]",
        description="Ask a model. What is piped in comes behind the text, or is the text; without either, in a "
        "terminal, a session begins. A provider's name as the first of several words names the provider; default: the "
        "local model.",
    )
    chat.add_argument("texts", metavar="TEXT", nargs="*", default=[], help="the question; - for standard input")
    chat.add_argument("-p", "--provider", metavar="PROVIDER[/MODEL]", help="who is asked; then all words are the text")
    chat.add_argument("-m", "--model", help="the model; default: the provider's own")
    chat.add_argument("-s", "--system", metavar="TEXT", help="a system text")
    _add_assignments(chat, ("-o", "--option"), "an option of the call, such as temperature=0; may be repeated")
    chat.add_argument(
        *("-a", "--attach"),
        metavar="FILE",
        action="append",
        default=[],
        help="an image, a sound, a PDF, a text, or the https: address of one; may be repeated",
    )
    chat.add_argument(
        *("-t", "--tool"),
        metavar="MODULE:FUNCTION",
        action="append",
        default=[],
        help="a function that the model may call, also FILE.py:FUNCTION; may be repeated",
    )
    chat.add_argument("--schema", metavar="FILE|MODULE:CLASS", help="JSON Schema, or a pydantic model, of the answer")
    chat.add_argument("--again", metavar="PROVIDER/MODEL", help="ask this one the same, and show both side by side")
    past = chat.add_argument_group("past and future")
    completed(
        past.add_argument(
            "-c", "--continue", dest="continued", metavar="ID", nargs="?", const="", help="the last one, or ID"
        )
    )
    past.add_argument("--save", metavar="FILE", help="write the conversation to FILE.md, .jsonl or .json")
    past.add_argument("--no-history", dest="history", action="store_false", help="keep nothing of it")
    shown = chat.add_argument_group("what is shown")
    shown.add_argument("--json", action="store_true", help="the whole response, as JSON")
    shown.add_argument("--stream", action=argparse.BooleanOptionalAction, default=True, help="as it is written")
    shown.add_argument("--raw", action="store_true", help="Markdown as it is, also in a terminal")
    shown.add_argument("--usage", action="store_true", help="model, time and tokens, on stderr")
    shown.add_argument("--cost", action="store_true", help="the cost, as far as the provider says it, on stderr")
    _add_connection(chat)


def _add_listings(commands: Any) -> None:
    models = _add(commands, "models", "a provider's models", "listings:models")
    models.add_argument("provider", metavar="PROVIDER")
    providers = _add(commands, "providers", "the providers, and which keys are set", "listings:providers")
    doctor = _add(commands, "doctor", "what works on the way to a provider, and what does not", "doctor:run")
    doctor.add_argument("provider", metavar="PROVIDER[/MODEL]")
    doctor.add_argument("-m", "--model", help="the model to chat with")
    doctor.add_argument("--no-chat", dest="chat", action="store_false", help="ask no model")
    for command in (models, providers, doctor):
        command.add_argument("--json", action="store_true", help="for programs")
    for command in (models, doctor):
        _add_connection(command)


def _add_keys(commands: Any) -> None:
    keys = _add(commands, "keys", "the providers' keys that are kept for you")
    actions = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    kept = _add(actions, "set", "keep a key; it is asked for, or read from standard input", "keys:set_key")
    kept.add_argument("provider", metavar="PROVIDER")
    kept.add_argument("--file", action="store_true", help="in a file of your own, not in the system's keyring")
    listed = _add(actions, "list", "whose keys there are, and where; never a key", "keys:list_keys")
    listed.add_argument("--json", action="store_true", help="for programs")
    removed = _add(actions, "remove", "forget a key", "keys:remove_key")
    removed.add_argument("provider", metavar="PROVIDER")


def _add_local(commands: Any) -> None:
    local = _add(commands, "local", "the local model")
    actions = local.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(actions, "install", "fetch what the local model needs", "commands:local_install")
    _add(actions, "path", "where its weights are", "commands:local_path")
    serve = _add(actions, "serve", "serve the local model, as `relay` does", "relay_command:relay")
    serve.set_defaults(config=None, check=False, provider=None, base_url=None)
    add_serving(serve, _add_assignments)


def _add_log(commands: Any) -> None:
    parser = _add(commands, "log", "past conversations")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add_id(action: Any, default: str) -> None:
        action.add_argument("id", metavar="ID", nargs="?", help=f"an id, or its beginning; default: {default}")

    listed = _add(
        actions, "list", "the last conversations", lambda given: _log().show_list(given.limit, as_json=given.json)
    )
    found = _add(
        actions,
        "search",
        "turns with all of these words",
        lambda given: _log().search(" ".join(given.text), given.limit, as_json=given.json),
    )
    found.add_argument("text", metavar="TEXT", nargs="+", help="the last one may be a beginning")
    shown = _add(actions, "show", "a conversation", lambda given: _log().show(given.id, as_json=given.json))
    add_id(shown, "the last one")
    for action in (listed, found, shown):
        action.add_argument("--json", action="store_true", help="for programs")
    for action in (listed, found):
        action.add_argument("--limit", type=int, default=20, metavar="N", help="how many at the most; default: 20")

    exported = _add(actions, "export", "conversations as text", lambda given: _log().export(given.id, given.format))
    exported.add_argument("--format", choices=["jsonl", "markdown"], default="jsonl", help="default: jsonl")
    add_id(exported, "all of them")
    add_id(_add(actions, "continue", "the id to go on with", lambda given: _log().print_id(given.id)), "the last one")
    deleted = _add(actions, "delete", "remove a conversation", lambda given: _log().delete(given.id, is_sure=given.yes))
    deleted.add_argument("id", metavar="ID", help="an id, or its beginning")
    deleted.add_argument("--yes", "-y", action="store_true", help="do not ask")
    _add(actions, "path", "where the history is", lambda given: _log().print_path())


def _log() -> Any:
    from llmclients.cli import log

    return log


def _add_connection(command: Any) -> None:
    _add_base_url(command)
    command.add_argument("--timeout", type=seconds, metavar="SECONDS", help="how long to wait for the next bytes")


def _add_base_url(command: Any) -> None:
    command.add_argument("--base-url", metavar="URL", help="another server that speaks the provider's format")


def _add_assignments(command: Any, flag: str | tuple[str, ...], help_text: str) -> None:
    flags = (flag,) if isinstance(flag, str) else flag
    command.add_argument(*flags, metavar="NAME=VALUE", type=assignment, action="append", default=[], help=help_text)
