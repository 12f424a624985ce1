"""Settings in a pickle: all of them but the key, which each process looks for in its own environment."""

# A pickle goes into files, queues and other processes, so a secret has no place in it. What stands for the key in the
# process that loads the settings:
#
#     the key came from     the server is            there
#     the environment       any                      the key of that environment
#     `api_key=`            the provider's service   the key of that environment, which is meant for the same service
#     `api_key=`            the caller's own         none: the environment's is not meant for it
#     nowhere               any                      none
#
# Where a key was and none is found, the settings load, so that what they are part of does, and a call says what is
# missing. What else may be a secret (the caller's headers, the password of a proxy or of a certificate) could not be
# looked for: settings with such are not pickled.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmclients.config.credentials import has_token, request_headers, resolve_key
from llmclients.config.server import server_on_demand
from llmclients.config.values import Proxy
from llmclients.providers.registry import find_provider

if TYPE_CHECKING:
    from llmclients.config.client import ClientSettings

__all__ = ["KeySource", "reduced"]

KeySource: TypeAlias = Literal["argument", "environment", "none"]

_FOUND_AGAIN = ("provider", "codec", "api_key", "headers", "has_caller_headers", "start", "unusable")
"""Fields that are not in the pickle."""


def reduced(settings: ClientSettings) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What `__reduce__` returns.

    Raises:
        TypeError: it has something that may be a secret, besides the key.
    """
    if settings.has_caller_headers:
        raise TypeError(f"a client of {settings.label!r} with headers= cannot be pickled: they may hold a key")
    proxy = settings.transport.proxy
    if isinstance(proxy, Proxy) and proxy.credentials is not None:
        raise TypeError(f"a client of {settings.label!r} whose proxy has a password cannot be pickled")
    if settings.transport.cert is not None and settings.transport.cert[2] is not None:
        raise TypeError(f"a client of {settings.label!r} whose certificate has a password cannot be pickled")
    fields = {name: value for name, value in settings._asdict().items() if name not in _FOUND_AGAIN}
    return _restored, (type(settings), settings.provider.name, fields)


def _restored(settings_type: type[ClientSettings], name: str, fields: dict[str, Any]) -> ClientSettings:
    """The settings of a pickle, and what this process has for the rest.

    Raises:
        UnknownProviderError: no provider of that name is registered here.
    """
    provider, source, is_default = find_provider(name), fields["key_source"], fields["is_default_endpoint"]
    looks_for_key = source == "environment" or (source == "argument" and is_default)
    key = resolve_key(provider, None) if looks_for_key else None
    unusable = None
    if key is None and source != "none" and not (looks_for_key and has_token(provider)):
        unusable = _lost_key(name, provider.key_variables + provider.token_variables if looks_for_key else ())
    return settings_type(
        provider=provider,
        codec=provider.load_codec(),
        api_key=key,
        headers=request_headers(
            provider, None, is_default_endpoint=is_default, has_key=key is not None or not looks_for_key
        ),
        start=server_on_demand(provider, fields["server_options"], needed=fields["base_url"] is None)[0],
        unusable=unusable,
        **fields,
    )


def _lost_key(name: str, variables: tuple[str, ...]) -> str:
    where = f"set {' or '.join(variables)} in this process, or " if variables else ""
    return f"{name}: this client was pickled, and a key is left out of a pickle: {where}make the client here"
