"""The providers by name: data, and codecs that are loaded when first used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from llmclients.codecs.base import Codec
from llmclients.errors import ConfigurationError, UnknownProviderError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Endpoint", "Provider", "find_provider", "provider_names", "register_provider", "registered"]

ENTRY_POINT_GROUP = "llmclients.providers"


class Endpoint(Protocol):
    """Where a server that was started on demand listens, and its key."""

    @property
    def base_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Provider:
    """Everything about a provider that is not its wire format.

    Attributes:
        name: what `Client` is given. No slash in it.
        codec: its wire format: a codec, or `"module:Class"` of one, loaded when first used.
        base_url: what the wire's paths are appended to; None when the caller must say, or `endpoint` does.
        aliases: other names of the provider.
        key_variables: environment variables that may hold the API key, the first that is set counts; none: no key.
        key_required: whether the public service refuses calls without a key.
        base_url_variable: an environment variable that replaces `base_url`.
        header_variables: headers taken from environment variables where those are set.
        models: the models known to be there; empty when it is for the service to say.
        default_model: the model of a call that names none; None when the caller must say.
        model_aliases: other names of models.
        only_listed_models: whether a model outside `models` is refused, because the wire has no field for it.
        working: whether the public service answers: False when it is known dead, None when nobody knows.
        notes: a sentence for the table of providers.
        endpoint: `"module:function"` that starts a server in this process and returns its `Endpoint`.
    """

    name: str
    codec: Codec | str
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_variables: tuple[str, ...] = ()
    key_required: bool = False
    base_url_variable: str | None = None
    header_variables: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    default_model: str | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    only_listed_models: bool = False
    working: bool | None = None
    notes: str = ""
    endpoint: str | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not name or "/" in name or name != name.strip().lower():
                raise ConfigurationError(
                    f"a provider's name is lower case and has no slash or space around it, not {name!r}",
                    argument="name",
                )

    def load_codec(self) -> Codec:
        """The codec; its module is loaded now."""
        return self.codec if isinstance(self.codec, Codec) else cast(Codec, _load(self.codec)())

    def load_endpoint(self) -> Callable[..., Endpoint] | None:
        """The function that starts the server, if there is one; its module is loaded now."""
        return cast("Callable[..., Endpoint]", _load(self.endpoint)) if self.endpoint else None


@functools.cache
def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{reference} does not load: {error}", argument="provider") from error


_BUILT_IN = (
    Provider(
        "local",
        "llmclients.codecs.openai:OpenAICodec",
        endpoint="llmclients.local:endpoint",
        models=("SmolLM2-135M-Instruct",),
        default_model="SmolLM2-135M-Instruct",
        model_aliases={"smollm2": "SmolLM2-135M-Instruct"},
        working=True,
        notes="A small model in this process. Needs the `local` extra.",
    ),
    Provider(
        "openai",
        "llmclients.codecs.openai:OpenAICodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        notes="OpenAI, and with `base_url` any server that speaks chat completions.",
    ),
    Provider(
        "openai-responses",
        "llmclients.codecs.openai_responses:OpenAIResponsesCodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        notes="OpenAI's newer wire.",
    ),
    Provider(
        "anthropic",
        "llmclients.codecs.anthropic:AnthropicCodec",
        "https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        key_required=True,
        base_url_variable="ANTHROPIC_BASE_URL",
        notes="Anthropic Messages.",
    ),
    Provider(
        "gemini",
        "llmclients.codecs.gemini:GeminiCodec",
        "https://generativelanguage.googleapis.com",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        key_required=True,
        base_url_variable="GOOGLE_GEMINI_BASE_URL",
        notes="Google's Gemini API.",
    ),
    Provider(
        "cohere",
        "llmclients.codecs.cohere:CohereCodec",
        "https://api.cohere.com",
        key_variables=("CO_API_KEY", "COHERE_API_KEY"),
        key_required=True,
        base_url_variable="CO_API_URL",
        notes="Cohere's second chat API.",
    ),
    Provider(
        "ollama",
        "llmclients.codecs.ollama:OllamaCodec",
        "http://localhost:11434",
        key_variables=("OLLAMA_API_KEY",),
        base_url_variable="OLLAMA_HOST",
        notes="Ollama's own wire, on this machine.",
    ),
    Provider(
        "ylokh",
        "llmclients.codecs.ylokh:YlokhCodec",
        "https://chatapi.ylokh.xyz",
        models=("gpt-3.5-turbo",),
        default_model="gpt-3.5-turbo",
        working=False,
        notes="The public service is gone.",
    ),
    Provider(
        "yqcloud",
        "llmclients.codecs.yqcloud:YqcloudCodec",
        "https://api.binjie.fun",
        models=("gpt-4",),
        default_model="gpt-4",
        only_listed_models=True,
        notes="The public service may or may not answer.",
    ),
    Provider(
        "yqcloud-legacy",
        "llmclients.codecs.yqcloud_legacy:YqcloudLegacyCodec",
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
        "llmclients.codecs.ai365vip:Ai365vipCodec",
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


for _provider in _BUILT_IN:
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
