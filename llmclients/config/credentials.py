"""A client's credentials: its key or token, and the headers that the caller and the environment add."""

from __future__ import annotations

from collections.abc import Mapping

from llmclients.config.environment import check_headers, environ
from llmclients.errors import ConfigurationError, MissingAPIKeyError
from llmclients.providers.provider import Provider

__all__ = ["has_token", "key_origin", "missing_key", "request_headers", "resolve_key"]


def resolve_key(provider: Provider, api_key: str | None) -> str | None:
    """The key that was given, the environment's, or the one that `llmclients keys set` keeps; without the blanks and
    line ends around it.

    Raises:
        ConfigurationError: it is no key; the message names where it comes from, and does not show it.
    """
    argument = "api_key"
    if api_key is None:
        argument = next(filter(environ, provider.key_variables), "")
        return _checked(environ(argument), argument) if argument else _stored(provider)
    if not isinstance(api_key, str) or not api_key.strip():
        raise ConfigurationError("api_key must be a non-empty string", argument=argument)
    return _checked(api_key, argument)


def key_origin(provider: Provider) -> str | None:
    """Where the key, or the token in its place, comes from: a variable's name, `keyring` or `file`; None: nowhere."""
    variable = next(filter(environ, (*provider.key_variables, *provider.token_variables)), None)
    if variable is not None or not provider.key_variables:
        return variable
    from llmclients.config.stored_keys import stored_names

    names = stored_names()
    return next((names[name] for name in provider.key_variables if name in names), None)


def _stored(provider: Provider) -> str | None:
    """The key that is kept in place of one of the provider's variables."""
    if not provider.key_variables or has_token(provider):
        return None
    from llmclients.config.stored_keys import stored_key  # few have one

    for name in provider.key_variables:
        if (key := stored_key(name)) is not None:
            return _checked(key, f"the key kept for {name}")
    return None


def has_token(provider: Provider) -> bool:
    """Whether the environment has a token, for where there is no key."""
    return any(map(environ, provider.token_variables))


def missing_key(provider: Provider) -> MissingAPIKeyError | None:
    """The error of a client that has no key and goes to the provider's own service; None where a token is there, or
    none is needed.
    """
    if not provider.key_required or has_token(provider):
        return None
    variables = " or ".join(provider.key_variables + provider.token_variables)
    return MissingAPIKeyError(f"{provider.name} needs a key: give api_key= or set {variables}", argument="api_key")


def request_headers(
    provider: Provider, headers: Mapping[str, str] | None, *, is_default_endpoint: bool, has_key: bool
) -> tuple[tuple[str, str], ...]:
    """The headers of every request, besides the wire's own: the caller's, and the environment's.

    Raises:
        ConfigurationError: naming the header, or the variable, never the value.
    """
    pairs = dict(check_headers(headers))
    variable = None if has_key else next(filter(environ, provider.token_variables), None)
    if variable is not None and "authorization" not in map(str.lower, pairs):
        pairs["Authorization"] = f"Bearer {_checked(environ(variable), variable)}"
    if is_default_endpoint:
        for name, variable in provider.header_variables.items():
            if value := environ(variable):
                pairs.setdefault(name, check_headers({name: value})[0][1])
    return tuple(pairs.items())


def _checked(key: str | None, argument: str) -> str:
    """A key or token without what is around it. What is inside cannot be guessed right."""
    key = (key or "").strip(" \t\r\n")
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"{argument} has a character that no header can carry, such as a line end inside it", argument=argument
        )
    if key[:1] in ("'", '"') or key[-1:] in ("'", '"'):
        raise ConfigurationError(f"{argument} has quotes around it: give it without them", argument=argument)
    if " " in key:
        hint = ": give it without 'Bearer'" if key.lower().startswith("bearer ") else ""
        raise ConfigurationError(f"{argument} has a blank inside it{hint}", argument=argument)
    return key
