"""What both transports need before a request goes out: its header lines, its proxy, the TLS context."""

from __future__ import annotations

import base64
import importlib.util
import os
import ssl
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from llmclients._version import __version__
from llmclients.config.certificates import load_certificate
from llmclients.config.environment import ca_bundle, environment_proxy
from llmclients.config.values import Proxy
from llmclients.errors import ConfigurationError
from llmclients.transports.base import HTTPRequest, TransportSettings

__all__ = ["Routes", "header_lines", "proxy_authorization", "require", "tls_context"]

_DEFAULTS = (
    ("User-Agent", "user-agent", f"llmclients/{__version__}"),
    ("Accept", "accept", "*/*"),
    # Compression would hold back the pieces of a stream.
    ("Accept-Encoding", "accept-encoding", "identity"),
)


def header_lines(request: HTTPRequest, user_headers: Collection[str] = (), host: str | None = None) -> dict[str, str]:
    """All headers: the request's in their order, then what is missing.

    Args:
        request: what is sent. The values of a repeated header are joined with `, `.
        user_headers: names in lower case that the caller's own session adds, in place of our defaults.
        host: the first line, Host, unless the request has one. None: what sends it adds it in the same way.
    """
    lines: dict[str, str] = {}
    spelling: dict[str, str] = {}
    for name, value in request.headers:
        first = spelling.setdefault(name.lower(), name)
        lines[first] = f"{lines[first]}, {value}" if first in lines else value
    lines.update((name, value) for name, key, value in _DEFAULTS if key not in spelling and key not in user_headers)
    if "content-length" not in spelling and (request.body or request.method in ("POST", "PUT", "PATCH")):
        lines["Content-Length"] = str(len(request.body))
    return lines if host is None or "host" in spelling else {"Host": host, **lines}


def proxy_authorization(proxy: Proxy) -> dict[str, str]:
    """The header that a proxy with a password wants."""
    if proxy.credentials is None:
        return {}
    token = base64.b64encode(":".join(proxy.credentials).encode()).decode()
    return {"Proxy-Authorization": f"Basic {token}"}


class Routes:
    """Which proxy leads to which URL. The environment is asked once for each server."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, str], Proxy | None] = {}

    def proxy_for(self, request: HTTPRequest) -> Proxy | None:
        """The proxy that this request goes through, or None."""
        proxy = self._settings.proxy
        if request.direct or proxy is False:
            return None
        if isinstance(proxy, Proxy):
            return proxy
        if not self._settings.trust_env:
            return None
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc)
        if key not in self._known:
            self._known[key] = environment_proxy(request.url)
        return self._known[key]


def tls_context(settings: TransportSettings, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The context of all TLS connections.

    Args:
        settings: the client's certificate authorities, or none, and its own certificate.
        default: makes the context that trusts the HTTP library's own authorities.
    """
    authorities = ca_bundle(settings.verify, settings.trust_env)
    if authorities is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is True:
        context = default()
    elif os.path.isdir(authorities):
        context = ssl.create_default_context(capath=authorities)
    else:
        context = ssl.create_default_context(cafile=authorities)
    if settings.cert is not None:
        load_certificate(context, settings.cert)
    return context


def require(module: str) -> None:
    """Make sure that a package which SOCKS proxies need is installed.

    Raises:
        ConfigurationError: it is not.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(
            "a SOCKS proxy needs a package that is not installed: pip install 'llmclients[socks]'", argument="proxy"
        )
