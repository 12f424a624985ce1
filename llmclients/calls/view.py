"""A view of a client: what `with_options` takes, and the settings that it makes of the client's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from llmclients.calls.overrides import UNSET, Overrides
from llmclients.config.client import ClientSettings
from llmclients.config.credentials import resolve_key
from llmclients.config.fallback import with_defaults
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError

__all__ = ["ViewOptions", "changed_settings"]


class ViewOptions(TypedDict, total=False):
    """The arguments of `with_options`, which says what they mean."""

    model: str | None
    api_key: str | None
    headers: Mapping[str, str] | None
    timeout: Timeout | float | None
    retry: RetryPolicy | int | None
    defaults: Mapping[str, Any] | None


def changed_settings(settings: ClientSettings, options: ViewOptions) -> ClientSettings:
    """The settings of a view.

    Raises:
        ConfigurationError: an argument is wrong, or none of a view's.
    """
    for name in options:
        if name not in ViewOptions.__annotations__:
            hint = settings.hint(name, "view")
            raise ConfigurationError(f"with_options has no argument {name!r}{hint}", argument=name)
    if (key := options.get("api_key")) is not None:
        settings = _with_key(settings, key)
    overrides = Overrides(options.get("timeout"), options.get("headers"), options.get("retry", UNSET))
    settings = overrides.applied(settings)
    if (model := options.get("model")) is not None:
        settings = settings._replace(model=model)
        settings.model_name(None)  # a name that no call can use is refused at once
    return with_defaults(settings, options.get("defaults"))


def _with_key(settings: ClientSettings, api_key: str) -> ClientSettings:
    key = resolve_key(settings.provider, api_key)
    headers = settings.headers
    if settings.api_key is None:  # a token in the key's place
        headers = tuple(pair for pair in headers if pair[0].lower() != "authorization")
    return settings._replace(api_key=key, headers=headers, key_source="argument", unusable=None)
