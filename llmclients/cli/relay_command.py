"""The command `relay`: its arguments, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.relay.config import RelayConfig

__all__ = ["RELAY_KEY_VARIABLE", "add_relay", "add_serving", "relay"]

RELAY_KEY_VARIABLE = "LLMCLIENTS_RELAY_API_KEY"

_RELAY_PATHS = {
    "yqcloud, say": "/yqcloud",
    "OpenAI programs": "/openai/v1",
    "Anthropic programs": "/anthropic",
    "Gemini programs": "/gemini",
    "Ollama programs": "/ollama",
}
_SETTINGS = ("host", "port", "certfile", "keyfile", "drain_seconds", "max_request_bytes", "lenient", "page")
_LIMITS = ("connections", "head_seconds", "idle_seconds", "body_seconds", "body_pause_seconds", "write_seconds")


def add_relay(subparsers: Any, add_assignments: Callable[..., None]) -> None:
    """Add the command's parser. `add_assignments`: what adds an option of `NAME=VALUE`s to it."""
    parser = subparsers.add_parser("relay", help="serve the providers' wire formats in front of any provider")
    parser.add_argument("config", nargs="?", metavar="FILE", help="relay.toml: several providers, keys, budgets")
    parser.add_argument("--check", action="store_true", help="only say whether FILE, and all else, is right")
    parser.add_argument("--provider", help="who answers, in place of a FILE; default: local")
    parser.add_argument("--base-url", metavar="URL", help="another server that speaks the provider's format")
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="errors with a traceback")
    add_serving(parser, add_assignments)
    parser.set_defaults(run=relay, command="relay")


def add_serving(parser: Any, add_assignments: Callable[..., None]) -> None:
    """Add what says how it serves, whoever answers."""
    parser.add_argument("--host", help="the address to listen on; default: 127.0.0.1; beyond loopback it needs a key")
    parser.add_argument("--port", type=int, help="default: 8811; 0: any that is free")
    parser.add_argument(
        "--api-key", metavar="KEY", help=f"the key that clients must send; default: ${RELAY_KEY_VARIABLE}"
    )
    add_assignments(
        parser, "--default", "an option of calls that do not name it, such as max_tokens=64; may be repeated"
    )
    parser.add_argument(
        "--lenient",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="leave out, with a warning, what programs ask for in every request and nobody here can do; default: yes",
    )
    parser.add_argument(
        "--no-page", dest="page", action="store_false", default=None, help="no page for browsers at the root"
    )
    parser.add_argument("--log", choices=("text", "json"), help="a line for each request; default: text")
    parser.add_argument(
        "--cors-origin", metavar="ORIGIN", action="append", help="a web page's origin that may use it; may be repeated"
    )
    parser.add_argument("--certfile", metavar="FILE", help="the certificate (PEM), for https")
    parser.add_argument("--keyfile", metavar="FILE", help="its key, where that is another file")
    parser.add_argument(
        "--drain-seconds", type=float, metavar="SECONDS", help="how long SIGTERM waits for answers; default: 20"
    )
    parser.add_argument("--max-request-bytes", type=int, metavar="BYTES", help="the longest request; default: 32 MiB")
    for name in _LIMITS:
        flag = "--max-connections" if name == "connections" else f"--{name.replace('_', '-')}"
        kind, metavar = (int, "COUNT") if name == "connections" else (float, "SECONDS")
        parser.add_argument(flag, dest=name, type=kind, metavar=metavar, help="see ConnectionLimits")


def relay(arguments: argparse.Namespace) -> int:
    """Serve the relay in the foreground, until SIGINT or SIGTERM; its log goes to stderr."""
    from llmclients.async_client import AsyncClient
    from llmclients.relay import RelayConfig, serve
    from llmclients.relay.collector import spare_streams
    from llmclients.relay.log import log_on_stderr

    config, provider = None, arguments.provider or "local"
    if arguments.config is not None:
        if arguments.provider is not None or arguments.base_url is not None:
            raise ConfigurationError("a FILE says who answers: leave out --provider and --base-url", argument="config")
        config = RelayConfig.load(arguments.config)
    # An empty one is refused, as a script may have meant to give it.
    api_key = environ(RELAY_KEY_VARIABLE) if arguments.api_key is None else arguments.api_key
    settings = _settings(arguments, config)
    log_format = arguments.log or (config.server.log if config is not None else "text")
    client = config or AsyncClient(provider, base_url=arguments.base_url, retry=None)
    if arguments.check:
        return _check(client, api_key, settings, dict(arguments.default))
    has_key = "yes" if api_key or (config and (config.client_keys or config.server.api_key)) else "no"

    def ready(url: str) -> None:
        if config is None:
            from llmclients.providers.registry import find_provider

            start_server = find_provider(provider.partition("/")[0]).load_endpoint()
            if start_server is not None and arguments.base_url is None:
                start_server()  # what is missing for it is to be known now, not with the first request
        spare_streams()
        print(f"relay: {provider if config is None else config.source} at {url}, with a key: {has_key}")
        for users, path in _RELAY_PATHS.items():
            print(f"  base_url for {users}: {url}{path}")
        if config is not None and config.client_keys:
            print("  no page for a browser: it has one history, and the clients have keys of their own")
        elif arguments.page is not False:
            print(f"  page for a browser: {url}/{', which asks for the key' if has_key == 'yes' else ''}")
        print("Ctrl-C ends it.", flush=True)

    with log_on_stderr(log_format):
        serve(client, api_key=api_key, defaults=dict(arguments.default), ready=ready, **settings)
    return 0


def _settings(arguments: argparse.Namespace, config: RelayConfig | None) -> dict[str, Any]:
    """What the command line says in place of the file, or of what is so without one; None: nothing."""
    from llmclients.relay import ConnectionLimits

    limits = {name: getattr(arguments, name) for name in _LIMITS if getattr(arguments, name) is not None}
    base = config.server.limits if config is not None else ConnectionLimits()
    return {
        **{name: getattr(arguments, name) for name in _SETTINGS},
        "cors_origins": arguments.cors_origin,
        "limits": replace(base, **limits) if limits else None,
    }


def _check(client: Any, api_key: str | None, settings: dict[str, Any], defaults: dict[str, Any]) -> int:
    """Make all that serving needs, but listen to nobody; say what it is."""
    from llmclients.relay import RelayConfig
    from llmclients.relay.server import prepare

    prepare(client, {**settings, "api_key": api_key}, defaults)
    if not isinstance(client, RelayConfig):
        print("right")
        return 0
    print(f"{client.source} is right")
    for model, target in [*client.models.items(), *([("any other model", client.default)] if client.default else [])]:
        upstream = client.upstreams.get(target.partition("/")[0])
        keys = "" if upstream is None or len(upstream.api_keys) < 2 else f", {len(upstream.api_keys)} keys"
        fallbacks = "" if upstream is None or not upstream.fallbacks else f", else {', '.join(upstream.fallbacks)}"
        print(f"  {model}: {target}{keys}{fallbacks}")
    for entry in client.client_keys:
        values = {f.name: getattr(entry, f.name) for f in fields(entry) if f.name not in ("name", "key")}
        limits = ", ".join(f"{name} {value:,.15g}" for name, value in values.items() if value is not None)
        print(f"  key {entry.name}: {limits or 'no limits'}")
    return 0
