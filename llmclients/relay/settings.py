"""`ServerSettings`: how the relay's server listens, whom it lets in, how it logs and how it ends; checked when made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from llmclients.errors import ConfigurationError
from llmclients.relay.guards import check_bind, check_key
from llmclients.relay.limits import ConnectionLimits

if TYPE_CHECKING:
    from llmclients.history import History

__all__ = ["DEFAULT_HOST", "DEFAULT_MAX_REQUEST_BYTES", "DEFAULT_PORT", "LogFormat", "ServerSettings"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8811
DEFAULT_MAX_REQUEST_BYTES = 32 * 1024 * 1024

LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of one server.

    Attributes:
        host: the address to listen on. One that others can reach needs a key.
        port: the port; 0 for any that is free.
        api_key: the key that clients have to send, where there is one for all.
        metrics_key: the key for `/metrics`; default: `api_key`.
        cors_origins: the web pages' origins that may use the relay, such as `https://chat.example`; `*` for all, which
            needs a key.
        certfile: the certificate's file (PEM), for TLS.
        keyfile: its key's file, where that is another one.
        drain_seconds: how long SIGTERM waits for answers that are under way.
        max_request_bytes: the most bytes of one request, unpacked.
        lenient: whether what a wire's programs ask for in every request, and nobody can do, is left out with a warning.
        page: whether there is a page for browsers at the root, or its history; None: yes, unless clients have own keys.
        log: `"text"`, to be read, or `"json"`, an object for each line.
        limits: how many connections there may be, and how long each may take.

    Raises:
        ConfigurationError: naming the setting that is wrong.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    api_key: str | None = field(default=None, repr=False)
    metrics_key: str | None = field(default=None, repr=False)
    cors_origins: Sequence[str] = ()
    certfile: str | None = None
    keyfile: str | None = None
    drain_seconds: float = 20.0
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    lenient: bool = True
    page: bool | History | None = None
    log: LogFormat = "text"
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)

    def __post_init__(self) -> None:
        if not isinstance(self.host, str):
            raise ConfigurationError(
                f"host must be a name or an address, not {type(self.host).__name__}", argument="host"
            )
        if isinstance(self.port, bool) or not isinstance(self.port, int):
            raise ConfigurationError(f"port must be a whole number, not {self.port!r}", argument="port")
        check_key(self.api_key)
        check_key(self.metrics_key, "metrics_key")
        size, seconds = self.max_request_bytes, self.drain_seconds
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigurationError("max_request_bytes must be a positive whole number", argument="max_request_bytes")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 86400:
            raise ConfigurationError("drain_seconds must be a number from 0 to 86400", argument="drain_seconds")
        if self.log not in get_args(LogFormat):
            raise ConfigurationError(f"log must be one of {', '.join(get_args(LogFormat))}", argument="log")
        if not isinstance(self.lenient, bool):
            raise ConfigurationError(f"lenient must be true or false, not {self.lenient!r}", argument="lenient")
        self._check_origins()
        self._check_files()

    def _check_origins(self) -> None:
        origins = self.cors_origins
        if isinstance(origins, str) or not all(isinstance(origin, str) for origin in origins):
            raise ConfigurationError("cors_origins must be a list of origins", argument="cors_origins")
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and (origin != f"{parts.scheme}://{parts.netloc}" or not parts.hostname):
                raise ConfigurationError(
                    f"cors_origins: {origin!r} is no origin: it is a scheme, a host and perhaps a port, such as "
                    "https://chat.example",
                    argument="cors_origins",
                )

    def _check_files(self) -> None:
        if self.keyfile and not self.certfile:
            raise ConfigurationError("keyfile needs a certfile", argument="keyfile")
        for name in ("certfile", "keyfile"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise ConfigurationError(f"{name}: there is no file {path}", argument=name)

    def check_keys(self, *, has_client_keys: bool) -> None:
        """Raise ConfigurationError for an address, or pages, that a key has to guard, where there is none."""
        has_key = self.api_key is not None or has_client_keys
        check_bind(self.host, has_key=has_key)
        if has_client_keys and self.page:
            raise ConfigurationError(
                "page: who has a key would read all conversations: with keys of the clients' own there is no page",
                argument="page",
            )
        if "*" in self.cors_origins and not has_key:
            raise ConfigurationError(
                "cors_origins: without a key, * would let every page that is opened on this machine use the relay: "
                "name the pages' origins, or give an api_key",
                argument="cors_origins",
            )

    def updated(self, changes: Mapping[str, Any]) -> ServerSettings:
        """The same with what is not None of these in place of what it has. Raises as when it is made."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given) if given else self

    def fixed_changes(self, other: ServerSettings) -> list[str]:
        """The names of the settings that differ in another one, and cannot be changed while the server runs."""
        changeable = ("api_key", "metrics_key", "certfile", "keyfile")
        names = (entry.name for entry in fields(self) if entry.name not in changeable)
        return [name for name in names if getattr(self, name) != getattr(other, name)]
