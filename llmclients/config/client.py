"""`ClientSettings`: a client's arguments, checked once, for both clients: provider, model, key, address, limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from typing_extensions import Unpack

from llmclients.codecs.base import Codec, CodecOptions
from llmclients.config.certificates import ClientCertificate, client_certificate
from llmclients.config.credentials import has_token, missing_key, request_headers, resolve_key
from llmclients.config.endpoint import address_of, model_of_address, option_defaults
from llmclients.config.environment import ca_bundle
from llmclients.config.fallback import REQUEST_FIELDS, AnyClient, Fallback, fallbacks, with_defaults
from llmclients.config.parts import check_parts
from llmclients.config.server import SERVER_OPTIONS, other_model, server_on_demand
from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Proxy, RetryPolicy, Timeout
from llmclients.errors import (
    ConfigurationError,
    InvalidRequestError,
    UnsupportedOptionError,
)
from llmclients.providers.provider import Endpoint, Provider
from llmclients.providers.registry import find_provider, providers_with_option
from llmclients.transports.base import TransportSettings
from llmclients.transports.stand_in import is_mocked
from llmclients.types.base import make_model
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest

if TYPE_CHECKING:  # few clients have limits; options are for checkers only
    from llmclients.bulk.limits import Limits
    from llmclients.config.hints import ClientPlace
    from llmclients.config.pickled import KeySource
    from llmclients.types.options import ChatOptions

__all__ = ["ClientOptions", "ClientSettings"]


class ClientOptions(TypedDict, total=False):
    """A client's arguments besides the provider and the transport. `BaseClient` says what they mean."""

    model: str | None
    api_key: str | None
    base_url: str | None
    region: str | None
    model_path: str | os.PathLike[str] | None
    context_size: int | None
    threads: int | None
    headers: Mapping[str, str] | None
    timeout: Timeout | float | None
    retry: RetryPolicy | int | None
    proxy: Proxy | str | bool | None
    fallback: Sequence[str | AnyClient]
    defaults: ChatOptions[Any] | None
    trust_env: bool
    verify: bool | str | os.PathLike[str]
    cert: ClientCertificate | None
    max_response_bytes: int
    limits: Limits | None


_FIRST_PROVIDER_ONLY = (
    *("model", "api_key", "base_url", "region", *SERVER_OPTIONS),
    *("headers", "fallback", "defaults", "limits"),
)
"""What says nothing to the providers to fall back on: `headers` may hold a key, and that is for the first provider.
`defaults` are handed on by each call, as far as they concern others."""


