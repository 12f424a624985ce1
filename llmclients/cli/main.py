"""The command line: `llmclients`, or `python -m llmclients`."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from llmclients._version import __version__
from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, provider_names

__all__ = ["RELAY_KEY_VARIABLE", "main"]

RELAY_KEY_VARIABLE = "LLMCLIENTS_RELAY_API_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 2 for the caller's mistake, 1 for a call that failed, 130 for Ctrl-C, 141 when nobody reads the output.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what it had to say
        return end.code if isinstance(end.code, int) else 2
    run: Callable[[argparse.Namespace], int] = arguments.run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer may have characters that the terminal has not
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = run(arguments)
            sys.stdout.flush()  # what nobody reads shows here at the latest
            return code
        except ConfigurationError as error:
            return _complain(error, 2)
        except LLMClientError as error:
            return _complain(error, 1)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            # The interpreter flushes stdout once more at its exit, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141


def _complain(error: Exception, code: int) -> int:
    print(f"llmclients: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    print(f"llmclients: warning: {message}", file=sys.stderr)


# --- the commands ---------------------------------------------------------------------------------------------------


def _chat(arguments: argparse.Namespace) -> int:
    from llmclients.client import Client

    provider, text = arguments.provider, arguments.text
    if text == "-":
        try:
            text = sys.stdin.read()
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"standard input is not text: {error}") from None
    messages = [{"role": "user", "content": text}]
    if arguments.system is not None:
        messages.insert(0, {"role": "system", "content": arguments.system})
    options = dict(arguments.option)
    with Client(provider, model=arguments.model, base_url=arguments.base_url) as client:
        if not arguments.stream:
            print(client.chat(messages, **options))
            return 0
        begun = False
        try:
            for chunk in client.stream(messages, **options):
                begun = begun or bool(chunk.text)
                print(chunk, end="", flush=True)
        finally:  # what follows, be it an error or the prompt, begins on a new line
            if begun:
                print(flush=True)
    return 0


def _models(arguments: argparse.Namespace) -> int:
    from llmclients.client import Client

    with Client(arguments.provider, base_url=arguments.base_url) as client:
        for name in client.models():
            print(name)
    return 0


def _providers(arguments: argparse.Namespace) -> int:
    rows = [("PROVIDER", "MODEL", "KEY", "SERVICE", "NOTES"), *(_row(find_provider(name)) for name in provider_names())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(provider: Provider) -> tuple[str, ...]:
    names = " ".join((provider.name, *(f"({alias})" for alias in provider.aliases)))
    key = " or ".join(provider.key_variables) or "none"
    service = {True: "working", False: "gone", None: "unknown"}[provider.working]
    return names, provider.default_model or "yours to name", key, service, provider.notes


def _relay(arguments: argparse.Namespace) -> int:
    from llmclients.async_client import AsyncClient
    from llmclients.relay import serve

    api_key = arguments.api_key or environ(RELAY_KEY_VARIABLE)
    client = AsyncClient(arguments.provider, base_url=arguments.base_url, retry=None)
    _log_to_stderr("llmclients.relay")

    def ready(url: str) -> None:
        start = find_provider(arguments.provider.partition("/")[0]).load_endpoint()
        if start is not None and arguments.base_url is None:
            start()  # what is missing for it is to be known now, not with the first request
        print(f"relay: {arguments.provider} at {url}, with a key: {'yes' if api_key else 'no'}")
        doors = {"yqcloud, say": "/yqcloud", "OpenAI programs": "/openai/v1", "Anthropic programs": "/anthropic"}
        for name, prefix in doors.items():
            print(f"  base_url for {name}: {url}{prefix}")
        print("Ctrl-C ends it.", flush=True)

    serve(
        client,
        host=arguments.host,
        port=arguments.port,
        api_key=api_key,
        defaults=dict(arguments.default),
        ready=ready,
    )
    return 0


def _log_to_stderr(name: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.addHandler(handler)


def _local_install(arguments: argparse.Namespace) -> int:
    from llmclients.local import engine as local

    local.install()
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from llmclients import demo

    return demo.run()


# --- the arguments --------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Lets options stand between the positional arguments of a command, as `chat yqcloud --no-stream Hello` does."""

    _inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Of a `--`, after which nothing is an option, the two passes of that would lose the meaning.
        if self._inside or self._subparsers is not None or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="llmclients", description="Chat models from the command line.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    chat = commands.add_parser(
        "chat",
        help="ask a provider",
        usage="%(prog)s [options] [PROVIDER] TEXT",
        description="Ask a provider; default: the embedded model.",
    )
    chat.add_argument(
        "words",
        nargs="+",
        action=_ProviderAndText,
        metavar="[PROVIDER] TEXT",
        help="the question; - for standard input",
    )
    chat.add_argument("--model", help="the model; default: the provider's own")
    chat.add_argument("--system", metavar="TEXT", help="a system message")
    chat.add_argument("--stream", action=argparse.BooleanOptionalAction, default=True, help="token by token")
    _add_options(chat, "--option", "an option of the call, such as temperature=0; may be repeated")
    chat.set_defaults(run=_chat)

    models = commands.add_parser("models", help="list a provider's models")
    models.add_argument("provider", metavar="PROVIDER")
    models.set_defaults(run=_models)

    commands.add_parser("providers", help="list the providers").set_defaults(run=_providers)

    relay = commands.add_parser("relay", help="serve the providers' wire formats in front of any provider")
    relay.add_argument("--provider", default="local", help="who answers; default: local")
    relay.add_argument("--host", default="127.0.0.1", help="the address to listen on; beyond loopback it needs a key")
    relay.add_argument("--port", type=int, default=8811, help="default: 8811; 0: any that is free")
    relay.add_argument(
        "--api-key", metavar="KEY", help=f"the key that clients must send; default: ${RELAY_KEY_VARIABLE}"
    )
    _add_options(relay, "--default", "an option of calls that do not name it, such as max_tokens=64; may be repeated")
    relay.set_defaults(run=_relay)

    for command in (chat, models, relay):
        command.add_argument("--base-url", metavar="URL", help="another server that speaks the provider's format")

    local = commands.add_parser("local", help="the embedded model")
    local_commands = local.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = local_commands.add_parser("install", help="fetch what the embedded model needs")
    install.set_defaults(run=_local_install)

    demo = commands.add_parser("demo", help="every provider's wire format, answered by the embedded model")
    demo.set_defaults(run=_demo)
    return parser


class _ProviderAndText(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if len(values) > 2:
            parser.error("give a provider and one text: put quotes around the text")
        namespace.provider, namespace.text = ["local", *values][-2:]


def _add_options(parser: argparse.ArgumentParser, flag: str, words: str) -> None:
    parser.add_argument(flag, metavar="NAME=VALUE", type=_option, action="append", default=[], help=words)


def _option(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; a value that is JSON is what it says, any other is text."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier() or name in ("self", "messages"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
