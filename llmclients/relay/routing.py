"""`Router`: several upstreams behind one relay, by the routes of a configuration that may be replaced at any time.

How a configuration is replaced. Routes, upstreams and their clients are one `Generation`, and each call holds the one
it began with, until its answer has ended: a stream, or what passes on as it comes, until it is closed. `Router.update`
makes a new one; upstreams that have not changed go over to it with their connections and rests. What has not gone over
is closed when the last call that holds it has ended: so no stream is dropped, and nobody meets a closed client.

All of it belongs to the relay's loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from llmclients.async_client import AsyncClient
from llmclients.async_stream import AsyncStream
from llmclients.errors import InvalidRequestError
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.config import RelayConfig
from llmclients.relay.errors import RequestRejected
from llmclients.relay.generations import Generation, MakeClient
from llmclients.relay.raw_call import COUNTS, RawAnswer
from llmclients.relay.upstream import Leeway, Upstream
from llmclients.transports.base import Clock, SystemClock
from llmclients.types.response import ChatResponse

__all__ = ["RoutedStream", "Router"]


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
        self._current = Generation(config, {}, make_client, self._clock)

    async def update(self, config: RelayConfig) -> None:
        """Other routes and upstreams from now on. Raises as the constructor, and nothing has changed then."""
        before = self._current
        self._current = Generation(config, before.pools, self._make_client, self._clock)
        await before.retire()

    async def close(self) -> None:
        """Close all clients whose calls have ended."""
        await self._current.retire()

    async def chat(self, call: RelayedCall, leeway: Leeway) -> ChatResponse:
        """The whole answer. Raises as `Upstream.chat`, and RequestRejected where nobody can be asked."""

        async def ask(upstream: Upstream, routed: RelayedCall) -> ChatResponse:
            return await upstream.chat(routed, leeway)

        generation = self._current
        async with generation:
            return await generation.first_answer(call, leeway, ask)

    def stream(self, call: RelayedCall, leeway: Leeway) -> RoutedStream:
        """The answer piece by piece, not begun."""
        return RoutedStream(self._current, call, leeway)

    async def models(self) -> list[str]:
        """The models that routes name, and those of all upstreams that a route leads to them.

        Raises:
            APIError: none of the upstreams answers.
        """
        generation = self._current
        async with generation:
            return await generation.models()

    def for_model(self, model: str | None) -> Upstream:
        """Who is asked first for a model. Raises RequestRejected: no route leads to it."""
        pool, _ = self._current.turn(model)
        return pool.first

    def provider_of(self, model: str) -> str:
        """As `Upstream.provider_of`, of who is asked first; empty where no route leads to anybody."""
        try:
            upstream = self.for_model(model or None)
        except RequestRejected:
            return ""
        return upstream.provider_of(model)

    def answers(self, model: str) -> bool:
        """Whether a call for this model is answered whatever the providers' lists of models say."""
        return self._current.answers(model)

    async def ask_raw(self, path: str, body: Mapping[str, Any]) -> RawAnswer | None:
        """As `Upstream.ask_raw`, of the upstream that the route of the body's model names; no other takes its place.

        The answer holds its upstream until it is closed.
        """
        model = body.get("model")
        if model is not None and not isinstance(model, str):
            raise InvalidRequestError("model must be a text", argument="model")

        async def ask(upstream: Upstream, name: str | None) -> RawAnswer | None:
            return await upstream.ask_raw(path, body if name is None else {**body, "model": name})

        generation = self._current
        async with AsyncExitStack() as held:
            await held.enter_async_context(generation)
            answer = await generation.first_key(model, ask, is_count=path in COUNTS)
            if answer is not None:
                answer.when_closed(held.pop_all().aclose)
            return answer


class RoutedStream:
    """A stream whose upstream is chosen when it is entered, with `async with`: what that gives is the stream."""

    def __init__(self, generation: Generation, call: RelayedCall, leeway: Leeway) -> None:
        self._generation = generation
        self._call, self._leeway = call, leeway
        self._stream: AsyncStream[Any] | None = None

    async def __aenter__(self) -> AsyncStream[Any]:
        """Ask. Raises as `Router.chat`."""

        async def ask(upstream: Upstream, routed: RelayedCall) -> AsyncStream[Any]:
            return await upstream.stream(routed, self._leeway).open()

        await self._generation.__aenter__()
        try:
            self._stream = await self._generation.first_answer(self._call, self._leeway, ask)
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
