"""URLs to what goes on the wire: route, request target, the header Host. Each URL is taken apart once."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from llmclients.config.environment import ascii_host
from llmclients.transports.head import InvalidRequestError, host_in_url

__all__ = ["Target", "parse_target"]

_SAFE = "!#$%&'()*+,-./:;=?@[]_~"
_PORTS = {"http": 80, "https": 443}


class Target(NamedTuple):
    """A URL's parts, in ASCII. `path` begins with a slash and has the query; `host_header` has the port if need be."""

    secure: bool
    host: str
    port: int
    path: str
    host_header: str


@lru_cache(maxsize=256)
def parse_target(url: str) -> Target:
    """A URL of http or https in parts.

    Raises:
        InvalidRequestError: it is not one.
    """
    try:
        parts = urlsplit(url)
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        raise InvalidRequestError from None
    if not host or parts.scheme not in _PORTS:
        raise InvalidRequestError
    path = quote(parts.path or "/", _SAFE)
    if parts.query:
        path += "?" + quote(parts.query, _SAFE)
    name = host_in_url(host.rstrip("."))  # the dot of a complete name is for resolving it
    if port not in (None, _PORTS[parts.scheme]):
        name += f":{port}"
    return Target(parts.scheme == "https", host, port or _PORTS[parts.scheme], path, name)
