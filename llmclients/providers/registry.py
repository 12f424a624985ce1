"""The providers by name: data, and codecs that are loaded when first used."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmclients.errors import ConfigurationError, UnknownProviderError
from llmclients.providers.presets import PRESETS
from llmclients.providers.provider import Endpoint, Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Endpoint", "Provider", "find_provider", "provider_names", "register_provider", "registered"]

ENTRY_POINT_GROUP = "llmclients.providers"


_BUILT_IN = (
    Provider(
        "local",
        "llmclients.codecs.openai_chat.codec:OpenAICodec",
        endpoint="llmclients.local.engine:endpoint",
        models=("SmolLM2-135M-Instruct",),
        default_model="SmolLM2-135M-Instruct",
        model_aliases={"smollm2": "SmolLM2-135M-Instruct"},
        working=True,
        # Its prompt has no place for tools, and the engine drops what has none.
        dialect={"without": ("tools", "tool_choice", "parallel_tool_calls"), "parts": ()},
        notes="A small model in this process. Needs the `local` extra.",
    ),
    Provider(
        "openai",
        "llmclients.codecs.openai_chat.codec:OpenAICodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        dialect={"own_max_tokens": "max_completion_tokens"},
        notes="OpenAI, and with `base_url` any server that speaks chat completions.",
    ),
    Provider(
        "openai-responses",
        "llmclients.codecs.openai_responses.codec:OpenAIResponsesCodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        notes="OpenAI's newer wire, and with `base_url` any server that speaks it.",
    ),
    Provider(
        "anthropic",
        "llmclients.codecs.anthropic.codec:AnthropicCodec",
        "https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        token_variables=("ANTHROPIC_AUTH_TOKEN",),
        key_required=True,
        base_url_variable="ANTHROPIC_BASE_URL",
        notes="Anthropic Messages, and with `base_url` any server that speaks them.",
    ),
    Provider(
        "gemini",
        "llmclients.codecs.gemini.codec:GeminiCodec",
        "https://generativelanguage.googleapis.com",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        key_required=True,
        base_url_variable="GOOGLE_GEMINI_BASE_URL",
        notes="Google's Gemini API.",
    ),
    Provider(
        "cohere",
        "llmclients.codecs.cohere.codec:CohereCodec",
        "https://api.cohere.com",
        key_variables=("CO_API_KEY", "COHERE_API_KEY"),
        key_required=True,
        base_url_variable="CO_API_URL",
        notes="Cohere's second chat API.",
    ),
    Provider(
        "ollama",
        "llmclients.codecs.ollama.codec:OllamaCodec",
        "http://localhost:11434",
        key_variables=("OLLAMA_API_KEY",),
        base_url_variable="OLLAMA_HOST",
        base_url_port=11434,
        notes="Ollama's own wire, on this machine.",
    ),
    Provider(
        "ylokh",
        "llmclients.codecs.openai_chat.ylokh:YlokhCodec",
        "https://chatapi.ylokh.xyz",
        models=("gpt-3.5-turbo",),
        default_model="gpt-3.5-turbo",
        working=False,
        notes="The public service is gone.",
    ),
    Provider(
        "yqcloud",
        "llmclients.codecs.raw_text.yqcloud:YqcloudCodec",
        "https://api.binjie.fun",
        models=("gpt-4",),
        default_model="gpt-4",
        only_listed_models=True,
        notes="The public service may or may not answer.",
    ),
    Provider(
        "yqcloud-legacy",
        "llmclients.codecs.raw_text.yqcloud_legacy:YqcloudLegacyCodec",
        "https://api.aichatos.cloud",
        aliases=("aichatos",),
        models=("gpt-3.5-turbo",),
        default_model="gpt-3.5-turbo",
        only_listed_models=True,
        working=False,
        notes="The public service is gone.",
    ),
    Provider(
        "ai365vip",
        "llmclients.codecs.raw_text.ai365vip:Ai365vipCodec",
        "https://chat.ai365vip.com",
        models=("gpt-3.5-turbo", "gpt-3.5-turbo-16k", "gpt-4o"),
        default_model="gpt-3.5-turbo",
        working=False,
        notes="The public service is behind a browser check.",
    ),
)

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


for _provider in (*_BUILT_IN, *PRESETS):
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
