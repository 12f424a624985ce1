"""Timeouts, retry policy and proxy as values, and the one place that reads the environment."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from llmclients.errors import RETRIED_STATUSES, ConfigurationError

__all__ = ["DEFAULT_MAX_RESPONSE_BYTES", "Proxy", "RetryPolicy", "Timeout", "environ"]

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024


def environ(name: str) -> str | None:
    """The environment variable's value, or None when it is unset or blank."""
    return os.environ.get(name, "").strip() or None


def _seconds(value: Any, argument: str) -> float:
    # From a year on, a wait is a mistake; and no clock takes just any number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 366 * 86400:
        raise ConfigurationError(f"{argument} must be a positive number of seconds, not {value!r}", argument=argument)
    return float(value)


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long to wait, in seconds.

    Args:
        connect: for a connection (proxy and TLS included), per attempt. Default 10.
        read: for the next bytes of an answer, again and again. Default 120.
        total: for everything: all attempts, the sleeps between them, and the whole body. Default None: no deadline.

    Raises:
        ConfigurationError: a value is not a positive number.
    """

    connect: float = 10.0
    read: float = 120.0
    total: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "connect", _seconds(self.connect, "timeout.connect"))
        object.__setattr__(self, "read", _seconds(self.read, "timeout.read"))
        if self.total is not None:
            object.__setattr__(self, "total", _seconds(self.total, "timeout.total"))

    @classmethod
    def of(cls, value: Timeout | float | None) -> Timeout:
        """What a caller may pass as `timeout=`: a Timeout, a bare number (the read timeout), or None (the defaults)."""
        if value is None:
            return cls()
        return value if isinstance(value, Timeout) else cls(read=_seconds(value, "timeout"))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a call is tried again, and how long to wait before.

    Args:
        attempts: how often a call is made at most, the first time included. Default 3: two retries.
        initial_wait: seconds before the first retry when the provider does not say; it doubles each time. Default 0.5.
        max_wait: the most seconds between two attempts when the provider does not say. Default 8.
        jitter: the share of each wait that is random, 0 to 1. Default 0.25: a wait of 1 s is 0.75 to 1 s.
        max_retry_after: the most seconds to wait when the provider says how long; told to wait longer, the call fails
            at once. Default 120.
        statuses: the HTTP statuses that are retried.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    attempts: int = 3
    initial_wait: float = 0.5
    max_wait: float = 8.0
    jitter: float = 0.25
    max_retry_after: float = 120.0
    statuses: frozenset[int] = RETRIED_STATUSES

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigurationError(
                f"retry.attempts must be a whole number from 1, not {self.attempts!r}", argument="retry.attempts"
            )
        for name in ("initial_wait", "max_wait", "max_retry_after"):
            object.__setattr__(self, name, _seconds(getattr(self, name), f"retry.{name}"))
        if isinstance(self.jitter, bool) or not isinstance(self.jitter, int | float) or not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"retry.jitter must be from 0 to 1, not {self.jitter!r}", argument="retry.jitter")
        statuses = frozenset(self.statuses) if isinstance(self.statuses, Iterable) else None
        if statuses is None or not all(isinstance(status, int) for status in statuses):
            raise ConfigurationError("retry.statuses must be a set of HTTP statuses", argument="retry.statuses")
        object.__setattr__(self, "statuses", statuses)

    @classmethod
    def of(cls, value: RetryPolicy | int | None) -> RetryPolicy:
        """What a caller may pass as `retry=`: a policy, a number of attempts, or None or False (one attempt)."""
        if value is None or value is False:
            return cls(attempts=1)
        return value if isinstance(value, RetryPolicy) else cls(attempts=value)


_PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy server. Its password is never shown.

    `socks5` and `socks5h` both let the proxy resolve the host's name; `socks://`, as some desktops write it, is
    `socks5h`.

    Raises:
        ConfigurationError: the URL has no known scheme, no host, or a port that is no port.
    """

    url: str

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):
            raise ConfigurationError(f"proxy must be a URL, not {type(self.url).__name__}", argument="proxy")
        url = self.url.strip()
        if "://" not in url:
            raise ConfigurationError(
                f"proxy has no scheme: write http://{url.rpartition('@')[2]}, or socks5h://…", argument="proxy"
            )
        if url.startswith("socks://"):
            url = "socks5h" + url[len("socks") :]
        parts = _split(url, "proxy")
        # A password with an unescaped slash would otherwise pass for a port and a path, and be shown.
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigurationError(
                "proxy must end after the port: percent-encode such characters in its password", argument="proxy"
            )
        if parts.scheme not in _PROXY_PORTS:
            raise ConfigurationError(
                f"proxy scheme {parts.scheme!r} is not one of {', '.join(sorted(_PROXY_PORTS))}", argument="proxy"
            )
        object.__setattr__(self, "url", url)

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or _PROXY_PORTS[self.scheme]

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password, percent-decoded, or None."""
        parts = urlsplit(self.url)
        return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))

    @property
    def url_without_credentials(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def display(self) -> str:
        """The URL with its password masked, for messages."""
        user = self.credentials
        if user is None:
            return self.url_without_credentials
        return self.url_without_credentials.replace("://", f"://{quote(user[0])}:***@", 1)

    def __repr__(self) -> str:
        return f"Proxy({self.display!r})"

    @classmethod
    def of(cls, value: Proxy | str | bool | None) -> Proxy | bool | None:
        """What a caller may pass as `proxy=`: a URL, a Proxy, False (no proxy), or None (the environment's)."""
        if value is None or value is False or isinstance(value, Proxy):
            return value
        if not isinstance(value, str):
            raise ConfigurationError(
                f"proxy must be a URL, False or None, not {type(value).__name__}", argument="proxy"
            )
        return cls(value)


def environment_proxy(url: str) -> Proxy | None:
    """The proxy that the environment names for `url`: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, any case.

    Raises:
        ConfigurationError: a variable holds something that is not a proxy URL.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address:
        return None
    host = parts.hostname or ""
    if _bypassed(host, parts.port or (443 if parts.scheme == "https" else 80), proxies.get("no", "")):
        return None
    if "://" not in address:
        address = f"http://{address}"  # curl and requests read a bare host:port this way
    try:
        return Proxy(address)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (from the environment)", argument=f"{parts.scheme}_proxy") from None


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether a `NO_PROXY` list has the host: `*`, a domain with subdomains, an address, a CIDR block; with a port."""
    import ipaddress

    def address(text: str) -> Any:
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            return None

    own = address(host)
    for entry in (item.strip().lower() for item in no_proxy.split(",")):
        if not entry:
            continue
        if entry == "*":
            return True
        name, colon, entry_port = entry.rpartition(":")
        if colon and entry_port.isdecimal() and (":" not in name or name.endswith("]")):
            if int(entry_port) != port:
                continue
            entry = name
        entry = entry.strip("[]")
        if own is not None:
            try:
                if own in ipaddress.ip_network(entry, strict=False):
                    return True
            except (ValueError, TypeError):
                continue
        else:
            domain = entry.removeprefix("*").removeprefix(".")
            if domain and (host.lower() == domain or host.lower().endswith("." + domain)):
                return True
    return False


def ca_bundle(verify: bool | str | os.PathLike[str], trust_env: bool) -> bool | str:
    """What to check certificates against: False (nothing), True (the default authorities), or a file or folder.

    `verify=True` with `trust_env` takes `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or `SSL_CERT_DIR`, the
    first that is set.

    Raises:
        ConfigurationError: the file or folder does not exist.
    """
    path: str | None = None
    argument = "verify"
    if verify is False:
        return False
    if not isinstance(verify, bool | str | os.PathLike):
        raise ConfigurationError(
            f"verify must be True, False or a path, not {type(verify).__name__}", argument="verify"
        )
    if not isinstance(verify, bool):
        path = os.fspath(verify)
    elif trust_env:
        for argument in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
            path = environ(argument)
            if path:
                break
    if not path:
        return True
    if not os.path.exists(path):
        raise ConfigurationError(f"{argument}: no such file or folder: {path}", argument=argument)
    return path


def _split(url: str, argument: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Neither the URL nor urllib's words for what is wrong with it: both may hold a password, or a piece of one.
        raise ConfigurationError(f"{argument} is not a URL, or its port is no port", argument=argument) from None
    if not host or any(c.isspace() or ord(c) < 32 or ord(c) == 127 for c in url):
        raise ConfigurationError(f"{argument} has no valid host", argument=argument)
    if port == 0:
        raise ConfigurationError(f"{argument} has port 0", argument=argument)
    return parts


def check_base_url(url: Any, argument: str = "base_url") -> str:
    """`url` without a trailing slash.

    Raises:
        ConfigurationError: not a string, no `http://` or `https://`, no host; or credentials, a query, a fragment.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{argument} must be a URL, not {type(url).__name__}", argument=argument)
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise ConfigurationError(
            f"{argument} must begin with http:// or https://, not {url.rpartition('@')[2]!r}", argument=argument
        )
    parts = _split(url, argument)
    if parts.username is not None:
        raise ConfigurationError(f"{argument} must not hold credentials: use api_key= or headers=", argument=argument)
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{argument} must not have a query or a fragment", argument=argument)
    return url.rstrip("/")


def address_url(address: str, port: int) -> str:
    """The URL that a server's own address variable means: `host`, `host:port`, `:port`, or a URL already.

    An address to listen on, which is any of the machine's, becomes the loopback one. Whether the result is a URL is for
    `check_base_url` to say.

    Args:
        address: what the variable holds.
        port: where the server listens when a bare address names no port.
    """
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    if authority.count(":") > 1 and not authority.startswith("["):  # IPv6, bare
        authority = f"[{authority}]"
    host, colon, own_port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, colon, own_port = authority, "" if separator else ":", "" if separator else str(port)
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{scheme or 'http'}://{host}{colon}{own_port}{slash}{path}"


def check_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    """Header pairs that may go out: names are tokens, values have no line ends (no header can be smuggled in).

    Raises:
        ConfigurationError: naming the header, never its value.
    """
    try:
        pairs = tuple(
            (name, value) for name, value in (headers.items() if isinstance(headers, Mapping) else headers or ())
        )
    except (TypeError, ValueError):
        raise ConfigurationError("headers must be a mapping of names to values", argument="headers") from None
    for name, value in pairs:
        if (
            not isinstance(name, str)
            or not name
            or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
        ):
            raise ConfigurationError(f"headers: {name!r} is not a header name", argument="headers")
        if not isinstance(value, str):
            raise ConfigurationError(f"headers: the value of {name} must be a string", argument="headers")
        if any((ord(c) < 32 and c != "\t") or ord(c) >= 127 for c in value):
            raise ConfigurationError(
                f"headers: the value of {name} has a character that no header can carry", argument="headers"
            )
    return pairs
