"""`Router`: which upstream answers which model, and who answers in its place when it fails.

A call goes to the upstream that its model's route names, with one key of that upstream after the other (`KeyPool` says
which may be used), then to its fallbacks. All of that comes before the first byte of the reply: a stream is opened,
until the provider has accepted it, and from then on nobody else takes over. A request that an upstream calls malformed
is not tried elsewhere.

How a configuration is replaced. Routes, upstreams and their clients are one `_Generation`, and each call holds the one
it began with. `Router.update` makes a new one; upstreams that have not changed go over to it with their connections and
rests. What has not gone over is closed when the last call that holds it has ended: so no stream is dropped.

All of it belongs to the relay's loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, TypeVar

from llmclients.async_client import AsyncClient
from llmclients.async_stream import AsyncStream
from llmclients.errors import APIError, APIStatusError, ConfigurationError, LLMClientError
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.config import RelayConfig, UpstreamConfig
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.key_pool import KeyPool, describe
from llmclients.relay.raw_call import RawAnswer
from llmclients.relay.upstream import Upstream
from llmclients.transports.base import Clock, SystemClock
from llmclients.types.response import ChatResponse

__all__ = ["RoutedStream", "Router"]

_log = logging.getLogger("llmclients.relay")

T = TypeVar("T")

MakeClient = Callable[..., AsyncClient]

_BLAMES_THE_REQUEST = frozenset({400, 413, 422})


class Router:
    """The upstreams behind one relay; has the methods of `Upstream`.

    Args:
        config: routes and upstreams.
        make_client: makes a client: `AsyncClient`, or a test's.
        clock: tells the time.

    Raises:
        ConfigurationError: naming the file and the member that is wrong.
    """

    def __init__(self, config: RelayConfig, make_client: MakeClient = AsyncClient, clock: Clock | None = None) -> None:
        self._make_client = make_client
        self._clock = clock or SystemClock()
        self._current = _Generation(config, {}, make_client, self._clock)

    async def update(self, config: RelayConfig) -> None:
        """Other routes and upstreams from now on. Raises as the constructor, and nothing has changed then."""
        before = self._current
        self._current = _Generation(config, before.pools, self._make_client, self._clock)
        await before.retire()

    async def close(self) -> None:
        """Close all clients whose calls have ended."""
        await self._current.retire()

    async def chat(self, call: RelayedCall) -> ChatResponse:
        """The whole answer. Raises as `AsyncClient.chat`, and RequestRejected where nobody can be asked."""

        async def ask(upstream: Upstream, routed: RelayedCall) -> ChatResponse:
            return await upstream.chat(routed)

        generation = self._current
        async with generation:
            return await generation.first_answer(call, ask)

    def stream(self, call: RelayedCall) -> RoutedStream:
        """The answer piece by piece, not begun."""
        return RoutedStream(self._current, call)

    async def models(self) -> list[str]:
        """The models that routes name, and those of all upstreams that a route leads to them.

        Raises:
            APIError: none of the upstreams answers.
        """
        generation = self._current
        async with generation:
            return await generation.models()

    def adapted(self, call: RelayedCall, *, lenient: bool) -> tuple[RelayedCall, list[str]]:
        """As `Upstream.adapted`, of the first upstream that is to be asked. Raises RequestRejected: there is none."""
        pool, routed = next(self._current._turns(call))
        adapted, warnings = pool.first.adapted(routed, lenient=lenient)
        return replace(adapted, model=call.model, model_is_droppable=call.model_is_droppable), warnings

    @property
    def takes_any_model(self) -> bool:
        """Which model is meant decides who answers."""
        return False

    @property
    def abilities(self) -> list[str]:
        """What all upstreams' wires carry."""
        return []

    async def ask_raw(self, path: str, body: Mapping[str, Any]) -> RawAnswer | None:
        """None: nothing passes to one of several providers as it came."""
        return None


class RoutedStream:
    """A stream whose upstream is chosen when it is entered, with `async with`: what that gives is the stream."""

    def __init__(self, generation: _Generation, call: RelayedCall) -> None:
        self._generation = generation
        self._call = call
        self._stream: AsyncStream[Any] | None = None

    async def __aenter__(self) -> AsyncStream[Any]:
        """Ask. Raises as `Router.chat`."""

        async def ask(upstream: Upstream, routed: RelayedCall) -> AsyncStream[Any]:
            return await upstream.stream(routed).open()

        await self._generation.__aenter__()
        try:
            self._stream = await self._generation.first_answer(self._call, ask)
        except BaseException:
            await self._generation.__aexit__(None, None, None)
            raise
        return self._stream

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._stream is not None:
                await self._stream.close()
        finally:
            await self._generation.__aexit__(None, None, None)


class _Generation:
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

    def _turns(self, call: RelayedCall) -> Iterator[tuple[KeyPool, RelayedCall]]:
        target = self.route(call.model or "")
        if target is None:
            names = ", ".join(self._config.models)[:200] or "none"
            raise RequestRejected(
                Failure(404, f"no route leads to this model: known are {names}", code="model_not_found", param="model")
            )
        name = target.partition("/")[0]
        yield self.pools[name], _asking(call, target)
        upstream = self._config.upstreams.get(name)
        for fallback in upstream.fallbacks if upstream is not None else ():
            # The first upstream's name of the model means nothing to another one.
            yield self.pools[fallback.partition("/")[0]], _asking(replace(call, model=None), fallback)

    async def first_answer(self, call: RelayedCall, ask: Callable[[Upstream, RelayedCall], Awaitable[T]]) -> T:
        """What the first upstream that does not fail gives.

        Raises:
            ConfigurationError: one of them cannot carry the call; nobody was asked.
            RequestRejected: no route, or all keys rest.
            APIError: that of the last upstream that was asked.
        """
        turns = list(self._turns(call))
        for pool, routed in turns[1:]:
            pool.first.stream(routed)  # sends nothing: what it cannot carry is to be known before
        failure: APIError | RequestRejected | None = None
        for pool, routed in turns:
            if failure is not None:
                _log.warning("%s takes the place of one that failed (%s)", pool.name, _kind(failure))
            try:
                return await self._with_keys(pool, routed, ask)
            except (APIError, RequestRejected) as error:
                failure = error
                if isinstance(error, APIStatusError) and error.status_code in _BLAMES_THE_REQUEST:
                    break
        assert failure is not None
        raise failure

    async def _with_keys(
        self, pool: KeyPool, call: RelayedCall, ask: Callable[[Upstream, RelayedCall], Awaitable[T]]
    ) -> T:
        model, failure = call.model or "", None
        for key in pool.in_turn(model):
            try:
                answer = await ask(key.upstream, call)
            except APIError as error:
                failure = error
                if not pool.failed(key, model, error):
                    break
            else:
                key.worked(model)
                return answer
        if failure is None:
            seconds = max(1, round(pool.wait(model) + 0.5))
            message = f"{pool.name} has asked to wait: try again in {seconds} s"
            headers = (("retry-after", str(seconds)),)
            raise RequestRejected(Failure(429, message, code="rate_limit_exceeded", headers=headers))
        raise failure

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
