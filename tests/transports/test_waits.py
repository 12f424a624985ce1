"""Every wait has a bound, and the error says which one it was. What waits for the real clock waits side by side."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import APIConnectionError, APITimeoutError, ConfigurationError, LLMClientError
from llmclients.testing.fault_server import EARLY, HOLD, FaultServer, Forever, http, unused_port
from llmclients.transports.addresses import in_turn
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx import resolver, sockets
from llmclients.transports.httpx.sockets import connect_first
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests import connect
from tests.transports.helpers import NO_ENVIRONMENT, at_once, server
from tests.transports.sides import ASYNC, PATIENCE, SYNC, post

LARGE = bytes(8_000_000)
SHORT = Timeout(connect=0.2, read=5)
BOTH = (SYNC, ASYNC)


def phase(error: LLMClientError | None) -> str | None:
    assert isinstance(error, APITimeoutError), error
    return error.phase


# --- names ----------------------------------------------------------------------------------------------------------


def slow_names(monkeypatch: pytest.MonkeyPatch, seconds: float, asked: list[str]) -> None:
    real = socket.getaddrinfo

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(str(host))
        if str(host).endswith(".test"):
            time.sleep(seconds)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)


def test_a_name_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_names(monkeypatch, 3, [])
    limits: list[dict[str, Any]] = [{"timeout": SHORT}, {"within": 0.2}]
    began = time.monotonic()
    outcomes = at_once(*(partial(side.fetch, "http://slow.test/", **limit) for side in BOTH for limit in limits))
    assert [phase(outcome.error) for outcome in outcomes] == ["connect", "total"] * 2
    assert time.monotonic() - began < 2, "nor does the loop's end wait for the lookup"


def test_a_name_that_nobody_knows_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for side in (SYNC, ASYNC):
        outcome = side.fetch("http://unknown.test/")
        assert type(outcome.error) is APIConnectionError
        assert str(outcome.error) == "the name of unknown.test could not be resolved"


def test_tasks_share_a_lookup_and_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    slow_names(monkeypatch, 0.1, asked)

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        opened = [transport.open(post("http://slow.test/"), PATIENCE, None) for _ in range(50)]
        errors = await asyncio.gather(*opened, return_exceptions=True)
        assert {type(error) for error in errors} == {APIConnectionError}
        await transport.close()

    asyncio.run(main())
    assert asked == ["slow.test"]


def test_a_lookup_that_fails_in_an_odd_way_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*args: Any, **options: Any) -> Any:
        raise ValueError("embedded null character")

    monkeypatch.setattr(socket, "getaddrinfo", odd)
    for side in (SYNC, ASYNC):
        assert isinstance(side.fetch("http://odd.test/").error, ConfigurationError)

    def exhausted(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        for _ in range(2):  # the second does not wait for the first's thread
            with pytest.raises(RuntimeError, match="thread"):
                await transport.open(post("http://odd.test/"), PATIENCE, None)
        await transport.close()

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    asyncio.run(main())


def test_families_take_turns() -> None:
    four, six = ((family, 1, 6, "", ("x", 1)) for family in (socket.AF_INET, socket.AF_INET6))
    assert in_turn([six] * 3 + [four] * 2) == [six, four, six, four, six]
    assert in_turn([four] * 2) == [four] * 2
    assert in_turn([four]) == [four]


def test_answers_are_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    slow_names(monkeypatch, 0, asked)

    async def main() -> None:
        names = resolver.Resolver(asyncio.get_running_loop())
        first = await names.addresses("localhost", 80)
        assert await names.addresses("localhost", 80) == first
        assert asked == ["localhost"]
        now = time.monotonic()
        monkeypatch.setattr(resolver, "monotonic", lambda: now + 11)
        assert await names.addresses("localhost", 80) == first
        assert asked == ["localhost"] * 2
        await names.addresses("127.0.0.1", 80)
        await names.addresses("::1", 80)
        assert asked == ["localhost"] * 2, "an address is no name"

    asyncio.run(main())


# --- addresses ------------------------------------------------------------------------------------------------------


@contextmanager
def silent_addresses(count: int) -> Iterator[tuple[list[str], int]]:
    """Addresses that swallow attempts to connect: their queues are full."""
    kept: list[socket.socket] = []
    port = 0
    try:
        for number in range(2, 2 + count):
            listener = socket.socket()
            kept.append(listener)
            listener.bind((f"127.0.0.{number}", port))
            listener.listen(0)
            port = listener.getsockname()[1]
            for _ in range(3):
                kept.append(socket.socket())
                kept[-1].setblocking(False)
                kept[-1].connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield [f"127.0.0.{number}" for number in range(2, 2 + count)], port
    finally:
        for each in kept:
            each.close()


def named(monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[str, int]]) -> None:
    """All names have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_the_limit_is_for_all_addresses_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_addresses(12) as (addresses, port):
        named(monkeypatch, [(address, port) for address in addresses])
        for outcome in at_once(*(partial(side.fetch, "http://many.test/", timeout=SHORT) for side in BOTH)):
            assert phase(outcome.error) == "connect"
            assert outcome.seconds < 1.5


