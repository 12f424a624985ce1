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
    """Where a server in this process listens, and the key that it asks for: what `Provider.endpoint` returns."""

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
        base_url: what the wire's paths are appended to; None when the caller must give it, or `endpoint` does.
        aliases: other names of the provider.
        key_variables: environment variables that may hold the API key, the first that is set counts; none: no key.
        token_variables: environment variables that may hold a token, for where there is no key: it goes out as
            `Authorization: Bearer`, whatever header the wire has for a key.
        key_required: whether the public service refuses calls without a key.
        base_url_variable: an environment variable that replaces `base_url`.
        base_url_port: the port for a bare host in `base_url_variable`; None: that holds a URL.
        header_variables: headers taken from environment variables where those are set.
        models: the models known to be there; empty when the service is to be asked.
        default_model: the model of a call that names none; None when the caller must name one.
        model_aliases: other names of models.
        only_listed_models: whether a model outside `models` is refused, because the wire has no field for it.
        working: whether the public service answers: False when it is known dead, None when nobody knows.
        notes: a sentence for the table of providers.
        dialect: keyword arguments for the codec's class, where `codec` names one: how this server differs from others
            with the same wire format. Chat completions take the attributes of
            `llmclients.codecs.openai_chat.dialect.Dialect`.
        think_tags: whether its models' reasoning may stand in `<think>` tags in front of the text.
        endpoint: `"module:function"` of a function that starts a server in this process and returns its `Endpoint`.
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
    header_variables: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    default_model: str | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    only_listed_models: bool = False
    working: bool | None = None
    notes: str = ""
    dialect: Mapping[str, Any] = field(default_factory=dict)
    think_tags: bool = False
    endpoint: str | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not name or "/" in name or name != name.strip().lower():
                raise ConfigurationError(
                    f"a provider's name is lower case and has no slash or space around it, not {name!r}",
                    argument="name",
                )

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
        except TypeError as error:
            raise ConfigurationError(f"{self.name}: {error}", argument="dialect") from error

    def load_endpoint(self) -> Callable[..., Endpoint] | None:
        """The function that starts the server, if there is one; its module is imported now.

        Raises:
            ConfigurationError: it cannot be imported.
        """
        return cast("Callable[..., Endpoint]", _load(self.endpoint)) if self.endpoint else None


@functools.cache
def _load(reference: str) -> Any:
    """What `"module:name"` refers to."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{reference} does not load: {error}", argument="provider") from error
