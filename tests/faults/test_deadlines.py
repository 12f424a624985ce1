"""`Timeout(total=…)` ends a call when it says, whatever is under way."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from llmclients import AsyncClient, Client
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import APIError, APITimeoutError, InternalServerError, RateLimitError
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, Forever, Script, chunked, drip, http

TOTAL = 0.4
LATE = max(0.05 * TOTAL, 0.05)
MEASUREMENTS = 4
"""A machine that is busy may be late, but not each time."""

NOBODY: Script = []
"""In the place of a script: the connection is never made."""

EAGER = RetryPolicy(attempts=1000, initial_wait=0.04, max_wait=0.04, jitter=0.0)
SSE_HEAD = http(headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")], body=None)


@dataclass(frozen=True)
class Case:
    """What the server does while the time runs out."""

    name: str
    script: Script
    error: type[APIError] = APITimeoutError
    provider: str = "yqcloud"
    read: float = 5.0
    partial: bool = False
    attempts: tuple[int, int] = (1, 1)
    at_once: bool = False

    @property
    def busy(self) -> bool:
        """Whether it needs the processor: such a case is measured alone."""
        return self.at_once or self.attempts != (1, 1)

    def in_time(self, outcome: Outcome) -> bool:
        """Whether it ended when it had to, after as many attempts as there is time for, and between two of them."""
        limit = 0.1 if self.at_once else TOTAL + LATE
        ended = type(outcome.error) is self.error
        return ended and outcome.seconds <= limit and outcome.attempts >= self.attempts[0]


CASES = [
    Case("silence before the head", [HOLD]),
    Case("dripping head", [b"HTTP/1.1 200 OK\r\nX-A: ", Forever([b"x", 0.02])]),
    Case("dripping header lines", [b"HTTP/1.1 200 OK\r\n", Forever([b"X-A: b\r\n", 0.02])]),
    Case("dripping interim heads", [Forever([http("102 Processing", body=None), 0.05])]),
    Case("silence in the body", [CHUNKED_HEAD, chunked(b"Hel", last=False), HOLD], partial=True),
    Case("dripping body", [CHUNKED_HEAD, Forever([chunked(b"x", last=False), 0.02])], partial=True),
    Case("a drip, then silence", [CHUNKED_HEAD, drip(chunked(b"x", last=False) * 10, 0.01, 3), HOLD], partial=True),
    Case("fast endless body", [CHUNKED_HEAD, Forever([chunked(b"x" * 100, last=False), 0.0005])], partial=True),
    Case("dripping chunk size", [CHUNKED_HEAD, Forever([b"0", 0.02])]),
    Case("dripping comments", [SSE_HEAD, Forever([chunked(b": ping\n\n", last=False), 0.02])], provider="openai"),
    Case("dripping reply", [CHUNKED_HEAD, Forever([chunked(b" ", last=False), 0.02])], provider="ylokh"),
    Case("silence, again and again", [HOLD], read=0.12, attempts=(3, 3)),
    Case("dripping error", [http("503 No", [("Transfer-Encoding", "chunked")], None), Forever([chunked(b"x", last=False), 0.02])], InternalServerError),
    Case("refusals", [http("503 No", body=b"no")], InternalServerError, attempts=(5, 11)),
    Case("no connection", NOBODY),
    Case("a wait that is too long", [http("429 No", [("Retry-After", "30")], b"no")], RateLimitError, at_once=True),
]  # fmt: skip

both_sides = pytest.mark.parametrize("side", ["sync", "async"])

# Each case in the modes that differ in it.
RUNS = [
    *((case, "chat") for case in CASES),
    *((case, "stream") for case in CASES if case.partial or case.provider == "openai" or case.script is NOBODY),
]


@dataclass
class Outcome:
    """The error, after how many seconds it came, and what the server saw."""

    error: APIError
    seconds: float
    attempts: int
    released: bool


@contextmanager
def port_that_does_not_answer() -> Iterator[str]:
    """A port whose queue is full: the system lets further connections wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def serving(case: Case) -> Iterator[tuple[str, FaultServer | None]]:
    """The address of what does as the case says, and the server, if there is one."""
    if case.script is NOBODY:
        with port_that_does_not_answer() as url:
            yield url, None
        return
    with FaultServer(case.script) as server:
        yield server.url, server


