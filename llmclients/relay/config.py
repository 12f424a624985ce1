"""`RelayConfig`: what a relay in front of several providers needs to know, and its file, `relay.toml`.

    default = "local"

    [models]
    "gpt-*" = "openai"
    "fast" = "groq/llama-3.1-8b-instant"

    [upstreams.openai]
    api_keys = ["$OPENAI_KEY_1", "$OPENAI_KEY_2"]
    fallbacks = ["anthropic/claude-haiku-4-5"]

    [keys.alice]
    key = "$ALICE_KEY"
    requests_per_minute = 60

    [server]
    port = 8811

`docs/running-the-relay.md` has all of it.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from llmclients.errors import ConfigurationError
from llmclients.relay.guards import check_key
from llmclients.relay.limits import ConnectionLimits
from llmclients.relay.settings import ServerSettings
from llmclients.relay.tables import Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ClientKeyConfig", "Price", "RelayConfig", "UpstreamConfig"]


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """A provider behind the relay.

    Attributes:
        name: what routes and fallbacks call it.
        provider: the provider's name, or `"name/model"`.
        api_keys: its keys; none: the provider's environment variable.
        arguments: further arguments of its client.
        options: options of calls that do not name them.
        fallbacks: the upstreams to ask, in turn, when this one has failed; each `"name"` or `"name/model"`.
    """

    name: str
    provider: str
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientKeyConfig:
    """A key of the relay's clients, and what may be done with it. None: as much as one likes.

    Attributes:
        name: what the log calls it.
        key: the key.
        requests_per_minute: the most requests, evenly over the minute; as many may come at once.
        tokens_per_minute: the most tokens of requests and answers. What is under way counts when it has ended.
        concurrent: the most requests at once.
        tokens_per_day: the most tokens of a day, which begins at 0:00 UTC.
        money_per_day: the most money of a day, in the currency of the prices.
    """

    name: str
    key: str = field(repr=False)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrent: int | None = None
    tokens_per_day: float | None = None
    money_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in any currency, for a million tokens.

    Attributes:
        input: those of the request.
        output: those of the answer.
        cached_input: those of the request that the provider had in its cache; default: as `input`.
    """

    input: float
    output: float
    cached_input: float | None = None


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """A relay in front of several providers. `load` reads it from a file, `from_dict` from what such a file has.

    Attributes:
        models: who answers which model: a name or a pattern with `*`, to an upstream or provider, as `"name"` or
            `"name/model"`. A name comes before patterns, the first pattern before the second.
        default: who answers all others; None: nobody.
        upstreams: what is to be known of providers besides their names.
        client_keys: the keys of the relay's clients.
        prices: what models cost, by name or pattern, for budgets in money.
        defaults: options of calls that do not name them, at any provider.
        server: how the server listens.
        source: the file's name, for errors.
        path: the file, which SIGHUP reads again.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    default: str | None = "local"
    upstreams: Mapping[str, UpstreamConfig] = field(default_factory=dict)
    client_keys: tuple[ClientKeyConfig, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    server: ServerSettings = field(default_factory=ServerSettings)
    source: str = "the configuration"
    path: Path | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RelayConfig:
        """The configuration in a TOML file.

        Raises:
            ConfigurationError: naming the file and the member, or the line, that is wrong.
        """
        file = Path(path)
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ConfigurationError(f"{file.name}: cannot be read: {reason}", argument="config") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{file.name}: {_place_first(str(error))}", argument="config") from None
        return cls.from_dict(values, file.name, file)

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], source: str = "the configuration", path: Path | None = None
    ) -> RelayConfig:
        """The configuration in a dict. Raises as `load`."""
        table = Table(values, source)
        config = cls(
            models=table.text_members("models"),
            default=_default(table),
            upstreams={name: _upstream(name, entry) for name, entry in table.tables("upstreams")},
            client_keys=tuple(_client_key(name, entry) for name, entry in table.tables("keys")),
            prices={name: _price(entry) for name, entry in table.tables("prices")},
            defaults=table.mapping("defaults"),
            server=_server(table.table("server")),
            source=source,
            path=path,
        )
        table.end()
        config._check_keys(table)
        return config

    def _check_keys(self, table: Table) -> None:
        keys = [entry.key for entry in self.client_keys]
        if self.server.api_key is not None and keys:
            raise table.error("", "give the clients keys of their own in [keys], or all of them one as server.api_key")
        if len(set(keys)) < len(keys):
            raise table.error("keys", "two of them are the same key")
        if any(entry.money_per_day is not None for entry in self.client_keys) and not self.prices:
            raise table.error("prices", "missing: a budget of money_per_day needs to know what models cost")
        try:
            self.server.check_keys(has_client_keys=bool(keys))
        except ConfigurationError as error:
            raise table.error("server", str(error)) from None


def _place_first(message: str) -> str:
    """tomllib's message, which ends with the place, as others have it: the place before what is wrong there."""
    found = re.fullmatch(r"(.*) \(at (.*)\)", message, re.DOTALL)
    return f"{found[2]}: {found[1]}" if found else message


