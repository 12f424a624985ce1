"""Who may use the relay: checked before anything of a request is read."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from llmclients.errors import ConfigurationError
from llmclients.relay.errors import Failure

__all__ = ["check_bind", "check_key", "is_loopback", "refused_at_gate"]


def check_key(api_key: str | None) -> str | None:
    """The key that clients have to send, or None.

    Raises:
        ConfigurationError: it is empty, or no header can carry it.
    """
    if api_key is not None and (not api_key.strip() or not api_key.isascii() or not api_key.isprintable()):
        raise ConfigurationError("the relay's api_key must be printable ASCII text", argument="api_key")
    return api_key


def check_bind(host: str, api_key: str | None) -> None:
    """Raise ConfigurationError for an address that others can reach, unless a key guards it."""
    if not is_loopback(host) and api_key is None:
        raise ConfigurationError(
            f"the relay does not listen on {host or 'every address'} without an api_key: "
            "other machines could use it, and what it relays to",
            argument="host",
        )


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine only."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def refused_at_gate(method: str, headers: Mapping[str, str], api_key: str | None) -> Failure | None:
    """Why a request is not let in, or None. `headers`: names in lower case."""
    if api_key is not None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        sent = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not secrets.compare_digest(sent.encode(), api_key.encode()):
            return Failure(
                401,
                "the relay needs its key, as `Authorization: Bearer …` or `x-api-key`",
                code="invalid_api_key",
                headers=(("www-authenticate", "Bearer"),),
            )
    # Without a key, being on this machine is what lets a request in; so is a web page in this machine's browser. Such
    # a page can neither send JSON to another site without being asked to (which nothing here answers), nor, once its
    # own name has been made to point here, hide that name.
    elif not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
        return Failure(403, "without a key, the relay answers only to its loopback address: give it an api_key")
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return Failure(415, "the request's Content-Type must be application/json")
    return None
