"""What guards a relay before it listens: keys that are keys, and addresses that others cannot reach without one."""

from __future__ import annotations

import ipaddress

from llmclients.errors import ConfigurationError

__all__ = ["check_bind", "check_key", "is_loopback"]


def check_key(api_key: str | None, name: str = "api_key") -> str | None:
    """The key that clients have to send, or None. `name`: what the caller calls it.

    Raises:
        ConfigurationError: it is empty, or no header can carry it as it is.
    """
    if api_key is None:
        return None
    if not isinstance(api_key, str) or not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ConfigurationError(f"the relay's {name} must be printable ASCII text", argument=name)
    if api_key != api_key.strip():  # a header's value loses them
        raise ConfigurationError(f"the relay's {name} must not begin or end with a blank", argument=name)
    return api_key


def check_bind(host: str, *, has_key: bool) -> None:
    """Raise ConfigurationError for an address that others can reach, unless a key guards it."""
    if not is_loopback(host) and not has_key:
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
