"""`Generation`: the routes and upstreams of one reading of the configuration, and who answers a call by them.

A call goes to the upstream that its model's route names, with one key of that upstream after the other (`KeyPool` says
which may be used), then to its fallbacks. All of that comes before the first byte of the reply: a stream is opened,
until the provider has accepted it, and from then on nobody else takes over. A request that an upstream calls malformed
is not tried elsewhere. What passes to the provider as it came (`first_key`) is the route's upstream's alone: another
model's embeddings, or its count of tokens, take the place of nothing.

A generation lives as long as a call holds it, with `async with`, or it is the newest one: see `Router`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from llmclients.async_client import AsyncClient
from llmclients.errors import APIError, APIStatusError, ConfigurationError, LLMClientError
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.config import RelayConfig, UpstreamConfig
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.key_pool import KeyPool, Purpose, describe
from llmclients.relay.upstream import Leeway, Upstream
from llmclients.transports.base import Clock

__all__ = ["Generation", "MakeClient"]

_log = logging.getLogger("llmclients.relay")

S = TypeVar("S")
T = TypeVar("T")

MakeClient = Callable[..., AsyncClient]

_BLAMES_THE_REQUEST = frozenset({400, 413, 422})


class Generation:
    """What one reading of the configuration has made.

    Attributes:
        pools: the upstreams' clients, by what routes call them.
    """

    def __init__(
        self, config: RelayConfig, before: Mapping[str, KeyPool], make_client: MakeClient, clock: Clock
    ) -> None:
        self._config = config
        self._calls = 0
        self._is_retired = False
        self.pools: dict[str, KeyPool] = {}
        targets = [*config.models.items(), *([("default", config.default)] if config.default else [])]
        for place, target in targets:
            member = "default" if target is config.default and place == "default" else f"models.{place!r}"
            self._add(target, member, before, make_client, clock)
        if unused := [name for name in config.upstreams if name not in self.pools]:
            raise ConfigurationError(
                f"{config.source}: upstreams.{unused[0]}: no route leads to it, no default and no fallback",
                argument=f"upstreams.{unused[0]}",
            )
        for pool in self.pools.values():
            pool.holders.add(self)
            pool.put_back()

    def _add(
        self, target: str, member: str, before: Mapping[str, KeyPool], make_client: MakeClient, clock: Clock
    ) -> KeyPool:
        """The pool that a route leads to, and those of its fallbacks."""
        name = target.partition("/")[0]
        if name in self.pools:
            return self.pools[name]
        config = self._config
        upstream = config.upstreams.get(name) or UpstreamConfig(name, name)
        place = f"upstreams.{name}" if name in config.upstreams else member
        defaults = {**config.defaults, **upstream.options}
        kept = before.get(name)
        if kept is not None and kept.made_of == (upstream, defaults):
            pool = kept
        else:
            try:
                pool = KeyPool(name, _upstreams(upstream, defaults, make_client), clock)
            except ConfigurationError as error:
                problem = str(error)
                if upstream.options and not config.defaults:
                    problem = problem.replace("defaults: ", "options: ", 1)
                raise ConfigurationError(f"{config.source}: {place}: {problem}", argument=place) from None
            pool.made_of = (upstream, defaults)
        self.pools[name] = pool
        for fallback in upstream.fallbacks:
            other = self._add(fallback, f"{place}.fallbacks", before, make_client, clock)
            if "/" not in fallback and not other.first.has_model:
                problem = f"{place}.fallbacks: {fallback!r} needs a model: write {fallback}/MODEL"
                raise ConfigurationError(f"{config.source}: {problem}", argument=place)
        return pool

    # --- whose turn it is ---------------------------------------------------------------------------------------------

    def route(self, model: str) -> str | None:
        """Where a model's calls go, as the configuration has it."""
        models = self._config.models
        if (found := models.get(model)) is not None:
            return found
        return next((target for name, target in models.items() if fnmatchcase(model, name)), self._config.default)

    def turn(self, model: str | None) -> tuple[KeyPool, str]:
        """Who is asked first for a model, and the route's target.

        Raises:
            RequestRejected: no route leads to it.
        """
        target = self.route(model or "")
        if target is None:
            names = ", ".join(self._config.models)[:200] or "none"
            raise RequestRejected(
                Failure(404, f"no route leads to this model: known are {names}", code="model_not_found", param="model")
            )
        return self.pools[target.partition("/")[0]], target

    def answers(self, model: str) -> bool:
        """As `Upstream.answers`: also where a route has the model's name, or leads to a model of its own."""
        target = self.route(model)
        if target is None:
            return False
        pool, _ = self.turn(model)
        return model in self._config.models or "/" in target or pool.first.takes_any_model

    def _turns(self, call: RelayedCall) -> Iterator[tuple[KeyPool, RelayedCall]]:
        first, target = self.turn(call.model)
        name = first.name
        yield first, _asking(call, target)
        upstream = self._config.upstreams.get(name)
        for fallback in upstream.fallbacks if upstream is not None else ():
            # The first upstream's name of the model means nothing to another one.
            yield self.pools[fallback.partition("/")[0]], _asking(replace(call, model=None), fallback)

    async def first_answer(
        self, call: RelayedCall, leeway: Leeway, ask: Callable[[Upstream, RelayedCall], Awaitable[T]]
    ) -> T:
        """What the first upstream that does not fail gives. Each is asked for what it can carry of the call.

        Raises:
            ConfigurationError: one of them cannot carry the call; nobody was asked.
            RequestRejected: no route, or all keys rest.
            APIError: that of the last upstream that was asked.
        """
        turns = list(self._turns(call))
        for pool, routed in turns[1:]:
            # Sends nothing: what it cannot carry is to be known before.
            pool.first.stream(routed, Leeway(leeway.lenient))
        failure: APIError | RequestRejected | None = None
        for pool, routed in turns:
            if failure is not None:
                _log.warning("%s takes the place of one that failed (%s)", pool.name, _kind(failure))
            try:
                return await _with_keys(pool, Purpose(routed.model or ""), routed, ask)
            except (APIError, RequestRejected) as error:
                failure = error
                if isinstance(error, APIStatusError) and error.status_code in _BLAMES_THE_REQUEST:
                    break
        assert failure is not None
        raise failure

    async def first_key(
        self, model: str | None, ask: Callable[[Upstream, str | None], Awaitable[T]], *, is_count: bool
    ) -> T:
        """What the route's upstream gives, with the first key that does not fail. Raises as `first_answer`.

        Args:
            is_count: whether tokens are counted, and nothing is answered.
        """
        pool, target = self.turn(model)
        _, slash, named = target.partition("/")
        name = named if slash else model
        return await _with_keys(pool, Purpose(name or "", is_count), name, ask)

    async def models(self) -> list[str]:
        """As `Router.models`."""
        named = [name for name in self._config.models if not any(c in name for c in "*?[")]
        pools = list(self.pools.values())
        lists = await asyncio.gather(*(pool.first.models() for pool in pools), return_exceptions=True)
        failures: list[BaseException] = []
        for pool, found in zip(pools, lists, strict=True):
            if isinstance(found, LLMClientError):
                failures.append(found)
                kind = describe(found) if isinstance(found, APIError) else type(found).__name__
                _log.warning("%s does not list its models: %s", pool.name, kind)
            elif isinstance(found, BaseException):
                raise found
            else:
                named += [name for name in found if self.route(name) == pool.name]
        if len(failures) == len(pools) and not named:
            raise failures[0]
        return list(dict.fromkeys(named))

    # --- how long it lives --------------------------------------------------------------------------------------------

    async def __aenter__(self) -> None:
        self._calls += 1

    async def __aexit__(self, *error: object) -> None:
        self._calls -= 1
        await self._close_if_unused()

    async def retire(self) -> None:
        """No further call begins with this one."""
        self._is_retired = True
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if not self._is_retired or self._calls:
            return
        for pool in self.pools.values():
            pool.holders.discard(self)
            if not pool.holders:
                await pool.close()


