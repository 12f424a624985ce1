"""The providers by name: data, and codecs that are loaded when first used."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmclients.errors import ConfigurationError, UnknownProviderError
from llmclients.providers.builtin import BUILT_IN
from llmclients.providers.presets import PRESETS
from llmclients.providers.provider import Endpoint, Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Endpoint", "Provider", "find_provider", "provider_names", "register_provider", "registered"]

ENTRY_POINT_GROUP = "llmclients.providers"

_registered: dict[str, Provider] = {}


def register_provider(provider: Provider, *, replace: bool = False) -> None:
    """Make a provider known in this process. Packages do so by an entry point in the group `llmclients.providers`.

    Raises:
        ConfigurationError: the name or an alias is taken, and `replace` is not set.
    """
    for name in (provider.name, *provider.aliases):
        if name in _registered and not replace:
            raise ConfigurationError(f"a provider named {name!r} is registered already", argument="provider")
    _registered.update(dict.fromkeys((provider.name, *provider.aliases), provider))


for _provider in (*BUILT_IN, *PRESETS):
    register_provider(_provider)


@contextmanager
def registered(provider: Provider) -> Iterator[None]:
    """Make a provider known for as long as the block runs, also in the place of another of its name: for tests."""
    before = dict(_registered)
    register_provider(provider, replace=True)
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


def find_provider(name: str) -> Provider:
    """The provider of that name or alias, in any case.

    Raises:
        UnknownProviderError: there is none; the message names the nearest known ones.
        ConfigurationError: an installed package has one of that name, but it does not load.
    """
    key = name.strip().lower()
    # Looking through the installed packages takes milliseconds: only for a name that is not known otherwise.
    provider = _registered.get(key) or _from_entry_point(key)
    if provider is not None:
        return provider
    import difflib

    near = difflib.get_close_matches(key, {*_registered, *_entry_points()}, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(provider_names())}"
    raise UnknownProviderError(f"there is no provider named {name!r}: {hint}", argument="provider")


def provider_names() -> list[str]:
    """The names of all providers, those that installed packages bring included, sorted."""
    return sorted({provider.name for provider in _registered.values()} | set(_entry_points()))


@functools.cache
def _entry_points() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name.lower(): entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


@functools.cache
def _from_entry_point(name: str) -> Provider | None:
    entry = _entry_points().get(name)
    if entry is None:
        return None
    try:
        value = entry.load()
        provider = value if isinstance(value, Provider) else value()
    except Exception as error:  # another package's code may fail in any way
        raise ConfigurationError(
            f"the provider {name!r} of an installed package does not load ({entry.value}): {error}", argument="provider"
        ) from error
    if not isinstance(provider, Provider):
        raise ConfigurationError(f"the entry point {entry.value} is not a Provider", argument="provider")
    return provider
