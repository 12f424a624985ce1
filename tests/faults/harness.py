"""Runs a case through a real client against a real server, and says what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llmclients import AsyncClient, Client
from llmclients.config.values import Timeout
from llmclients.errors import APIError
from llmclients.testing import FaultServer
from llmclients.testing.script import Forever, steps_of
from llmclients.types.response import ChatResponse
from tests.helpers import open_descriptors

from .expect import MODELS, POLICY, Case


@dataclass
class Outcome:
    """What a call came to, and what was left of it."""

    error: APIError | None = None
    text: str = ""
    response: ChatResponse | None = None
    exchanges: int = 0
    exchanges_left: int = 0
    connections_left: int = 0
    connections_after_close: int = 0
    descriptors_left: int = 0
    seconds: float = 0.0


class Bench:
    """One server, one port that refuses, one event loop, for any number of cases."""

    def __init__(self) -> None:
        self.server = FaultServer([])
        self.refusing = FaultServer(refuse=True)
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.server.close()
        self.refusing.close()

    def run(self, case: Case) -> Outcome:
        script = case.script
        if script is not None:
            self.server.use(script)
        before = open_descriptors()
        outcome = Outcome()
        if case.side == "sync":
            with Client(**self._arguments(case)) as client:
                start = time.monotonic()
                with caught(outcome):
                    call_sync(client, case, outcome)
                outcome.seconds = time.monotonic() - start
                _without_loop(self._look(case, outcome, _sleep))
        else:
            self.loop.run_until_complete(asyncio.wait_for(self._run_async(case, outcome), 10))
        self.server.wait_for(0, 0.5)
        outcome.connections_after_close = self.server.open_connections()
        outcome.descriptors_left = open_descriptors() - before
        outcome.exchanges = self.server.exchanges if script is not None else len(_earlier(outcome)) + 1
        return outcome

    async def _run_async(self, case: Case, outcome: Outcome) -> None:
        async with AsyncClient(**self._arguments(case)) as client:
            start = time.monotonic()
            with caught(outcome):
                await call_async(client, case, outcome)
            outcome.seconds = time.monotonic() - start
            await self._look(case, outcome, asyncio.sleep)

    def _arguments(self, case: Case) -> dict[str, Any]:
        options = dict(case.row.options)
        read = options.pop("read", 3.0)
        server = self.refusing if case.script is None else self.server
        return {
            "provider": case.provider,
            "model": MODELS[case.provider],
            "base_url": server.url,
            "timeout": Timeout(connect=3.0, read=read),
            "retry": POLICY,
            "trust_env": False,
        } | options

    async def _look(self, case: Case, outcome: Outcome, sleep: Callable[[float], Awaitable[None]]) -> None:
        """How much is still open while client and error are there, after a moment at most."""
        may_be_kept = 0 if _ends(case) else 1
        for _ in range(250):
            outcome.exchanges_left = self.server.open_exchanges()
            outcome.connections_left = self.server.open_connections()
            if not outcome.exchanges_left and outcome.connections_left <= may_be_kept:
                break
            await sleep(0.002)
        outcome.connections_left = max(outcome.connections_left - may_be_kept, 0)


def call_sync(client: Client, case: Case, outcome: Outcome) -> None:
    if case.mode == "chat":
        outcome.response = client.chat("Name a river.")
        outcome.text = outcome.response.text
        return
    with client.stream("Name a river.") as stream:
        for chunk in stream:
            outcome.text += chunk.text
        outcome.response = stream.response


async def call_async(client: AsyncClient, case: Case, outcome: Outcome) -> None:
    if case.mode == "chat":
        outcome.response = await client.chat("Name a river.")
        outcome.text = outcome.response.text
        return
    async with client.stream("Name a river.") as stream:
        async for chunk in stream:
            outcome.text += chunk.text
        outcome.response = stream.response


@contextmanager
def caught(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except APIError as error:  # anything else is a bug, and shows as itself
        outcome.error = error


def _earlier(outcome: Outcome) -> tuple[APIError, ...]:
    return () if outcome.error is None else outcome.error.previous_errors


def _ends(case: Case) -> bool:
    """Whether the script leaves no connection that could serve another request."""
    steps = list(steps_of(case.script or ()))
    return bool(steps) and isinstance(steps[-1], (str, Forever))


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - driven without a loop


def _without_loop(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("something awaited")
