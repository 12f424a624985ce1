"""No byte of one exchange is taken for another's; a connection that died unnoticed costs nothing; a refusal is heard."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from llmclients import APIConnectionError, APIStatusError, AsyncClient, Client
from llmclients.errors import APIResponseError, LLMClientError, StreamInterruptedError
from llmclients.testing.fault_server import (
    CHUNKED_HEAD,
    END,
    RESET,
    FaultServer,
    ReceivedRequest,
    Script,
    chunked,
    http,
)
from llmclients.transports.httpx import pool
from llmclients.transports.httpx.transport import HttpxTransport
from tests.transports.conftest import Certificates
from tests.transports.helpers import NO_ENVIRONMENT, server
from tests.transports.sides import ASYNC, PATIENCE, Side, both_sides, post

LARGE = bytes(6_000_000)
REFUSAL = http("413 Too Large", [("Connection", "close")], b"too large")


# --- idle -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False], ids=["the loop has taken them", "still in the socket"])
@pytest.mark.parametrize("late", [http(body=b"late"), http("408 Request Timeout"), b"x"], ids=["reply", "408", "byte"])
def test_bytes_that_nobody_asked_for_end_an_idle_connection(late: bytes, seen: bool) -> None:
    sent = threading.Event()

    def twice(request: ReceivedRequest) -> Iterator[Any]:
        yield from (http(body=request.body), 0.01, late)
        sent.set()

    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        for number in range(5):
            response = await transport.open(post(faults.url, b"%d" % number), PATIENCE, None)
            assert (await response.read(), await response.read()) == (b"%d" % number, b"")
            assert sent.wait(5), "all was sent, and the loop had no chance to read it"
            sent.clear()
            if seen:
                await asyncio.sleep(0.01)
        await transport.close()

    with FaultServer(twice) as faults:
        asyncio.run(main())
        assert faults.connections == 5


@both_sides
def test_bytes_after_a_body_end_the_connection(
    side: Side, certificates: Certificates, subtests: pytest.Subtests
) -> None:
    answers = {
        "length": (http(body=b"hello"), b"hello"),
        "chunked": (CHUNKED_HEAD + chunked(b"hello"), b"hello"),
        "no body": (http("204 No Content"), b""),
        "as many as a reader takes at once": (http(body=b"x" * 8151), b"x" * 8151),  # TLS has the rest, not the socket
    }
    assert len(answers["as many as a reader takes at once"][0]) == 8192
    for secure in (None, certificates.server):
        for name, (answer, body) in answers.items():
            with subtests.test(name), FaultServer([answer + http(body=b"evil")], tls=secure) as faults:
                outcomes = side.run(post(faults.url), post(faults.url), verify=certificates.authority)
                assert [outcome.body for outcome in outcomes] == [body] * 2
                assert faults.connections == 2


@both_sides
def test_what_says_that_it_ends_is_not_used_again(side: Side) -> None:
    """In any spelling, with and without a body; nor is a connection whose body has two lengths."""
    both = http(headers=[("Content-Length", "5"), ("Transfer-Encoding", "chunked")], body=None) + chunked(b"hello")
    for answer in (http("204 No Content", [("Connection", "Close")]), http(headers=[("Connection", "CLOSE")]), both):
        with FaultServer([answer]) as faults:
            assert [outcome.error for outcome in side.run(post(faults.url), post(faults.url))] == [None, None]
            assert faults.connections == 2


def test_idle_connections_are_closed_in_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0.0  # seconds more than there were

    def clock() -> float:
        return time.monotonic() + passed

    async def main() -> None:
        nonlocal passed
        monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
        transport = HttpxTransport(NO_ENVIRONMENT)

        async def exchange() -> None:
            response = await transport.open(post(faults.url), PATIENCE, None)
            assert (await response.read(), await response.read()) == (b"hello", b"")

        async def open_connections(number: int) -> bool:
            return await asyncio.to_thread(faults.wait_for, number)

        await asyncio.gather(exchange(), exchange())
        assert faults.connections == 2
        passed += 10
        await exchange()
        passed += 6  # one has been idle for 16 seconds, the other for 6
        assert await open_connections(1)
        await exchange()
        assert faults.connections == 2, "the one that was left was used"
        passed += 14
        await asyncio.sleep(0.01)
        assert await open_connections(1)
        passed += 2
        assert await open_connections(0)
        await exchange()
        passed += 16
        assert await open_connections(0), "it goes on after all were closed"
        await asyncio.gather(exchange(), exchange())
        passed += 10
        await exchange()
        passed += 6
        assert await open_connections(1)
        passed += 10
        assert await open_connections(0), "it goes on while one is left, without an exchange between"
        await transport.close()

    with FaultServer([http(body=b"hello")]) as faults:
        monkeypatch.setattr(pool, "monotonic", clock)
        asyncio.run(main())
        assert faults.connections == 5


# --- a connection that died -----------------------------------------------------------------------------------------


@both_sides
@pytest.mark.parametrize("end", [END, RESET])
def test_a_used_connection_that_dies_before_the_reply_is_replaced_at_once(side: Side, end: str) -> None:
    """The server takes the second request on the connection, and hangs up without a word."""
    with FaultServer([http(body=b"hello")], per_request=True) as faults:
        faults.use([http(body=b"one")], [end], [http(body=b"two")])
        outcomes = side.run(post(faults.url), post(faults.url))
        assert [outcome.body for outcome in outcomes] == [b"one", b"two"]
        assert (faults.connections, faults.exchanges) == (2, 3)


@both_sides
def test_a_new_connection_that_dies_is_the_callers_to_judge(side: Side) -> None:
    with FaultServer([http(body=b"one")], [END], [http(body=b"two")], per_request=True) as faults:
        faults.use([http(body=b"one")], [END], [END], [http(body=b"two")])
        outcomes = side.run(post(faults.url), post(faults.url))
        assert type(outcomes[1].error) is APIConnectionError
        assert faults.exchanges == 3, "sent again once, and not twice"
        faults.use([END], [http(body=b"two")])
        assert type(side.fetch(faults.url).error) is APIConnectionError
        assert faults.exchanges == 1


@both_sides
@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_reply_that_has_begun_is_not_asked_for_again(side: Side, begun: bytes) -> None:
    with FaultServer([http(body=b"one")], [begun, 0.02, END], per_request=True) as faults:
        outcomes = side.run(post(faults.url), post(faults.url))
        assert type(outcomes[1].error) is APIConnectionError
        assert faults.exchanges == 2


def test_a_server_that_closes_after_each_stream_costs_no_attempt() -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    stream = http(headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")], body=None)
    reply = http(body=b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}')

    def answer(request: ReceivedRequest) -> Script:
        return [stream + chunked(event), END] if json.loads(request.body).get("stream") else [reply]

    async def main() -> None:
        async with AsyncClient("openai/m", api_key="k", base_url=faults.url, retry=None, trust_env=False) as client:
            for _ in range(40):
                assert "".join([chunk.text async for chunk in client.stream("x")]) == "hi"
                assert (await client.chat("y")).text == "hi"

    with FaultServer(answer) as faults:
        asyncio.run(main())


@both_sides
def test_a_used_connection_that_dies_in_an_upload_is_replaced_at_once(side: Side, certificates: Certificates) -> None:
    def serve(connection: socket.socket) -> None:
        served.append(connection)
        connection.recv(1000)
        connection.sendall(http(body=b"%d" % len(served)))
        if len(served) == 1:
            connection.recv(1000)  # and hangs up with most of it unread

    for secure in (None, certificates.server):
        served: list[socket.socket] = []
        with server(serve, secure) as url:
            outcomes = side.run(post(url), post(url, LARGE), verify=certificates.authority)
            assert [outcome.body for outcome in outcomes] == [b"1", b"2"]


# --- uploads --------------------------------------------------------------------------------------------------------


def refuse_and_close(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(REFUSAL)


def refuse_and_read_no_more(connection: socket.socket) -> None:
    refuse_and_close(connection)
    threading.Event().wait(5)


def refuse_and_read_on(connection: socket.socket) -> None:
    refuse_and_close(connection)
    while connection.recv(65536):
        pass


@both_sides
def test_a_refusal_during_an_upload_is_the_error(
    side: Side, certificates: Certificates, subtests: pytest.Subtests
) -> None:
    for secure in (None, certificates.new_server(ssl.TLSVersion.TLSv1_2), certificates.server):
        for serve in (refuse_and_close, refuse_and_read_no_more, refuse_and_read_on):
            with subtests.test(serve.__name__), server(serve, secure) as url:
                began = time.monotonic()
                outcomes = side.run(*[post(url, LARGE)] * 2, verify=certificates.authority)
                assert [(outcome.status, outcome.body) for outcome in outcomes] == [(413, b"too large")] * 2
                assert time.monotonic() - began < 2, "it waits for nobody, nor at its end"


@both_sides
def test_what_is_said_during_an_upload_and_is_no_refusal_leaves_it_alone(
    side: Side, certificates: Certificates, subtests: pytest.Subtests
) -> None:
    """Interim heads, whole or cut, and a reply that begins before the request has ended."""
    early = {
        "100": (http("100 Continue"), http(body=b"hello")),
        "103 twice": (http("103 Early Hints", [("Link", "</a>")]) * 2, http(body=b"hello")),
        "half a 100": (http("100 Continue")[:9], http("100 Continue")[9:] + http(body=b"hello")),
        "a reply that begins": (CHUNKED_HEAD + chunked(b"hel", last=False), chunked(b"lo")),
    }
    for secure in (None, certificates.server):
        for name, (first, rest) in early.items():

            def serve(connection: socket.socket, first: bytes = first, rest: bytes = rest) -> None:
                left, head = len(LARGE), b""
                while not (ended := head.partition(b"\r\n\r\n"))[1]:
                    head += connection.recv(65536)
                connection.sendall(first)
                left -= len(ended[2])
                while left > 0:
                    left -= len(connection.recv(65536))
                connection.sendall(rest)
                connection.recv(1)

            with subtests.test(name), server(serve, secure) as url:
                [outcome] = side.run(post(url, LARGE), verify=certificates.authority)
                assert (outcome.error, outcome.body) == (None, b"hello")


def test_a_client_tells_of_the_refusal_and_asks_once() -> None:
    async def main(url: str) -> None:
        async with AsyncClient("yqcloud", base_url=url, trust_env=False) as client:
            await client.chat("x" * 3_000_000)

    def synchronous(url: str) -> None:
        with Client("yqcloud", base_url=url, trust_env=False) as client:
            client.chat("x" * 3_000_000)

    with server(refuse_and_close) as url:
        for talk in (synchronous, lambda url: asyncio.run(main(url))):
            with pytest.raises(APIStatusError) as caught:
                talk(url)
            assert (caught.value.status_code, caught.value.previous_errors) == (413, ())


@both_sides
def test_a_connection_with_half_a_request_in_it_serves_no_other(side: Side) -> None:
    connections: list[socket.socket] = []
    came = bytearray()

    def answer_early(connection: socket.socket) -> None:
        connections.append(connection)
        data = connection.recv(65536)
        if len(connections) == 1:
            came.extend(data)
            connection.sendall(http(status, body=b"enough"))
            threading.Event().wait(0.1)
            connection.settimeout(2)
            with suppress(OSError):  # it is closed, be it by a reset
                while data := connection.recv(65536):
                    came.extend(data)
        else:
            connection.sendall(http(body=b"Hi"))

    # The blocking side goes on sending where it has not been refused: it would wait for this server.
    for status in ("413 Too Large", "200 OK") if side.name == "async" else ("413 Too Large",):
        connections.clear()
        came.clear()
        with server(answer_early) as url:
            first, second = side.run(post(url, LARGE), post(url))
            assert (first.status, first.body, second.body) == (int(status[:3]), b"enough", b"Hi")
            assert (len(connections), came.count(b"POST ")) == (2, 1)


# --- what is not HTTP as we speak it --------------------------------------------------------------------------------


@both_sides
@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
def test_an_unknown_transfer_coding_is_refused(side: Side, coding: str) -> None:
    with FaultServer([http(headers=[("Transfer-Encoding", coding)], body=None) + chunked(b"hello"), END]) as faults:
        error = side.fetch(faults.url).error
        assert type(error) is APIResponseError
        assert "transfer coding" in str(error)


@both_sides
def test_chunks_that_are_nearly_all_framing_are_refused(side: Side) -> None:
    endless = b"".join(b"1;" + b"x" * 4000 + b"\r\nx\r\n" for _ in range(100))
    with FaultServer([CHUNKED_HEAD + endless + chunked()]) as faults:
        assert isinstance(side.fetch(faults.url).error, APIResponseError)
    small = chunked(*[b"x"] * 50_000)
    with FaultServer([CHUNKED_HEAD + small]) as faults:
        assert side.fetch(faults.url).body == b"x" * 50_000, "small chunks are no harm"


def test_what_was_read_of_a_broken_reply_comes_first() -> None:
    with FaultServer([CHUNKED_HEAD + chunked(b"hello", last=False) + b"xyz\r\n", END]) as faults:
        outcome = ASYNC.fetch(faults.url)
        assert outcome.body == b"hello"
        assert isinstance(outcome.error, LLMClientError)
        assert not isinstance(outcome.error, StreamInterruptedError)
