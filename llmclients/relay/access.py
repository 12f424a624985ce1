"""Who may use the relay: a key, or being on this machine. Checked by a request's headers, before its body is read."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping

from llmclients.codecs.base import is_json
from llmclients.errors import ConfigurationError
from llmclients.relay.bodies import check_encoding
from llmclients.relay.errors import Failure, RequestRejected

__all__ = ["check_access", "check_bind", "check_key", "is_loopback"]


def check_key(api_key: str | None) -> str | None:
    """The key that clients have to send, or None.

    Raises:
        ConfigurationError: it is empty, or no header can carry it as it is.
    """
    if api_key is None:
        return None
    if not isinstance(api_key, str) or not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ConfigurationError("the relay's api_key must be printable ASCII text", argument="api_key")
    if api_key != api_key.strip():  # a header's value loses them
        raise ConfigurationError("the relay's api_key must not begin or end with a blank", argument="api_key")
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


def check_access(method: str, headers: Mapping[str, str], api_key: str | None) -> None:
    """Reject a request that is not to be answered. `headers`: names in lower case.

    Raises:
        RequestRejected: 401 without the key; 403 where there is no key and the request was not addressed to a loopback
            name, or where Host or Origin is malformed; 415 for a body that is not JSON, or
            is compressed in a way that the relay does not read.
    """
    if api_key is not None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key_sent = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not secrets.compare_digest(key_sent.encode(), api_key.encode()):
            raise RequestRejected(
                Failure(
                    401,
                    "the relay needs its key, as `Authorization: Bearer …` or `x-api-key`",
                    code="invalid_api_key",
                    headers=(("www-authenticate", "Bearer"),),
                )
            )
    # Without a key, being on this machine is what lets a request in; so is a web page in this machine's browser. Such
    # a page can neither send JSON to another site without being asked to (which nothing here answers), nor, once its
    # own name has been made to point here, hide that name.
    elif not is_loopback(_host_name(headers.get("host", ""))):
        raise RequestRejected(
            Failure(403, "without a key, the relay answers only to its loopback address: give it an api_key")
        )
    if "host" in headers and not _host_name(headers["host"]):
        raise RequestRejected(Failure(403, "the request's Host is no host"))
    if not _is_origin(headers.get("origin", "null")):
        raise RequestRejected(Failure(403, "the request's Origin is no origin"))
    check_encoding(headers)
    if method == "POST" and not is_json(headers.get("content-type", "")):
        raise RequestRejected(Failure(415, "the request's Content-Type must be application/json"))


# RFC 9110, 7.2, and RFC 3986, 3.2.2: an address in brackets, or a name or address; a port. No user.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.~!$&'()*+,;=%-]+))(?::([0-9]{0,5}))?", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)


def _host_name(text: str) -> str:
    """The name or address in a Host header, or "" where it is malformed."""
    found = _HOST.fullmatch(text)
    if found is None or int(found[3] or 0) > 65535:
        return ""
    if found[1] is None:
        return found[2]
    try:
        return str(ipaddress.IPv6Address(found[1]))
    except ValueError:
        return ""


def _is_origin(text: str) -> bool:
    """Whether an Origin header has the form of one. Which one does not matter: no page gets an answer to read."""
    scheme, separator, host = text.partition("://")
    return text == "null" or bool(separator and _SCHEME.fullmatch(scheme) and _host_name(host))
