"""Timeouts, the retry policy and a proxy as values: checked when they are made, immutable after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from llmclients.errors import RETRIED_STATUSES, ConfigurationError

__all__ = ["DEFAULT_MAX_RESPONSE_BYTES", "Proxy", "RetryPolicy", "Timeout", "split_url"]

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_STREAM_READ = 120.0
"""Seconds. A server that streams sends something much more often, be it a comment."""


def _seconds(value: Any, argument: str) -> float:
    # From a year on, a wait is a mistake; and no clock takes just any number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 366 * 86400:
        raise ConfigurationError(
            f"{argument} must be a positive number of seconds, less than a year, not {value!r}", argument=argument
        )
    return float(value)


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long to wait, in seconds.

    Args:
        connect: for a connection (proxy and TLS included), per attempt. Default 10.
        read: for the next bytes of an answer, again and again. Default None: 120 for a stream; 600 for a plain `chat`,
            whose first byte may come when the model is through with thinking (`Provider.chat_read_timeout`).
        total: for everything: all attempts, the sleeps between them, the whole body, and all turns with `run_tools`.
            Default None: no deadline.
        write: for the server to take more of the request, again and again: a large one that goes out slowly but
            steadily may take as long as it needs. Default None: as long as `read`, or 120 where that is not given.

    Raises:
        ConfigurationError: a value is not a positive number.
    """

    connect: float = 10.0
    read: float | None = None
    total: float | None = None
    write: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "connect", _seconds(self.connect, "timeout.connect"))
        if self.read is not None:
            object.__setattr__(self, "read", _seconds(self.read, "timeout.read"))
        if self.total is not None:
            object.__setattr__(self, "total", _seconds(self.total, "timeout.total"))
        if self.write is not None:
            object.__setattr__(self, "write", _seconds(self.write, "timeout.write"))

    @property
    def read_seconds(self) -> float:
        """`read`, or a stream's limit where it is not given."""
        return _STREAM_READ if self.read is None else self.read

    @property
    def write_seconds(self) -> float:
        """`write`, or `read_seconds` where it is not given."""
        return self.read_seconds if self.write is None else self.write

    def with_read(self, seconds: float | None = None) -> Timeout:
        """The same with its limits as numbers: `read` is `seconds`, or a stream's limit, where it is not given.

        Sending waits no longer for that: a server has nothing to think about before it has the request.
        """
        if self.read is not None:
            return self
        return replace(self, read=_STREAM_READ if seconds is None else seconds, write=self.write_seconds)

    @classmethod
    def coerce(cls, value: Timeout | float | None) -> Timeout:
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
    def coerce(cls, value: RetryPolicy | int | None) -> RetryPolicy:
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
        parts = split_url(url, "proxy")
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
    def coerce(cls, value: Proxy | str | bool | None) -> Proxy | bool | None:
        """What a caller may pass as `proxy=`: a URL, a Proxy, False (no proxy), or None (the environment's)."""
        if value is None or value is False or isinstance(value, Proxy):
            return value
        if not isinstance(value, str):
            raise ConfigurationError(
                f"proxy must be a URL, False or None, not {type(value).__name__}", argument="proxy"
            )
        return cls(value)


def split_url(url: str, argument: str) -> SplitResult:
    """A URL in parts, its host and port checked.

    Raises:
        ConfigurationError: naming `argument`; the URL, which may hold a password, is not repeated.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Neither the URL nor urllib's words for what is wrong with it: both may hold a password, or a piece of one.
        raise ConfigurationError(f"{argument} is not a URL, or its port is no port", argument=argument) from None
    if any(c.isspace() or ord(c) < 32 or ord(c) == 127 for c in url):
        raise ConfigurationError(
            f"{argument} has no valid host: there is a blank, a line end or the like in it", argument=argument
        )
    if not host:
        raise ConfigurationError(f"{argument} has no valid host", argument=argument)
    if port == 0:
        raise ConfigurationError(f"{argument} has port 0", argument=argument)
    return parts
