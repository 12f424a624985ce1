"""Views of a client: the same client with other settings, as `with_options` makes them, and `map` for its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from llmclients.calls.overrides import UNSET, Overrides
from llmclients.config.client import ClientSettings
from llmclients.config.credentials import resolve_key
from llmclients.config.fallback import Fallback, with_defaults
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.calls.pacing import Pacer
    from llmclients.types.options import ChatOptions

__all__ = ["ViewOptions", "background_settings", "changed_settings", "view_of"]

ClientT = TypeVar("ClientT")


def view_of(client: ClientT, **changes: Any) -> ClientT:
    """The same client with these attributes in place of its own."""
    view = type(client).__new__(type(client))
    vars(view).update(vars(client), **changes)
    return view


class ViewOptions(TypedDict, total=False):
    """The arguments of `with_options`, which says what they mean."""

    model: str | None
    api_key: str | None
    headers: Mapping[str, str] | None
    timeout: Timeout | float | None
    retry: RetryPolicy | int | None
    defaults: ChatOptions[Any] | None


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


def background_settings(
    settings: ClientSettings, new_pacer: Callable[[], Pacer], over: Callable[[Any], Any]
) -> ClientSettings:
    """The settings of calls that let interactive ones go first, at each provider.

    Args:
        new_pacer: makes the limits of a provider that has none.
        over: gives the transport in place of that of a client to fall back on.
    """
    from llmclients.calls.pacing import Background

    def paced(one: ClientSettings) -> ClientSettings:
        return one._replace(limits=Background(one.limits or new_pacer()))

    fallbacks = tuple(
        Fallback(paced(other), client and view_of(client, _transport=over(client._transport)))
        for other, client in settings.fallbacks
    )
    return paced(settings)._replace(fallbacks=fallbacks)