async def _with_keys(pool: KeyPool, purpose: Purpose, asked: S, ask: Callable[[Upstream, S], Awaitable[T]]) -> T:
    """What an upstream gives with the first key that does not fail. Raises as `Generation.first_answer`.

    Args:
        purpose: what keys rest for.
        asked: what `ask` is given.
    """
    failure: APIError | None = None
    for key in pool.in_turn(purpose):
        try:
            answer = await ask(key.upstream, asked)
        except APIError as error:
            failure = error
            if not pool.failed(key, purpose, error):
                break
        else:
            key.worked(purpose)
            return answer
    if failure is None:
        seconds = max(1, round(pool.wait(purpose) + 0.5))
        message = f"{pool.name} has asked to wait: try again in {seconds} s"
        headers = (("retry-after", str(seconds)),)
        raise RequestRejected(Failure(429, message, code="rate_limit_exceeded", headers=headers))
    raise failure


def _asking(call: RelayedCall, target: str) -> RelayedCall:
    """The call, for the model that a route names."""
    _, slash, model = target.partition("/")
    return replace(call, model=model, model_is_droppable=False) if slash else call


def _kind(failure: APIError | RequestRejected) -> str:
    return describe(failure) if isinstance(failure, APIError) else "its keys rest"


def _upstreams(config: UpstreamConfig, defaults: Mapping[str, Any], make_client: MakeClient) -> list[Upstream]:
    """A client for each key."""
    keys: tuple[str | None, ...] = config.api_keys or (None,)
    return [
        Upstream(make_client(config.provider, retry=None, api_key=key, **config.arguments), defaults) for key in keys
    ]
