"""The commands of the relay, the local model and the demo: parsed arguments in, an exit code out.

They raise the library's errors and leave it to `main` to show them. Clients and the relay are imported by the commands
that use them, so that `llmclients --help` loads no HTTP library.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from llmclients.cli.arguments import RELAY_KEY_VARIABLE
from llmclients.config.environment import environ
from llmclients.providers.registry import find_provider

__all__ = ["RELAY_KEY_VARIABLE", "demo", "local_install", "local_path", "relay"]

_RELAY_PATHS = {"yqcloud, say": "/yqcloud", "OpenAI programs": "/openai/v1", "Anthropic programs": "/anthropic"}


def relay(arguments: argparse.Namespace) -> int:
    """Serve the relay in the foreground, until SIGINT or SIGTERM; its log goes to stderr."""
    from llmclients.async_client import AsyncClient
    from llmclients.relay import serve

    # An empty one is refused, as a script may have meant to give it.
    api_key = environ(RELAY_KEY_VARIABLE) if arguments.api_key is None else arguments.api_key
    provider, base_url = vars(arguments).get("provider", "local"), vars(arguments).get("base_url")
    client = AsyncClient(provider, base_url=base_url, retry=None)

    def ready(url: str) -> None:
        start_server = find_provider(provider.partition("/")[0]).load_endpoint()
        if start_server is not None and base_url is None:
            start_server()  # what is missing for it is to be known now, not with the first request
        print(f"relay: {provider} at {url}, with a key: {'yes' if api_key else 'no'}")
        for users, path in _RELAY_PATHS.items():
            print(f"  base_url for {users}: {url}{path}")
        print("Ctrl-C ends it.", flush=True)

    with _log_on_stderr("llmclients.relay"):
        serve(
            client,
            host=arguments.host,
            port=arguments.port,
            api_key=api_key,
            defaults=dict(arguments.default),
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


def local_path(arguments: argparse.Namespace) -> int:
    """Print where the weights of the embedded model are."""
    from llmclients.local.weights import find_weights

    print(find_weights())
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from llmclients import demo as program

    return program.run()