def test_a_silent_address_does_not_hide_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_addresses(1) as ([address], port), FaultServer([http(body=b"hello")]) as faults:
        named(monkeypatch, [(address, port), ("127.0.0.1", faults.port)])
        for outcome in at_once(*(partial(side.fetch, "http://many.test/") for side in BOTH)):
            assert outcome.body == b"hello"
            assert 0.2 < outcome.seconds < 4


def test_a_refusing_address_is_passed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = [("127.0.0.1", unused_port())] * 2
    for module in (sockets, connect):
        monkeypatch.setattr(module, "NEXT_AFTER", 2.0)
    with FaultServer([http(body=b"hello")]) as faults:
        for side in BOTH:
            named(monkeypatch, [*refusing, ("127.0.0.1", faults.port)])
            outcome = side.fetch("http://many.test/")
            assert outcome.body == b"hello"
            assert outcome.seconds < 1.5
            named(monkeypatch, refusing)
            assert str(side.fetch("http://many.test/").error) == "cannot connect to many.test: connection refused"


def test_connecting_that_is_cancelled_leaves_no_socket() -> None:
    async def main(addresses: list[str], port: int) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        for some in (found[:1], found):
            task = asyncio.create_task(connect_first(some))  # type: ignore[arg-type]
            await asyncio.sleep(0.02 if len(some) == 1 else 0.3)  # in the latter, both are being tried
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    with silent_addresses(2) as (addresses, port):
        asyncio.run(main(addresses, port))


# --- proxies --------------------------------------------------------------------------------------------------------


def test_a_proxy_that_never_ends_or_never_begins() -> None:
    """Its answer to CONNECT drips, or is only announced; it says nothing to TLS, to SOCKS, to CONNECT."""
    endless: list[Any] = [
        [b"HTTP/1.1 200 OK\r\n", Forever([b"X: a\r\n", 0.02])],
        [Forever([b"HTTP/1.1 103 Early\r\n\r\n", 0.015])],
    ]
    silent = [(scheme, [EARLY, HOLD]) for scheme in ("https", "socks5h", "http")]
    with ExitStack() as stack:
        calls = []
        for scheme, script in [*(("http", script) for script in endless), *silent]:
            proxy = stack.enter_context(FaultServer(script))
            url = f"{scheme}://127.0.0.1:{proxy.port}"
            calls += [partial(side.fetch, "https://model.example/", proxy=Proxy(url), timeout=SHORT) for side in BOTH]
        outcomes = at_once(*calls)
    for number, outcome in enumerate(outcomes):
        if number in (2, 3):  # whichever comes first, the 21st head or the end of the time
            assert isinstance(outcome.error, APIConnectionError | APITimeoutError)
        else:
            assert phase(outcome.error) == "connect"
            assert "proxy" in str(outcome.error)
        assert outcome.seconds < 4, "a read may take as long, and there would be one after the other"