def _default(table: Table) -> str | None:
    value = table.take("default", str, "an upstream's name, or an empty text for none")
    return "local" if value is None else value.strip() or None


def _upstream(name: str, table: Table) -> UpstreamConfig:
    one, several = table.secret("api_key"), table.texts("api_keys")
    if one is not None and several:
        raise table.error("", "give api_key or api_keys, not both")
    keys = tuple(table.resolved("api_keys", key) for key in several) or ((one,) if one else ())
    if len(set(keys)) < len(keys):
        raise table.error("api_keys", "two of them are the same key")
    arguments: dict[str, Any] = {member: table.text(member) for member in ("model", "base_url", "region", "proxy")}
    arguments["timeout"] = table.number("timeout")
    arguments["verify"] = table.take("verify", (str, bool), "true, false or a file")
    arguments["headers"] = table.secret_members("headers") or None
    upstream = UpstreamConfig(
        name=name,
        provider=table.text("provider") or name,
        api_keys=keys,
        arguments={member: value for member, value in arguments.items() if value is not None},
        options=table.mapping("options"),
        fallbacks=table.texts("fallbacks"),
    )
    table.end()
    return upstream


def _client_key(name: str, table: Table) -> ClientKeyConfig:
    key = table.secret("key")
    if key is None:
        raise table.error("", 'needs a key: key = "$VARIABLE"')
    try:
        check_key(key)
    except ConfigurationError as error:
        raise table.error("key", str(error)) from None
    entry = ClientKeyConfig(
        name=name,
        key=key,
        requests_per_minute=table.number("requests_per_minute"),
        tokens_per_minute=table.number("tokens_per_minute"),
        concurrent=table.whole("concurrent"),
        tokens_per_day=table.number("tokens_per_day"),
        money_per_day=table.number("money_per_day"),
    )
    table.end()
    return entry


def _price(table: Table) -> Price:
    numbers: dict[str, float | None] = {}
    for member in ("input", "output", "cached_input"):
        value = numbers[member] = table.take(member, (int, float), "a number")
        if value is not None and not 0 <= value < math.inf:
            raise table.error(member, "must be a number from 0 on")
        if value is None and member != "cached_input":
            raise table.error(member, "missing: it is what a million tokens cost")
    table.end()
    return Price(**numbers)  # type: ignore[arg-type]


def _server(table: Table) -> ServerSettings:
    limits = table.table("limits")
    names = [entry.name for entry in fields(ConnectionLimits)]
    # Text fields that may be secrets, and others.
    values: dict[str, Any] = {member: table.secret(member) for member in ("api_key", "metrics_key")}
    values |= {member: table.text(member) for member in ("host", "certfile", "keyfile", "log")}
    values["port"] = table.take("port", int, "a whole number")
    values["cors_origins"] = table.texts("cors_origins")
    values["drain_seconds"] = table.take("drain_seconds", (int, float), "a number")
    values["max_request_bytes"] = table.whole("max_request_bytes")
    values["lenient"] = table.take("lenient", bool, "true or false")
    given = {name: limits.whole(name) if name == "connections" else limits.number(name) for name in names}
    table.end(["limits"])
    limits.end()
    try:
        values["limits"] = ConnectionLimits(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        return ServerSettings().updated(values)
    except ConfigurationError as error:
        raise table.error("", str(error)) from None
