"""The commands of `llmclients keys`: keep, list and forget providers' keys. None of them ever prints a key."""

from __future__ import annotations

import argparse
import json
import sys

from llmclients.config.credentials import key_origin, resolve_key
from llmclients.config.environment import environ
from llmclients.config.stored_keys import forget_key, keep_key, keys_path, stored_names
from llmclients.errors import ConfigurationError
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, provider_names

__all__ = ["list_keys", "remove_key", "set_key"]


def set_key(arguments: argparse.Namespace) -> int:
    """Ask for a key, or read it from standard input, and keep it."""
    provider = _with_key(arguments.provider)
    given = _asked(provider)
    if not given.strip():
        raise ConfigurationError("no key was given: nothing is kept")
    key = resolve_key(provider, given)
    assert key is not None
    variable = provider.key_variables[0]
    place = keep_key(variable, key, "file" if arguments.file else None)
    where = "the system's keyring" if place == "keyring" else keys_path()
    print(f"The key of {provider.name} is kept in {where}.")
    if place == "file" and not arguments.file:
        print("(The system has no keyring that works.)")
    if any(map(environ, provider.key_variables)):
        print(f"{' or '.join(provider.key_variables)} is set, too, and counts for more.")
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Print whose keys there are, and where."""
    found = {}
    for provider in map(find_provider, provider_names()):
        if provider.key_variables and (origin := key_origin(provider)):
            found[provider.name] = origin
    if arguments.json:
        print(json.dumps(found))
        return 0
    widest = max(map(len, found), default=0)
    for name, origin in found.items():
        print(f"{name.ljust(widest)}  {origin if origin in ('keyring', 'file') else f'${origin}'}")
    if not found:
        print("llmclients: no key is set: llmclients keys set PROVIDER", file=sys.stderr)
    return 0


def remove_key(arguments: argparse.Namespace) -> int:
    """Forget a key. The exit code is 1 where none was kept."""
    provider = _with_key(arguments.provider)
    kept = [name for name in provider.key_variables if name in stored_names()]
    for name in kept:
        forget_key(name)
    if not kept:
        print(f"llmclients: no key of {provider.name} is kept", file=sys.stderr)
    for name in filter(environ, provider.key_variables):
        print(f"llmclients: {name} is still set in the environment", file=sys.stderr)
    return 0 if kept else 1


def _with_key(name: str) -> Provider:
    provider = find_provider(name)
    if not provider.key_variables:
        raise ConfigurationError(f"{provider.name} takes no key")
    return provider


def _asked(provider: Provider) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    from getpass import getpass

    try:
        return getpass(f"The key of {provider.name} (it is not shown): ")
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)  # what the shell writes next begins a line
        raise KeyboardInterrupt from None
