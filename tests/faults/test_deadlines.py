"""`Timeout(total=…)` ends a call when it says, whatever is under way."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
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
    Case("silence, again and again", [HOLD], read=0.15, attempts=(3, 3)),
    Case("dripping error", [http("503 No", [("Transfer-Encoding", "chunked")], None), Forever([chunked(b"x", last=False), 0.02])], InternalServerError),
    Case("refusals", [http("503 No", body=b"no")], InternalServerError, attempts=(5, 11)),
    Case("a wait that is too long", [http("429 No", [("Retry-After", "30")], b"no")], RateLimitError, at_once=True),
]  # fmt: skip

both_sides = pytest.mark.parametrize("side", ["sync", "async"])
both_modes = pytest.mark.parametrize("mode", ["chat", "stream"])


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


def outcome(side: str, mode: str, case: Case, url: str) -> tuple[APIError, float]:
    """The error, and after how many seconds it came."""
    if side == "async":
        return asyncio.run(asyncio.wait_for(_outcome(mode, case, url), 5))
    with Client(**arguments(case, url)) as client:
        start = time.monotonic()
        try:
            if mode == "chat":
                client.chat("Hello")
            else:
                list(client.stream("Hello"))
        except APIError as error:
            return error, time.monotonic() - start
    raise AssertionError("there was an answer")


async def _outcome(mode: str, case: Case, url: str) -> tuple[APIError, float]:
    async with AsyncClient(**arguments(case, url)) as client:
        start = time.monotonic()
        try:
            if mode == "chat":
                await client.chat("Hello")
            else:
                [chunk async for chunk in client.stream("Hello")]
        except APIError as error:
            return error, time.monotonic() - start
    raise AssertionError("there was an answer")


@both_sides
@pytest.mark.parametrize(
    ("case", "mode"),
    [(case, "chat") for case in CASES]
    + [(case, "stream") for case in CASES if case.partial or case.provider == "openai"],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_call_ends_at_its_deadline(case: Case, mode: str, side: str) -> None:
    seconds = []
    with FaultServer(case.script) as server:
        for _ in range(MEASUREMENTS):
            server.use(case.script)
            error, took = outcome(side, mode, case, server.url)
            check(case, error, server)
            seconds.append(took)
            if case.at_once:
                if took < 0.1:
                    return
            elif took <= TOTAL + LATE:
                assert took >= TOTAL - 0.06, "nor is it given up long before"
                return
    raise AssertionError(f"too late each time: {seconds}")


def check(case: Case, error: APIError, server: FaultServer) -> None:
    assert type(error) is case.error
    if isinstance(error, APITimeoutError):
        assert error.phase == "total"
        assert not error.retryable
        assert f"not done within {TOTAL:g} s" in str(error)
    assert (error.partial is not None) is case.partial
    assert case.attempts[0] <= server.exchanges <= case.attempts[1]
    assert server.wait_for(0)


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


@both_sides
@both_modes
def test_connecting_ends_at_the_deadline(mode: str, side: str) -> None:
    case = Case("no connection", [])
    with port_that_does_not_answer() as url:
        seconds = []
        for _ in range(MEASUREMENTS):
            error, took = outcome(side, mode, case, url)
            assert isinstance(error, APITimeoutError)
            assert error.phase == "total"
            seconds.append(took)
            if took <= TOTAL + LATE:
                assert took >= TOTAL - 0.05
                return
    raise AssertionError(f"too late each time: {seconds}")


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
