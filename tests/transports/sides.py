"""Both transports behind one synchronous face, so that a scenario is written once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import LLMClientError
from llmclients.transports.base import HTTPRequest, TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport

PATIENCE = Timeout(connect=5, read=5)


def post(url: str, body: bytes = b"{}", headers: tuple[tuple[str, str], ...] = ()) -> HTTPRequest:
    return HTTPRequest("POST", url, headers or (("Content-Type", "application/json"),), body)


@dataclass
class Outcome:
    """What an exchange came to."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    error: LLMClientError | None = None
    seconds: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Side:
    """One of the transports."""

    def __init__(self, name: str, make: Callable[..., Any], settle: Callable[[Any], Any]) -> None:
        self.name = name
        self.make = make
        self._settle = settle

    def __repr__(self) -> str:
        return self.name

    def run(self, *requests: HTTPRequest, **options: Any) -> list[Outcome]:
        """The requests one after the other over one new transport, each response read to its end, in one event loop."""
        return self._settle(self.outcomes(requests, **options))

    def fetch(self, url: str, **options: Any) -> Outcome:
        return self.run(post(url), **options)[0]

    def drain(self, url: str, within: float | None = None) -> float:
        """Seconds that it takes to drain a response, once the first bytes of its body are read."""
        return self._settle(self._drained(post(url), within))

    async def _drained(self, request: HTTPRequest, within: float | None) -> float:
        transport = self.make(TransportSettings(trust_env=False))
        deadline = None if within is None else time.monotonic() + within
        response = await _value(transport.open(request, PATIENCE, deadline))
        await _value(response.read())
        start = time.monotonic()
        await _value(response.drain())
        return time.monotonic() - start

    async def outcomes(
        self,
        requests: tuple[HTTPRequest, ...],
        timeout: Timeout = PATIENCE,
        within: float | None = None,
        user_session: Any = None,
        **settings: Any,
    ) -> list[Outcome]:
        transport = self.make(TransportSettings(**{"trust_env": False, **settings}), user_session)
        try:
            return [await self._exchange(transport, request, timeout, within) for request in requests]
        finally:
            await _value(transport.close())

    async def _exchange(self, transport: Any, request: HTTPRequest, timeout: Timeout, within: float | None) -> Outcome:
        outcome = Outcome()
        start = time.monotonic()
        response = None
        try:
            response = await _value(transport.open(request, timeout, None if within is None else start + within))
            outcome.status, outcome.headers = response.status, dict(response.headers)
            while piece := await _value(response.read()):
                outcome.pieces.append(piece)
        except LLMClientError as error:
            outcome.error = error
        finally:
            if response is not None:
                await _value(response.close())
            outcome.seconds = time.monotonic() - start
        return outcome


async def _value(result: Any) -> Any:
    return await result if asyncio.iscoroutine(result) else result


def _without_loop(coroutine: Any) -> Any:
    """The synchronous side never waits, so one step is all."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the synchronous transport awaited something")


def _in_loop(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


SYNC = Side("sync", RequestsTransport, _without_loop)
ASYNC = Side("async", HttpxTransport, _in_loop)

both_sides = pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


__all__ = [
    "ASYNC",
    "PATIENCE",
    "SYNC",
    "AbstractContextManager",
    "Outcome",
    "Side",
    "both_sides",
    "environment",
    "post",
]
