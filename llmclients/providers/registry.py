"""The registry of providers: finds one by its name or an alias, among the built-in, the registered and the installed.

Registered providers are in one dict of this process, the built-in ones from the start. Installed providers are entry
points of packages in the group `llmclients.providers`: their names are read from the packages' metadata, and a package
is imported when one of its names is asked for and no registered provider has it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmclients.errors import ConfigurationError, UnknownProviderError
from llmclients.providers.builtin import BUILT_IN
from llmclients.providers.hosts import HOSTS
from llmclients.providers.names import ENTRY_POINT_GROUP
from llmclients.providers.presets import PRESETS
from llmclients.providers.provider import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    *("ENTRY_POINT_GROUP", "find_provider", "likely_client", "provider_names", "providers_with_option"),
    *("register_provider", "registered"),
]

_registered: dict[str, Provider] = {}  # by name and by alias


def register_provider(provider: Provider, *, replace: bool = False) -> None:
    """Make a provider known in this process, by its name and its aliases.

    A package that brings a provider declares it as an entry point in the group `llmclients.providers` instead.

    Args:
        provider: the provider.
        replace: whether it takes the place of others that have one of these names.

    Raises:
        ConfigurationError: it is no provider; or the name or an alias is taken, and `replace` is not set.
    """
    if not isinstance(provider, Provider):
        raise ConfigurationError(f"provider must be a Provider(…), not {type(provider).__name__}", argument="provider")
    for name in (provider.name, *provider.aliases):
        if name in _registered and not replace:
            raise ConfigurationError(f"a provider named {name!r} is registered already", argument="provider")
    _registered.update(dict.fromkeys((provider.name, *provider.aliases), provider))


for _provider in (*BUILT_IN, *PRESETS, *HOSTS):
    register_provider(_provider)


@contextmanager
def registered(provider: Provider) -> Iterator[None]:
    """Make a provider known inside a `with` block, also in the place of another of its name: for tests."""
    before = dict(_registered)
    register_provider(provider, replace=True)
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


_MAX_NAME = 30  # characters
_KEYS = ("sk-", "sk_", "gsk_", "xai-", "aiza", "hf_", "nvapi-", "pplx-", "csk-", "fw_")


_ADDRESS = r"https?:$|localhost\b|[\w.-]+:\d{2,5}$|\d+\.\d+\.\d+\.\d+"  # only mistakes need it compiled


def find_provider(name: str, model: str | None = None) -> Provider:
    """The provider of that name or alias, in upper or lower case. `model` is what was named with it, for a hint.

    Raises:
        UnknownProviderError: there is none; the message names similar ones.
        ConfigurationError: an installed package has one of that name, but it cannot be imported.
    """
    key = name.strip().lower()
    # Looking through the installed packages takes milliseconds: only for a name that is not known otherwise.
    provider = _registered.get(key) or _from_entry_point(key)
    if provider is not None:
        return provider
    # A long name, or one that begins as keys do, may be a key that was given in the wrong place.
    if len(name) > _MAX_NAME or key.startswith(_KEYS):
        called, likely = "of that name", []
    else:
        called, likely = f"named {name!r}", _likely(name.strip(), model)
    hint = f"did you mean {' or '.join(likely)}?" if likely else f"known are {', '.join(provider_names())}"
    if re.match(_ADDRESS, key):
        hint = "a server's address is base_url=, as in Client('openai/any-model', base_url='http://127.0.0.1:8080/v1')"
    raise UnknownProviderError(f"there is no provider {called}: {hint}", argument="provider")


def likely_client(model: str) -> str | None:
    """What to give `Client` for a model: `openai/gpt-4o` of `gpt-4o`, and of itself; None if nobody can tell."""
    name, slash, rest = model.partition("/")
    if slash and rest:
        try:
            return f"{find_provider(name).name}/{rest}"
        except ConfigurationError:
            return None
    from llmclients.providers.families import family_of, likely_provider  # which only mistakes need

    name, colon, rest = model.partition(":")
    if colon and rest:  # as some libraries write it; Ollama's models are written so, too
        known = _registered.get(name.lower())
        if (provider := known.name if known else likely_provider(name.lower())) is not None:
            return f"{provider}/{rest}"
    provider = family_of(model)
    return f"{provider}/{model}" if provider else None


def _likely(name: str, model: str | None) -> list[str]:
    """What may have been meant by the name of no provider, best first."""
    from llmclients.providers.families import likely_provider

    key = name.lower()
    if (provider := likely_provider(key)) is not None:
        return [repr(f"{provider}/{model}" if model else provider)]
    if model is None and (client := likely_client(name)) is not None:
        return [repr(client)]
    import difflib

    similar = difflib.get_close_matches(key, {*_registered, *_entry_points()}, n=3, cutoff=0.7)
    return [f"{one}/{model}" if model else one for one in similar] if len(similar) == 1 else similar


def provider_names() -> list[str]:
    """The names of all providers, those that installed packages bring included, sorted."""
    return sorted({provider.name for provider in _registered.values()} | set(_entry_points()))


def providers_with_option(option: str) -> list[str]:
    """The names of the providers whose wire has an option that not all have; of those that are known without a look at
    installed packages."""
    found = {provider.name: provider for provider in _registered.values()}
    return sorted(name for name, provider in found.items() if option in provider.load_codec().options.model_fields)


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
        loaded = entry.load()
        provider = loaded if isinstance(loaded, Provider) else loaded()  # a function that makes one
    except Exception as error:  # another package's code may fail in any way
        raise ConfigurationError(
            f"the provider {name!r} of an installed package does not load ({entry.value}): {error}", argument="provider"
        ) from error
    if not isinstance(provider, Provider):
        raise ConfigurationError(f"the entry point {entry.value} is not a Provider", argument="provider")
    return provider
