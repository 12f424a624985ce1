"""`Provider`: the addresses, keys, models and dialect of a provider, as data, and which codec has its wire format."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from llmclients.codecs.base import Codec
from llmclients.errors import ConfigurationError

__all__ = ["Endpoint", "Provider"]


class Endpoint(Protocol):
    """Where a server of this program listens, and the key that it asks for: what `Provider.endpoint` returns."""

    @property
    def base_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # what each adds, each start of a program pays
class Provider:
    """Everything about a provider that is not its wire format.

    Attributes:
        name: what `Client` is given. No slash in it.
        codec: its wire format: a codec, or `"module:Class"` of one, loaded when first used.
        base_url: what the wire's paths are appended to; None when the caller must give it, or `endpoint` does.
        aliases: other names of the provider.
        key_variables: environment variables that may hold the API key, the first that is set counts; none: no key.
        token_variables: environment variables that may hold a token, for where there is no key: it goes out as
            `Authorization: Bearer`, whatever header the wire has for a key.
        key_required: whether the public service refuses calls without a key.
        base_url_variable: an environment variable that replaces `base_url`.
        base_url_port: the port for a bare host in `base_url_variable`, which gets the path of `base_url` where it has
            none; None: that variable holds a URL.
        base_url_path: the path that completes an address which the caller or `base_url_variable` gives without one:
            makers whose addresses differ by account name the host alone.
        region_variables: environment variables that name the region, for a `base_url` with `{region}` in it, the first
            that is set counts; none: its address is the same everywhere.
        option_variables: options of the wire's own taken from environment variables where those are set.
        header_variables: headers taken from environment variables where those are set.
        models: the models known to be there; empty when the service is to be asked.
        default_model: the model of a call that names none; None when the caller must name one.
        model_aliases: other names of models.
        only_listed_models: whether a model outside `models` is refused, because the wire has no field for it.
        chat_read_timeout: seconds that a plain `chat` waits for the next bytes, unless the caller says how long. By
            default as long as OpenAI's and Anthropic's SDKs do.
        working: whether the public service answers: False when it is known dead, None when nobody knows.
        notes: a sentence for the table of providers.
        dialect: keyword arguments for the codec's class, where `codec` names one: how this server differs from others
            with the same wire format. A codec that is made already takes none. Chat completions take the attributes of
            `llmclients.codecs.openai_chat.dialect.Dialect`.
        think_tags: whether its models' reasoning may stand in `<think>` tags in front of the text.
        endpoint: `"module:function"` of a function that starts a server on this machine and returns its `Endpoint`. Its
            parameters are the client's arguments `model_path`, `context_size` and `threads`, each None by default.
        endpoint_models: `"module:function"` of a function that tells, by `model_path` or None, what the model of that
            server may be called, its own name first. Another one's name is refused. None: any name will do.
    """

    name: str
    codec: Codec | str
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_variables: tuple[str, ...] = ()
    token_variables: tuple[str, ...] = ()
    key_required: bool = False
    base_url_variable: str | None = None
    base_url_port: int | None = None
    base_url_path: str = ""
    region_variables: tuple[str, ...] = ()
    option_variables: Mapping[str, str] = field(default_factory=dict)
    header_variables: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    default_model: str | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    only_listed_models: bool = False
    chat_read_timeout: float = 600.0
    working: bool | None = None
    notes: str = ""
    dialect: Mapping[str, Any] = field(default_factory=dict)
    think_tags: bool = False
    endpoint: str | None = None
    endpoint_models: str | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not name or "/" in name or name != name.strip().lower():
                raise ConfigurationError(
                    f"a provider's name is lower case and has no slash or space around it, not {name!r}",
                    argument="name",
                )
        if ("{region}" in (self.base_url or "")) != bool(self.region_variables):
            raise ConfigurationError(
                f"{self.name}: region_variables and a base_url with {{region}} go together", argument="region_variables"
            )
        if self.base_url_path and not self.base_url_path.startswith("/"):
            raise ConfigurationError(f"{self.name}: base_url_path begins with a slash", argument="base_url_path")
        if self.dialect and isinstance(self.codec, Codec):
            raise ConfigurationError(
                f"{self.name}: a codec that is made already has its dialect: give that to its class, or name the class "
                "as 'module:Class'",
                argument="dialect",
            )

    def __repr__(self) -> str:
        return f"Provider({self.name!r})"

    def load_codec(self) -> Codec:
        """The codec; its module is imported now.

        Raises:
            ConfigurationError: it cannot be imported, or its class does not take the dialect.
        """
        if isinstance(self.codec, Codec):
            return self.codec
        codec_class = _load(self.codec)
        try:
            return cast(Codec, codec_class(**self.dialect))
        except (TypeError, ConfigurationError) as error:
            raise ConfigurationError(f"{self.name}: {error}", argument="dialect") from error

    def load_endpoint(self) -> Callable[..., Endpoint] | None:
        """The function that starts the server, if there is one; its module is imported now.

        Raises:
            ConfigurationError: it cannot be imported.
        """
        return cast("Callable[..., Endpoint]", _load(self.endpoint)) if self.endpoint else None

    def load_endpoint_models(self) -> Callable[..., tuple[str, ...]] | None:
        """The function that tells the names of its model, if there is one; its module is imported now.

        Raises:
            ConfigurationError: it cannot be imported.
        """
        return cast("Callable[..., tuple[str, ...]]", _load(self.endpoint_models)) if self.endpoint_models else None

    def missing_address(self) -> ConfigurationError:
        """The error for a client that was told no address, where the provider has none of its own."""
        if self.region_variables:
            variables = " or ".join(self.region_variables)
            return ConfigurationError(f"{self.name} needs a region: give region= or set {variables}", argument="region")
        variable = f" or set {self.base_url_variable}" if self.base_url_variable else ""
        return ConfigurationError(
            f"{self.name} has no address of its own: give base_url={variable}", argument="base_url"
        )


@functools.cache
def _load(reference: str) -> Any:
    """What `"module:name"` refers to."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{reference} does not load: {error}", argument="provider") from error
