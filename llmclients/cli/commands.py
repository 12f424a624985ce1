"""The commands, one function each: parsed arguments in, what it prints on stdout, an exit code out.

They raise the library's errors and leave it to `main` to show them. Clients and the relay are imported by the commands
that use them, so that `llmclients --help` loads no HTTP library.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, provider_names
from llmclients.types.messages import MessageDict

__all__ = ["RELAY_KEY_VARIABLE", "chat", "demo", "local_install", "models", "providers", "relay"]

RELAY_KEY_VARIABLE = "LLMCLIENTS_RELAY_API_KEY"

_RELAY_PATHS = {"yqcloud, say": "/yqcloud", "OpenAI programs": "/openai/v1", "Anthropic programs": "/anthropic"}


def chat(arguments: argparse.Namespace) -> int:
    """Print the answer to one question, piece by piece or whole."""
    from llmclients.client import Client

    messages: list[MessageDict] = [
        {"role": "user", "content": _read_stdin() if arguments.text == "-" else arguments.text}
    ]
    if arguments.system is not None:
        messages.insert(0, {"role": "system", "content": arguments.system})
    options = dict(arguments.option)
    with Client(arguments.provider, model=arguments.model, base_url=arguments.base_url) as client:
        if not arguments.stream:
            print(client.chat(messages, **options))
            return 0
        has_text = False
        try:
            for chunk in client.stream(messages, **options):
                has_text = has_text or bool(chunk.text)
                print(chunk, end="", flush=True)
        finally:  # what follows, be it an error or the prompt, begins on a new line
            if has_text:
                print(flush=True)
    return 0


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"standard input is not text: {error}") from None


def models(arguments: argparse.Namespace) -> int:
    """Print a provider's models, one a line."""
    from llmclients.client import Client

    with Client(arguments.provider, base_url=arguments.base_url) as client:
        for name in client.models():
            print(name)
    return 0


def providers(arguments: argparse.Namespace) -> int:
    """Print the table of providers."""
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


def relay(arguments: argparse.Namespace) -> int:
    """Serve the relay in the foreground, until SIGINT or SIGTERM; its log goes to stderr."""
    from llmclients.async_client import AsyncClient
    from llmclients.relay import serve

    # An empty one is refused, as a script may have meant to give it.
    api_key = environ(RELAY_KEY_VARIABLE) if arguments.api_key is None else arguments.api_key
    client = AsyncClient(arguments.provider, base_url=arguments.base_url, retry=None)

    def ready(url: str) -> None:
        start_server = find_provider(arguments.provider.partition("/")[0]).load_endpoint()
        if start_server is not None and arguments.base_url is None:
            start_server()  # what is missing for it is to be known now, not with the first request
        print(f"relay: {arguments.provider} at {url}, with a key: {'yes' if api_key else 'no'}")
        for users, path in _RELAY_PATHS.items():
            print(f"  base_url for {users}: {url}{path}")
        if arguments.page:
            print(f"  page for a browser: {url}/")
        print("Ctrl-C ends it.", flush=True)

    with _log_on_stderr("llmclients.relay"):
        serve(
            client,
            host=arguments.host,
            port=arguments.port,
            api_key=api_key,
            defaults=dict(arguments.default),
            page=arguments.page,
            ready=ready,
        )
    return 0


@contextmanager
def _log_on_stderr(name: str) -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def local_install(arguments: argparse.Namespace) -> int:
    """Install what the embedded model needs."""
    from llmclients.local.install import install

    install()
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from llmclients import demo as program

    return program.run()
