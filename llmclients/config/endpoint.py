"""Where a client sends to: the address of its arguments, of the environment or of its provider, and what that says."""

from __future__ import annotations

import sys
import warnings
from typing import Any
from urllib.parse import urlsplit

from llmclients.codecs.addresses import Address
from llmclients.codecs.base import Codec
from llmclients.config.environment import (
    address_url,
    check_base_url,
    completed_url,
    environ,
    regional_url,
    same_address,
)
from llmclients.errors import ConfigurationError, ProviderWarning
from llmclients.providers.provider import Provider

__all__ = ["address_of", "model_of_address", "option_defaults"]

_warned: set[str] = set()


def address_of(
    provider: Provider, codec: Codec, base_url: str | None, region: str | None
) -> tuple[Address | None, bool]:
    """The address to send to, and whether it is the provider's own; None for a server that is started on demand.

    A provider's own address counts as its own, whoever says it.
    """
    variable = provider.base_url_variable
    if base_url is not None and region is not None:
        raise ConfigurationError("base_url is an address already: give it or region=, not both", argument="region")
    default = provider.base_url
    if base_url is None or not provider.region_variables:
        default = regional_url(default, region, provider.region_variables)
        default = None if default is None else check_base_url(default)
    argument = "base_url"
    if base_url is None and variable and (value := environ(variable)):
        argument, base_url = variable, value
        if provider.base_url_port is not None:
            base_url = address_url(value, provider.base_url_port, urlsplit(default or "").path)
    if base_url is None:
        if default is not None:
            _warn_if_dead(provider)
        return None if default is None else Address(default), True
    if isinstance(base_url, str):
        base_url = completed_url(base_url.strip(" \t\r\n"), provider.base_url_path)
    address = codec.parse_address(base_url) if isinstance(base_url, str) else Address(base_url)
    address = address._replace(base_url=_with_known_path(check_base_url(address.base_url, argument), default))
    return address, default is not None and same_address(address.base_url, default)


def _with_known_path(base_url: str, default: str | None) -> str:
    """The provider's own host without a path, as its page names it, gets the path that is known of it."""
    path = urlsplit(default or "").path
    is_makers = default is not None and not urlsplit(base_url).path and same_address(base_url + path, default)
    return base_url + path if is_makers else base_url


def model_of_address(model: str | None, address: Address | None) -> str | None:
    """The client's model, which the address may name in place of the caller."""
    named = None if address is None else address.model
    if model is not None and named is not None and model != named:
        raise ConfigurationError(f"the model is named twice: {named!r} in base_url, and {model!r}", argument="model")
    return named if model is None else model


def option_defaults(provider: Provider, address: Address | None) -> dict[str, Any]:
    """Options of the wire's own that calls need not name: the environment's, and over them the address's."""
    values = {option: environ(variable) for option, variable in provider.option_variables.items()}
    chosen = {} if address is None else address.options
    return {option: value for option, value in values.items() if value is not None} | dict(chosen)


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
