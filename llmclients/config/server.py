"""The server that some providers have on this machine, started on demand: what a client says of it, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llmclients.errors import ConfigurationError, InvalidRequestError
from llmclients.providers.provider import Endpoint, Provider
from llmclients.providers.registry import likely_client

__all__ = ["SERVER_OPTIONS", "other_model", "server_on_demand"]

SERVER_OPTIONS = ("model_path", "context_size", "threads")
"""The arguments of a client that are for such a server."""


def server_on_demand(
    provider: Provider, options: Mapping[str, Any], *, needed: bool
) -> tuple[Callable[[], Endpoint] | None, tuple[str, ...]]:
    """What starts the provider's server, and the names that a call may give its model; no names: any.

    Args:
        provider: the client's.
        options: the client's arguments.
        needed: whether there is no other address to send to. Where there is, nothing is started.

    Raises:
        ConfigurationError: an argument is wrong, or there is no such server.
    """
    given = {name: options[name] for name in SERVER_OPTIONS if options.get(name) is not None}
    start = provider.load_endpoint() if needed else None
    if start is None:
        if needed:
            raise provider.missing_address()
        for name in given:
            raise ConfigurationError(f"{name} is for the local model only", argument=name)
        return None, provider.models if provider.only_listed_models else ()
    for name in ("context_size", "threads"):
        value = given.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"{name} must be a positive whole number", argument=name)
    names = provider.load_endpoint_models()
    return partial(start, **given), names(given.get("model_path")) if names else ()


def other_model(provider: Provider, models: tuple[str, ...], name: str, *, is_started: bool) -> InvalidRequestError:
    """The error for the name of a model that is none of these. Where the program has a server of its own, nobody means
    that one by another's name: then it says whom to ask.
    """
    likely = likely_client(name) if is_started else None
    hint = f". Did you mean Client({likely!r})?" if likely else ""
    known = models[0] if is_started else " or ".join(models)
    return InvalidRequestError(
        f"{provider.name} has no model {name!r}: it answers with {known}{hint}", argument="model"
    )
