"""`Accounts`: whose key a request has, and what its owner may still use: requests, tokens, money.

What an answer takes is known when it has ended, so a limit on tokens or money says whether the next request may begin.
All requests belong to one loop, and nothing here waits: no lock is needed.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from llmclients.relay.budgets import Bucket, DayTotal
from llmclients.relay.config import ClientKeyConfig, Price
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.transports.base import Clock, SystemClock
from llmclients.types.usage import Usage

__all__ = ["Account", "Accounts"]

_MILLION = 1_000_000
_PER_MINUTE = ("requests_per_minute", "tokens_per_minute")


class Account:
    """The owner of a key.

    Attributes:
        name: what the log calls the owner; "" where there is one key, or none.
    """

    def __init__(self, config: ClientKeyConfig | None, prices: Mapping[str, Price], clock: Clock) -> None:
        self.name = "" if config is None else config.name
        self._clock = clock
        self._under_way = 0
        self._buckets: dict[str, Bucket] = {}
        self._tokens, self._money = DayTotal(), DayTotal()
        self.update(config, prices)

    def update(self, config: ClientKeyConfig | None, prices: Mapping[str, Price]) -> None:
        """Other limits from now on; what has been used stays so."""
        self._config, self._prices = config, prices
        now = self._clock.monotonic()
        for name in _PER_MINUTE:
            limit = getattr(config, name, None)
            if limit is None:
                self._buckets.pop(name, None)
            elif name in self._buckets:
                self._buckets[name].change(limit, now)
            else:
                self._buckets[name] = Bucket(limit, now)

    def begin(self) -> None:
        """A request begins; `end` is to be called for it.

        Raises:
            RequestRejected: a limit is reached; the 429 says which, and when to come again.
        """
        config = self._config
        if config is None:
            return
        now, unix_time = self._clock.monotonic(), self._clock.time()
        if config.concurrent is not None and self._under_way >= config.concurrent:
            raise _limited(f"{config.concurrent} requests at once", 1.0)
        if config.tokens_per_day is not None and (wait := self._tokens.wait(config.tokens_per_day, unix_time)):
            raise _used_up(f"{config.tokens_per_day:,.15g} tokens a day", wait)
        if config.money_per_day is not None and (wait := self._money.wait(config.money_per_day, unix_time)):
            raise _used_up(f"{config.money_per_day:,.15g} of money a day", wait)
        for name, bucket in self._buckets.items():
            if wait := bucket.wait(now):
                raise _limited(f"{getattr(config, name):,.15g} {name.partition('_')[0]} a minute", wait)
        if requests := self._buckets.get("requests_per_minute"):
            requests.take(1, now)
        self._under_way += 1

    def check_model(self, model: str | None) -> None:
        """Raise RequestRejected for a model whose price is not known, where the budget is one of money."""
        if self._config is not None and self._config.money_per_day is not None and self._price(model) is None:
            raise RequestRejected(
                Failure(403, "this key's budget is in money, and the model has no price here", param="model")
            )

    def end(self, model: str | None, usage: Usage | None) -> None:
        """The request has ended: `usage` is what it took, None if nothing was answered."""
        if self._config is None:
            return
        self._under_way = max(self._under_way - 1, 0)
        if usage is None:
            return
        taken = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        unix_time = self._clock.time()
        self._tokens.add(taken, unix_time)
        if tokens := self._buckets.get("tokens_per_minute"):
            tokens.take(taken, self._clock.monotonic())
        if (price := self._price(model)) is not None:
            self._money.add(_cost(price, usage), unix_time)

    def _price(self, model: str | None) -> Price | None:
        prices, name = self._prices, model or ""
        found = (price for pattern, price in prices.items() if fnmatchcase(name, pattern))
        return prices.get(name) or next(found, None)


class Accounts:
    """All keys of one relay.

    Args:
        api_key: the one key of all clients.
        keys: or one for each of them. With neither, everybody may.
        prices: what models cost, by name or pattern.
        metrics_key: the key for the metrics.
        clock: tells the time.
    """

    def __init__(
        self,
        api_key: str | None = None,
        keys: Iterable[ClientKeyConfig] = (),
        prices: Mapping[str, Price] | None = None,
        metrics_key: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._anybody = Account(None, {}, self._clock)
        self._by_name: dict[str, Account] = {}
        self.update(api_key, keys, prices, metrics_key)

    def update(
        self,
        api_key: str | None,
        keys: Iterable[ClientKeyConfig],
        prices: Mapping[str, Price] | None,
        metrics_key: str | None,
    ) -> None:
        """Other keys and limits from now on. An owner of the same name keeps what has been used."""
        before, self._by_name, self._by_key = self._by_name, {}, []
        for config in keys:
            account = before.get(config.name)
            if account is None:
                account = Account(config, prices or {}, self._clock)
            else:
                account.update(config, prices or {})
            self._by_name[config.name] = account
            self._by_key.append((config.key.encode(), account))
        # Several owners are none of each other's business: there, the metrics of all need a key of their own.
        self._metrics_key = metrics_key or api_key
        if api_key is not None:
            self._by_key.append((api_key.encode(), self._anybody))

    @property
    def has_keys(self) -> bool:
        """Whether a key is needed."""
        return bool(self._by_key)

    @property
    def has_client_keys(self) -> bool:
        """Whether clients have keys of their own."""
        return bool(self._by_name)

    def find(self, key: str) -> Account | None:
        """Whose key it is, None if nobody's. It takes the same time for each."""
        found = None if self._by_key else self._anybody
        sent = key.encode()
        for known, account in self._by_key:
            if secrets.compare_digest(known, sent):
                found = account
        return found

    def may_see_metrics(self, key: str) -> bool:
        """Whether the key is one for the metrics."""
        if self._metrics_key is None:
            return not self._by_key
        return secrets.compare_digest(self._metrics_key.encode(), key.encode())


def _cost(price: Price, usage: Usage) -> float:
    cached = usage.cached_tokens or 0
    cached_price = price.input if price.cached_input is None else price.cached_input
    paid = max((usage.input_tokens or 0) - cached, 0)
    return (paid * price.input + cached * cached_price + (usage.output_tokens or 0) * price.output) / _MILLION


def _limited(limit: str, seconds: float) -> RequestRejected:
    headers = (("retry-after", str(max(math.ceil(seconds), 1))),)
    message = f"this key may have {limit}: try again in {math.ceil(seconds)} s"
    return RequestRejected(Failure(429, message, code="rate_limit_exceeded", headers=headers))


def _used_up(limit: str, seconds: float) -> RequestRejected:
    # A program that waits for a header's number of hours looks as if it hung: it is told not to.
    headers = (("retry-after", str(math.ceil(seconds))), ("x-should-retry", "false"))
    message = f"this key may have {limit}, and has had them: the next day begins in {math.ceil(seconds / 60)} minutes"
    return RequestRejected(Failure(429, message, code="insufficient_quota", headers=headers))