class ClientSettings(NamedTuple):
    """A client's arguments, resolved.

    `base_url` and `api_key` are None until `start` has run for a provider whose server is started on demand.

    Attributes:
        models: the only names that it takes; none: any.
        server_options: what `start` is given, by name.
        timeout: the limits of a stream, and of all that is no chat; numbers all.
        chat_timeout: those of a plain chat.
        option_defaults: the wire's own options of calls that do not name them: the environment's, the address's.
        defaults: the client's options of calls that do not name them.
        key_source: where the key, or a token in its place, comes from.
        has_caller_headers: whether `headers` has some of the caller's.
        unusable: why no call can be made, where pickling has taken the key away.
        limits: what the calls ask for their permits, a `calls.pacing.Pacer`; None: nobody.
    """

    provider: Provider
    codec: Codec
    model: str | None
    base_url: str | None
    api_key: str | None
    is_default_endpoint: bool
    headers: tuple[tuple[str, str], ...]
    timeout: Timeout
    chat_timeout: Timeout
    retry: RetryPolicy
    transport: TransportSettings
    start: Callable[[], Endpoint] | None = None
    server_options: Mapping[str, Any] = {}
    models: tuple[str, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    option_defaults: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}
    key_source: KeySource = "none"
    has_caller_headers: bool = False
    unusable: str | None = None
    limits: Any = None

    @classmethod
    def from_arguments(cls, provider: str = "local", **options: Unpack[ClientOptions]) -> ClientSettings:
        """The settings of a client with these arguments.

        Raises:
            ConfigurationError: naming the argument that is wrong, or unknown.
        """
        found, model = _provider_and_model(provider, options.get("model"))
        _check_names(found, options)
        codec = found.load_codec()
        address, is_default = address_of(found, codec, options.get("base_url"), options.get("region"))
        start, models = server_on_demand(found, options, needed=address is None)
        if start is not None and model is None and found.default_model not in models:
            model = next(iter(models), None)
        key = resolve_key(found, options.get("api_key"))
        if key is None and is_default and not is_mocked() and (error := missing_key(found)) is not None:
            raise error
        timeout = Timeout.coerce(options.get("timeout"))
        settings = cls(
            provider=found,
            codec=codec,
            model=model_of_address(model, address),
            base_url=None if address is None else address.base_url,
            api_key=key,
            is_default_endpoint=is_default and start is None,
            headers=request_headers(
                found, options.get("headers"), is_default_endpoint=is_default, has_key=key is not None
            ),
            timeout=timeout.with_read(),
            chat_timeout=timeout.with_read(found.chat_read_timeout),
            retry=RetryPolicy.coerce(options.get("retry", RetryPolicy())),
            transport=_transport_settings(options),
            start=start,
            server_options={name: options[name] for name in SERVER_OPTIONS if name in options},  # type: ignore[literal-required]
            models=models,
            fallbacks=fallbacks(cls, options.get("fallback", ()), _shared(options)),
            option_defaults=option_defaults(found, address),
            key_source=_key_source(found, options, key),
            has_caller_headers=bool(options.get("headers")),
            limits=_limits(options),
        )
        settings = with_defaults(settings, options.get("defaults"))
        if start is not None and model:
            settings.model_name(None)  # a name that no call can use is refused at once
        return settings

    def __repr__(self) -> str:  # without the key, and the headers that may hold one
        return f"ClientSettings({self.label!r})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """For pickle: everything but the key. Raises TypeError: something else of it may be a secret."""
        from llmclients.config.pickled import reduced  # few clients are pickled

        return reduced(self)

    @property
    def label(self) -> str:
        """What the client was made for, as it would be written: `name/model`."""
        return f"{self.provider.name}/{self.model}" if self.model else self.provider.name

    def request(
        self, messages: list[Message], model: str | None, options: Mapping[str, Any]
    ) -> tuple[ChatRequest, CodecOptions]:
        """One call's request and codec options, checked. The messages become part of the request as they are.

        Raises:
            ConfigurationError: naming the argument that is wrong, unknown, or unknown to this wire.
        """
        if self.defaults:
            options = {**self.defaults, **options}
        options_type = self.codec.options
        if not options and not self.option_defaults:  # as most calls have none
            request = ChatRequest.from_checked(messages, model=self.model_name(model))
            check_parts(request.messages, self.codec, self.provider.name)
            return request, _default_options(options_type)
        codec_options = {name: value for name, value in options.items() if name in options_type.model_fields}
        common = {name: value for name, value in options.items() if name not in codec_options}
        for name, value in common.items():
            if name not in REQUEST_FIELDS:
                raise UnsupportedOptionError(f"there is no option {name!r}{self.hint(name)}", argument=name)
            if value is not None and name != "extra" and name not in self.codec.fields:
                from llmclients.config.hints import hint_of_field  # which only mistakes need

                raise UnsupportedOptionError(
                    f"{self.provider.name} cannot carry the option {name!r}: its wire has no field for it"
                    f"{hint_of_field(name)}",
                    argument=name,
                )
        request = ChatRequest.from_checked(messages, model=self.model_name(model), **common)
        check_parts(request.messages, self.codec, self.provider.name)
        codec_options = {**self.option_defaults, **codec_options}
        return request, options_type(**codec_options) if codec_options else _default_options(options_type)

    def carries(self, option: str) -> bool:
        """Whether a call can have this option: the wire has a field for it, and so has each wire to fall back on."""
        if option in self.codec.options.model_fields:
            return True  # the providers to fall back on are not told
        return option in self.codec.fields and all(other.settings.carries(option) for other in self.fallbacks)

    def hint(self, name: str, place: ClientPlace = "call") -> str:
        """What to say of an argument that there is not, at this place; mostly nothing."""
        from llmclients.config.hints import hint_for  # which only mistakes need

        known = {*REQUEST_FIELDS, *self.codec.options.model_fields}
        return hint_for(name, place, known, _ARGUMENTS, providers_with_option)

    @property
    def default_model(self) -> str | None:
        """The model of a call that names none, by its own name; None if there is none, or the provider has no such."""
        try:
            return self.model_name(None)
        except InvalidRequestError:
            return None

    def model_name(self, model: str | None) -> str:
        """The model of a call, by its own name.

        Raises:
            InvalidRequestError: none was named and there is no default, or the provider has no such model.
        """
        provider = self.provider
        name = model or self.model or provider.default_model
        if not name or not isinstance(name, str):
            raise InvalidRequestError(f"{provider.name} needs a model: give model=", argument="model")
        name = provider.model_aliases.get(name, name)
        if self.models and name not in self.models:
            raise other_model(provider, self.models, name, is_started=self.start is not None)
        return name


@cache
def _default_options(options_type: type[CodecOptions]) -> CodecOptions:
    """A codec's options where a call has none. Without a validator: to build one takes longer than a chat."""
    if any(field.is_required() for field in options_type.model_fields.values()):
        return options_type()  # which says what is missing
    return make_model(options_type)


