"""The command line's argument parser: commands, their options, and which function runs each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from llmclients._version import __version__
from llmclients.cli import commands, log

__all__ = ["make_parser"]


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands. What it parses has the command's function as `run`."""
    parser = _IntermixedParser(prog="llmclients", description="Chat models from the command line.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_chat(subparsers)

    models = subparsers.add_parser("models", help="list a provider's models")
    models.add_argument("provider", metavar="PROVIDER")
    _add_base_url(models)
    models.set_defaults(run=commands.models)

    subparsers.add_parser("providers", help="list the providers").set_defaults(run=commands.providers)
    _add_relay(subparsers)
    _add_log(subparsers)

    local = subparsers.add_parser("local", help="the embedded model")
    local_subparsers = local.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = local_subparsers.add_parser("install", help="fetch what the embedded model needs")
    install.set_defaults(run=commands.local_install)

    demo = subparsers.add_parser("demo", help="every provider's wire format, answered by the embedded model")
    demo.set_defaults(run=commands.demo)
    return parser


def _add_chat(subparsers: Any) -> None:
    chat = subparsers.add_parser(
        "chat",
        help="ask a provider",
        usage="%(prog)s [options] [PROVIDER] TEXT",
        description="Ask a provider; default: the embedded model.",
    )
    chat.add_argument(
        "provider_and_text",
        nargs="+",
        action=_ProviderAndText,
        metavar="[PROVIDER] TEXT",
        help="the question; - for standard input",
    )
    chat.add_argument("--model", help="the model; default: the provider's own")
    chat.add_argument("--system", metavar="TEXT", help="a system message")
    chat.add_argument("--stream", action=argparse.BooleanOptionalAction, default=True, help="token by token")
    _add_assignments(chat, "--option", "an option of the call, such as temperature=0; may be repeated")
    _add_base_url(chat)
    chat.set_defaults(run=commands.chat)


def _add_relay(subparsers: Any) -> None:
    relay = subparsers.add_parser("relay", help="serve the providers' wire formats in front of any provider")
    relay.add_argument("--provider", default="local", help="who answers; default: local")
    relay.add_argument("--host", default="127.0.0.1", help="the address to listen on; beyond loopback it needs a key")
    relay.add_argument("--port", type=int, default=8811, help="default: 8811; 0: any that is free")
    relay.add_argument(
        "--api-key", metavar="KEY", help=f"the key that clients must send; default: ${commands.RELAY_KEY_VARIABLE}"
    )
    _add_assignments(
        relay, "--default", "an option of calls that do not name it, such as max_tokens=64; may be repeated"
    )
    _add_base_url(relay)
    relay.set_defaults(run=commands.relay)


def _add_log(subparsers: Any) -> None:
    parser = subparsers.add_parser("log", help="past conversations")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, help_text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        action: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
        action.set_defaults(run=run)
        return action

    def add_id(action: argparse.ArgumentParser, default: str) -> None:
        action.add_argument("id", metavar="ID", nargs="?", help=f"an id, or its beginning; default: {default}")

    listed = add("list", "the last conversations", lambda given: log.show_list(given.limit, as_json=given.json))
    found = add(
        "search",
        "turns with all of these words",
        lambda given: log.search(" ".join(given.text), given.limit, as_json=given.json),
    )
    found.add_argument("text", metavar="TEXT", nargs="+", help="the last one may be a beginning")
    shown = add("show", "a conversation", lambda given: log.show(given.id, as_json=given.json))
    add_id(shown, "the last one")
    for action in (listed, found, shown):
        action.add_argument("--json", action="store_true", help="for programs")
    for action in (listed, found):
        action.add_argument("--limit", type=int, default=20, metavar="N", help="how many at the most; default: 20")

    exported = add("export", "conversations as text", lambda given: log.export(given.id, given.format))
    exported.add_argument("--format", choices=["jsonl", "markdown"], default="jsonl", help="default: jsonl")
    add_id(exported, "all of them")
    add_id(add("continue", "the id to go on with", lambda given: log.print_id(given.id)), "the last one")
    deleted = add("delete", "remove a conversation", lambda given: log.delete(given.id, is_sure=given.yes))
    deleted.add_argument("id", metavar="ID", help="an id, or its beginning")
    deleted.add_argument("--yes", "-y", action="store_true", help="do not ask")
    add("path", "where the history is", lambda given: log.print_path())


def _add_base_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-url", metavar="URL", help="another server that speaks the provider's format")


def _add_assignments(parser: argparse.ArgumentParser, flag: str, help_text: str) -> None:
    parser.add_argument(flag, metavar="NAME=VALUE", type=_assignment, action="append", default=[], help=help_text)


def _assignment(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; a value that is JSON is what it says, any other is text."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier() or name in ("self", "messages"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


class _ProviderAndText(argparse.Action):
    """One or two positional arguments: the last is the text, one before it the provider."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if len(values) > 2:
            parser.error("give a provider and one text: put quotes around the text")
        namespace.provider, namespace.text = ["local", *values][-2:]


class _IntermixedParser(argparse.ArgumentParser):
    """Lets options stand between the positional arguments of a command, as `chat yqcloud --no-stream Hello` does.

    argparse has `parse_known_intermixed_args` for that, but runs a command's parser by its `parse_known_args`. Here the
    second calls the first, which then calls the second twice: once for the options, once for the rest.
    """

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Between the two passes it would be lost that after `--` nothing is an option.
        if self._is_inside or self._subparsers is not None or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False