def test_a_proxy_that_floods() -> None:
    with FaultServer([b"HTTP/1.1 200 OK\r\n", Forever([b"X: a\r\n" * 5000])]) as proxy:
        for side in BOTH:
            error = side.fetch("https://model.example/", proxy=Proxy(proxy.url)).error
            assert type(error) is APIConnectionError
            assert "does not let through" in str(error)


# --- sending --------------------------------------------------------------------------------------------------------


def reads(connection: socket.socket, size: int, each: int, pause: float) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    left = size
    while left > 0 and (data := connection.recv(each)):
        left -= len(data)
        time.sleep(pause)


def test_a_peer_that_stops_reading() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        over.wait(5)

    over = threading.Event()
    limits = [
        (Timeout(read=0.3), 4, "write"),
        (Timeout(write=0.3), 4, "write"),
        (Timeout(read=0.2, write=5), 0.8, "total"),
    ]
    with server(serve) as url:
        calls = [
            partial(side.run, post(url, LARGE), timeout=limit, within=within)
            for side in BOTH
            for limit, within, _ in limits
        ]
        outcomes = at_once(*calls)
        over.set()
    for [outcome], (_, _, expected) in zip(outcomes, limits * 2, strict=True):
        assert phase(outcome.error) == expected
        if expected == "write":
            assert 0.25 < outcome.seconds < 3
            assert "took nothing more of the request for 0.3 s" in str(outcome.error)


def test_a_slow_steady_upload_takes_the_time_that_it_needs() -> None:
    def serve(connection: socket.socket) -> None:
        reads(connection, len(LARGE), 65536, 0.005)
        connection.sendall(http(body=b"hello"))

    with server(serve) as url:
        limits = Timeout(connect=0.2, read=0.3)
        for [outcome] in at_once(*(partial(side.run, post(url, LARGE), timeout=limits) for side in BOTH)):
            assert (outcome.error, outcome.body) == (None, b"hello")
            assert outcome.seconds > 0.6


def test_silence_after_an_upload_is_the_servers() -> None:
    def serve(connection: socket.socket) -> None:
        reads(connection, len(LARGE) // 8, 1_000_000, 0)
        threading.Event().wait(2)

    with server(serve) as url:
        request, limits = post(url, LARGE[: len(LARGE) // 8]), Timeout(read=0.2, write=5)
        for [outcome] in at_once(*(partial(side.run, request, timeout=limits) for side in BOTH)):
            assert phase(outcome.error) == "read"


# --- the loop -------------------------------------------------------------------------------------------------------


def test_decompression_lets_other_tasks_run() -> None:
    body = gzip.compress(bytes(40_000_000), 1)

    async def main() -> None:
        transport = HttpxTransport(TransportSettings(trust_env=False))
        response = await transport.open(post(faults.url), PATIENCE, None)
        turns, size, done = 0, 0, False

        async def count() -> None:
            nonlocal turns
            while not done:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        while data := await response.read():
            assert len(data) <= 256 * 1024
            size += len(data)
        done = True
        await counting
        assert size == 40_000_000
        assert turns > 100
        await transport.close()

    with FaultServer([http(headers=[("Content-Encoding", "gzip")], body=body)]) as faults:
        asyncio.run(main())


def test_a_body_that_nobody_reads_holds_the_server_up() -> None:
    whole = b"x" * 50_000
    most = 128 * 1024 + 256 * 1024  # what may lie unread, and one read of asyncio's

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        response = await transport.open(post(faults.url), PATIENCE, None)
        pieces = [await response.read()]
        while pieces[-1]:
            await asyncio.sleep(0.005)
            pieces.append(await response.read())
        assert b"".join(pieces) == whole * 100
        assert 100_000 < max(map(len, pieces)) <= most
        await transport.close()

    with FaultServer([http(body=whole * 100)]) as faults:
        asyncio.run(main())
