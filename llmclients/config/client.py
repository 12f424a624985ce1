"""What a client's arguments mean, checked once: provider, model, key, URL, limits. Shared by both clients."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from llmclients.codecs.base import Codec, CodecOptions, PartRule
from llmclients.config.environment import address_url, ca_bundle, check_base_url, check_headers, environ
from llmclients.config.values import Proxy, RetryPolicy, Timeout
from llmclients.errors import (
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    ProviderWarning,
    UnsupportedOptionError,
)
from llmclients.providers.provider import Endpoint, Provider
from llmclients.providers.registry import find_provider
from llmclients.transports.base import TransportSettings
from llmclients.types.content import MediaPart
from llmclients.types.messages import Messages
from llmclients.types.request import ChatRequest

__all__ = ["ClientSettings"]

_REQUEST_FIELDS = frozenset(ChatRequest.model_fields) - {"messages", "model"}
_warned: set[str] = set()


class ClientSettings(NamedTuple):
    """A client's arguments, resolved.

    `base_url` and `api_key` are None until `start` has run for a provider whose server is started on demand.
    """

    provider: Provider
    codec: Codec
    model: str | None
    base_url: str | None
    api_key: str | None
    is_default_endpoint: bool
    headers: tuple[tuple[str, str], ...]
    timeout: Timeout
    retry: RetryPolicy
    transport: TransportSettings
    start: Callable[[], Endpoint] | None = None
    fallbacks: tuple[ClientSettings, ...] = ()

    @classmethod
    def from_arguments(
        cls,
        provider: str,
        *,
        model: str | None,
        api_key: str | None,
        base_url: str | None,
        model_path: str | os.PathLike[str] | None,
        headers: Mapping[str, str] | None,
        timeout: Timeout | float | None,
        retry: RetryPolicy | int | None,
        proxy: Proxy | str | bool | None,
        fallback: Sequence[str],
        trust_env: bool,
        verify: bool | str | os.PathLike[str],
        max_response_bytes: int,
    ) -> ClientSettings:
        """The settings of a client with these arguments.

        Raises:
            ConfigurationError: naming the argument that is wrong.
        """
        if not isinstance(provider, str):
            raise ConfigurationError(f"provider must be a name, not {type(provider).__name__}", argument="provider")
        name, slash, named_model = provider.partition("/")
        found = find_provider(name)
        if slash and model is not None:
            raise ConfigurationError(f"the model is named twice: {named_model!r} and {model!r}", argument="model")
        own_url = base_url is None
        if base_url is None and found.base_url_variable and (base_url := environ(found.base_url_variable)):
            if found.base_url_port is not None:
                base_url = address_url(base_url, found.base_url_port)
            base_url, own_url = check_base_url(base_url, found.base_url_variable), False
        elif base_url is not None:
            base_url = check_base_url(base_url)
        elif found.base_url is not None:
            base_url = check_base_url(found.base_url)
            _warn_if_dead(found)
        # Its own address counts as its own, whoever says it.
        own_url = own_url or (found.base_url is not None and base_url == check_base_url(found.base_url))
        start = None
        if base_url is None:
            endpoint = found.load_endpoint()
            if endpoint is None:
                raise ConfigurationError(f"{found.name} has no public service: give base_url=", argument="base_url")
            start = lambda: endpoint(model_path)  # noqa: E731
        if model_path is not None and start is None:
            raise ConfigurationError("model_path is for the local model only", argument="model_path")
        if isinstance(max_response_bytes, bool) or not isinstance(max_response_bytes, int) or max_response_bytes < 1:
            raise ConfigurationError(
                "max_response_bytes must be a positive whole number", argument="max_response_bytes"
            )
        key = _key(found, api_key, needed=own_url)
        return cls(
            provider=found,
            codec=found.load_codec(),
            model=named_model if slash else model,
            base_url=base_url,
            api_key=key,
            is_default_endpoint=own_url and start is None,
            headers=_headers(found, headers, is_default_endpoint=own_url, token=_token(found) if key is None else None),
            timeout=Timeout.coerce(timeout),
            retry=RetryPolicy.coerce(retry),
            transport=TransportSettings(
                proxy=Proxy.coerce(proxy),
                trust_env=trust_env,
                verify=ca_bundle(verify, trust_env),
                max_response_bytes=max_response_bytes,
            ),
            start=start,
            fallbacks=tuple(
                cls.from_arguments(
                    other,
                    model=None,
                    api_key=None,
                    base_url=None,
                    model_path=None,
                    headers=None,  # they may hold a key, and that is for the first provider
                    timeout=timeout,
                    retry=retry,
                    proxy=proxy,
                    fallback=(),
                    trust_env=trust_env,
                    verify=verify,
                    max_response_bytes=max_response_bytes,
                )
                for other in _names(fallback)
            ),
        )

    def __repr__(self) -> str:  # without the key, and the headers that may hold one
        return f"ClientSettings({self.label!r})"

    @property
    def label(self) -> str:
        """What the client was made for, as it would be written: `name/model`."""
        return f"{self.provider.name}/{self.model}" if self.model else self.provider.name

    def request(
        self, messages: Messages, model: str | None, options: dict[str, Any]
    ) -> tuple[ChatRequest, CodecOptions]:
        """One call's request and codec options, checked.

        Raises:
            ConfigurationError: naming the argument that is wrong, unknown, or unknown to this wire.
        """
        own = {name: options.pop(name) for name in list(options) if name in self.codec.options.model_fields}
        for name, value in options.items():
            if name not in _REQUEST_FIELDS:
                raise UnsupportedOptionError(f"there is no option {name!r}{_nearest(name, self.codec)}", argument=name)
            if value is not None and name != "extra" and name not in self.codec.fields:
                raise UnsupportedOptionError(
                    f"{self.provider.name} cannot carry the option {name!r}: its wire has no field for it",
                    argument=name,
                )
        request = ChatRequest.from_messages(messages, model=self.model_name(model), **options)
        self._check_parts(request)
        kind = self.codec.options
        return request, kind(**own) if kind.model_fields else kind.model_construct()

    def carries(self, option: str) -> bool:
        """Whether a call can have this option: the wire has a field for it, and so has each wire to fall back on."""
        if option in self.codec.options.model_fields:
            return True  # the providers to fall back on are not told
        return option in self.codec.fields and all(other.carries(option) for other in self.fallbacks)

    @property
    def default_model(self) -> str | None:
        """The model of a call that names none, by its own name; None if there is none, or the provider has no such."""
        try:
            return self.model_name(None)
        except InvalidRequestError:
            return None

    def _check_parts(self, request: ChatRequest) -> None:
        """Raise UnsupportedOptionError for a part that the wire cannot carry."""
        for index, message in enumerate(request.messages):
            for part in message.content if isinstance(message.content, list) else ():
                if not isinstance(part, MediaPart) or (reason := _unfit(part, self.codec.parts.get(part.type))) is None:
                    continue
                raise UnsupportedOptionError(
                    f"messages[{index}]: {self.provider.name} cannot carry {reason}", argument="messages"
                )

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
        if provider.only_listed_models and name not in provider.models:
            raise InvalidRequestError(
                f"{provider.name} has no model {name!r}: it answers with {' or '.join(provider.models)}",
                argument="model",
            )
        return name


def _names(fallback: Sequence[str]) -> Sequence[str]:
    if isinstance(fallback, str) or not isinstance(fallback, Sequence):
        raise ConfigurationError("fallback must be a list of providers' names", argument="fallback")
    return fallback


def _unfit(part: MediaPart, rule: PartRule | None) -> str | None:
    """What the rule does not allow of a part, in words."""
    if rule is None:
        return f"{part.type} parts"
    if part.data is None:
        return None if rule.urls else f"an {part.type} by its URL: give its bytes"
    if not rule.data:
        return f"the bytes of an {part.type}: give its URL"
    if rule.media_types and part.media_type not in rule.media_types:
        return f"{part.media_type}: it takes {', '.join(sorted(rule.media_types))}"
    if len(part.data) > rule.max_bytes:
        return f"an {part.type} of {len(part.data)} bytes: it takes {rule.max_bytes}"
    return None


def _nearest(option: str, codec: Codec) -> str:
    import difflib

    near = difflib.get_close_matches(option, {*_REQUEST_FIELDS, *codec.options.model_fields}, n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def _warn_if_dead(provider: Provider) -> None:
    if provider.working is False and provider.name not in _warned:
        _warned.add(provider.name)
        warnings.warn(
            f"the public service of {provider.name} ({provider.base_url}) is known not to answer; "
            "give base_url= of a server that speaks its format, for example a relay (python -m llmclients relay)",
            ProviderWarning,
            stacklevel=_callers_level(),
        )


def _callers_level() -> int:
    """The `stacklevel` at which a warning of the function that asks points out of this package."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("llmclients."):
        frame = frame.f_back
        level += 1
    return level


