"""The command line's argument parser: commands, their options, and which function runs each."""

from __future__ import annotations

import argparse
import json
from typing import Any

from llmclients._version import __version__
from llmclients.cli import commands
from llmclients.cli.relay_command import add_relay

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
    add_relay(subparsers, _add_assignments)

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