def arguments(case: Case, url: str) -> dict[str, Any]:
    timeout = Timeout(connect=5.0, read=case.read, total=TOTAL)
    model = "m" if case.provider == "openai" else None
    return {
        "provider": case.provider,
        "model": model,
        "base_url": url,
        "timeout": timeout,
        "retry": EAGER,
        "trust_env": False,
    }


def run(case: Case, mode: str) -> Outcome:
    with serving(case) as (url, server):
        with Client(**arguments(case, url)) as client:
            start = time.monotonic()
            with pytest.raises(APIError) as caught:
                client.chat("Hello") if mode == "chat" else list(client.stream("Hello"))
            seconds = time.monotonic() - start
        released = server is None or server.wait_for(0)
        return Outcome(caught.value, seconds, server.exchanges if server else 1, released)


async def run_async(case: Case, mode: str) -> Outcome:
    with serving(case) as (url, server):
        async with AsyncClient(**arguments(case, url)) as client:
            start = time.monotonic()
            with pytest.raises(APIError) as caught:
                await client.chat("Hello") if mode == "chat" else [chunk async for chunk in client.stream("Hello")]
            seconds = time.monotonic() - start
        released = server is None or await asyncio.to_thread(server.wait_for, 0)
        return Outcome(caught.value, seconds, server.exchanges if server else 1, released)


def measure(side: str, runs: list[tuple[Case, str]]) -> list[Outcome]:
    """What each of these comes to. They wait at the same time, each for a server of its own."""

    async def together() -> list[Outcome]:
        return await asyncio.gather(*(asyncio.wait_for(run_async(*one), 5) for one in runs))

    if side == "async":
        return asyncio.run(together())
    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(lambda one: run(*one), runs))


@both_sides
def test_calls_that_wait_end_at_their_deadline(side: str, subtests: pytest.Subtests) -> None:
    all_in_time(side, [(case, mode) for case, mode in RUNS if not case.busy], subtests)


@both_sides
@pytest.mark.parametrize("case", [case for case in CASES if case.busy], ids=lambda case: case.name)
def test_a_call_that_has_much_to_do_ends_at_its_deadline(case: Case, side: str, subtests: pytest.Subtests) -> None:
    all_in_time(side, [(case, "chat")], subtests)


def all_in_time(side: str, runs: list[tuple[Case, str]], subtests: pytest.Subtests) -> None:
    """They come out as their cases say, and at the latest in the last measurement in time."""
    late = runs
    for attempt in range(MEASUREMENTS):
        measured, late = list(zip(late, measure(side, late), strict=True)), []
        for (case, mode), outcome in measured:
            with subtests.test(case.name, mode=mode):
                check(case, outcome)
                if not case.in_time(outcome):
                    late.append((case, mode))
                    assert attempt + 1 < MEASUREMENTS, f"not once in time: {outcome}"
        if not late:
            return


def check(case: Case, outcome: Outcome) -> None:
    error = outcome.error
    assert type(error) in (case.error, APITimeoutError)
    if isinstance(error, APITimeoutError):
        assert error.phase == "total"
        assert not error.retryable
        assert f"not done within {TOTAL:g} s" in str(error)
    assert (error.partial is not None) is case.partial
    assert outcome.attempts <= case.attempts[1]
    assert outcome.released
    assert case.at_once or outcome.seconds >= TOTAL - 0.06, "nor is it given up long before"


@both_sides
def test_connecting_ends_at_its_own_limit(side: str) -> None:
    options: dict[str, Any] = {"timeout": Timeout(connect=0.15, read=5), "retry": 1, "trust_env": False}
    chat = _one_chat if side == "sync" else _one_async_chat
    with port_that_does_not_answer() as url, pytest.raises(APITimeoutError) as caught:
        chat(url, options)
    assert caught.value.phase == "connect"
    assert caught.value.retryable


def _one_chat(url: str, options: dict[str, Any]) -> None:
    with Client("ylokh", base_url=url, **options) as client:
        client.chat("Hello")


def _one_async_chat(url: str, options: dict[str, Any]) -> None:
    async def chat() -> None:
        async with AsyncClient("ylokh", base_url=url, **options) as client:
            await client.chat("Hello")

    asyncio.run(chat())
