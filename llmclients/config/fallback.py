"""What a client's `defaults` and `fallback` mean: options for all of its calls, and who is asked when it fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from llmclients.codecs.base import CodecOptions
from llmclients.errors import ConfigurationError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.base import make_model
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest

if TYPE_CHECKING:
    from llmclients.config.client import ClientSettings
    from llmclients.config.hints import ClientPlace

__all__ = [
    "REQUEST_FIELDS",
    "AnyClient",
    "Fallback",
    "check_names",
    "check_options",
    "fallbacks",
    "shared_options",
    "with_defaults",
]

SettingsT = TypeVar("SettingsT", bound="ClientSettings")

REQUEST_FIELDS = frozenset(ChatRequest.model_fields) - {"messages", "model"}
"""The options of a call that are not a wire's own."""

_ANYTHING = make_model(Message, role="user", content="-")


class AnyClient(Protocol):
    """A client of either kind, as far as one that falls back on it has to know it."""

    @property
    def _is_async(self) -> bool: ...
    @property
    def _settings(self) -> ClientSettings: ...
    @property
    def _transport(self) -> Any: ...


class Fallback(NamedTuple):
    """One provider to fall back on.

    Attributes:
        settings: of the call to it.
        client: the client that was given, whose connections carry the call; None: those of the first provider's client.
    """

    settings: ClientSettings
    client: AnyClient | None = None


def fallbacks(settings_type: type[ClientSettings], entries: Any, shared: Mapping[str, Any]) -> tuple[Fallback, ...]:
    """The providers to fall back on, by their names or as clients. Those that such a client has itself follow it.

    Args:
        entries: what the caller gave.
        shared: the client's arguments that hold for a provider that is only named.

    Raises:
        ConfigurationError: one is neither a provider's name nor a client.
    """
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise ConfigurationError("fallback must be a list of providers' names, or of clients", argument="fallback")
    found: list[Fallback] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            found.append(Fallback(settings_type.from_arguments(entry, **shared)))
            continue
        settings = _settings_of(entry)
        if not isinstance(settings, settings_type):
            what = f"fallback[{index}] must be a provider's name or a client, not {type(entry).__name__}"
            raise ConfigurationError(what, argument="fallback")
        found.append(Fallback(settings, entry))
        found += [other if other.client else other._replace(client=entry) for other in settings.fallbacks]
    return tuple(found)


def _settings_of(client: Any) -> Any:
    try:
        return client._settings
    except AttributeError:  # it is none
        return None


def with_defaults(settings: SettingsT, defaults: Mapping[str, Any] | None) -> SettingsT:
    """The settings with these options of calls that do not name them, over those that there are.

    Raises:
        ConfigurationError: one of them is no option, or none that every provider of the client can carry.
    """
    if defaults is None:
        return settings
    if not isinstance(defaults, Mapping) or not all(isinstance(name, str) for name in defaults):
        raise ConfigurationError("defaults must be a mapping of options to values", argument="defaults")
    changed = settings._replace(defaults={**settings.defaults, **defaults})
    try:
        check_options(changed, {}, "defaults")
    except ConfigurationError as error:
        raise type(error)(f"defaults: {error}", argument="defaults") from None
    return changed


def check_options(settings: ClientSettings, options: Mapping[str, Any], place: ClientPlace) -> None:
    """Raise ConfigurationError for an option that no call of the client can have. A model may still be missing."""
    named = {**settings.defaults, **options}
    check_names(settings, named, place)
    if not named:
        return
    asked = [
        (settings, options),
        *((other, shared_options(settings, options, other)) for other, _ in settings.fallbacks),
    ]
    for one, asking in asked:
        model = None if one.model or one.provider.default_model else "-"
        try:
            one.request([_ANYTHING], model, asking)
        except InvalidRequestError as error:
            if error.argument != "model":
                raise


def check_names(settings: ClientSettings, names: Iterable[str], place: ClientPlace) -> None:
    """Raise UnsupportedOptionError for what is no option of a call."""
    for name in names:
        if name not in REQUEST_FIELDS and name not in settings.codec.options.model_fields:
            raise UnsupportedOptionError(f"there is no option {name!r}{settings.hint(name, place)}", argument=name)


def shared_options(settings: ClientSettings, options: Mapping[str, Any], other: ClientSettings) -> dict[str, Any]:
    """What of a call's options, and of the client's defaults, a provider to fall back on is asked with.

    Options of the first provider's own wire, and `extra`, mean nothing to others. Another client's own defaults come
    before this one's.
    """
    first_only = {*settings.codec.options.model_fields, "extra"} - CodecOptions.model_fields.keys()
    defaults = {name: value for name, value in settings.defaults.items() if name not in other.defaults}
    return {name: value for name, value in {**defaults, **options}.items() if name not in first_only}