def _key(provider: Provider, api_key: str | None, *, needed: bool) -> str | None:
    argument = "api_key"
    if api_key is None:
        if variable := next(filter(environ, provider.key_variables), None):
            argument, api_key = variable, environ(variable)
    elif not isinstance(api_key, str) or not api_key.strip():
        raise ConfigurationError("api_key must be a non-empty string", argument=argument)
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError(f"{argument} has a character that no header can carry", argument=argument)
    if api_key is None and needed and provider.key_required and _token(provider) is None:
        variables = " or ".join(provider.key_variables + provider.token_variables)
        raise MissingAPIKeyError(f"{provider.name} needs a key: give api_key= or set {variables}", argument="api_key")
    return api_key


def _token(provider: Provider) -> str | None:
    return next(filter(None, map(environ, provider.token_variables)), None)


def _headers(
    provider: Provider, headers: Mapping[str, str] | None, *, is_default_endpoint: bool, token: str | None
) -> tuple[tuple[str, str], ...]:
    pairs = dict(check_headers(headers))
    if token is not None and "authorization" not in map(str.lower, pairs):
        pairs |= check_headers({"Authorization": f"Bearer {token}"})
    if is_default_endpoint:
        for name, variable in provider.header_variables.items():
            if value := environ(variable):
                pairs.setdefault(name, check_headers({name: value})[0][1])
    return tuple(pairs.items())