_ARGUMENTS = frozenset(ClientOptions.__annotations__)


def _check_names(provider: Provider, options: ClientOptions) -> None:
    """Raise ConfigurationError for an argument that no client has."""
    for name in options:
        if name not in _ARGUMENTS:
            from llmclients.config.hints import hint_for  # which only mistakes need

            known = {*REQUEST_FIELDS, *provider.load_codec().options.model_fields}
            hint = hint_for(name, "client", known, _ARGUMENTS, providers_with_option)
            raise ConfigurationError(f"a client has no argument {name!r}{hint}", argument=name)


def _provider_and_model(provider: str, model: str | None) -> tuple[Provider, str | None]:
    """The provider of `"name"` or `"name/model"`, and the model that one of the two arguments names."""
    if not isinstance(provider, str):
        raise ConfigurationError(f"provider must be a name, not {type(provider).__name__}", argument="provider")
    name, slash, named_model = provider.partition("/")
    found = find_provider(name, named_model or None)
    if slash and model is not None:
        raise ConfigurationError(f"the model is named twice: {named_model!r} and {model!r}", argument="model")
    return found, named_model if slash else model


def _shared(options: ClientOptions) -> dict[str, Any]:
    """The arguments that hold for the providers to fall back on, too, as far as these are only named."""
    return {name: value for name, value in options.items() if name not in _FIRST_PROVIDER_ONLY}


def _key_source(provider: Provider, options: ClientOptions, key: str | None) -> KeySource:
    if options.get("api_key") is not None:
        return "argument"
    return "none" if key is None and not has_token(provider) else "environment"


def _transport_settings(options: ClientOptions) -> TransportSettings:
    limit = options.get("max_response_bytes", DEFAULT_MAX_RESPONSE_BYTES)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigurationError("max_response_bytes must be a positive whole number", argument="max_response_bytes")
    trust_env = options.get("trust_env", True)
    return TransportSettings(
        proxy=Proxy.coerce(options.get("proxy")),
        trust_env=trust_env,
        verify=ca_bundle(options.get("verify", True), trust_env),
        cert=client_certificate(options.get("cert")),
        max_response_bytes=limit,
    )


def _limits(options: ClientOptions) -> Limits | None:
    limits = options.get("limits")
    if limits is not None and not hasattr(limits, "enter"):
        raise ConfigurationError(
            f"limits must be llmclients.bulk.Limits(…), not {type(limits).__name__}", argument="limits"
        )
    return limits
