"""No byte of one exchange is taken for another's; a connection that died unnoticed costs nothing; a refusal is heard."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from llmclients import APIConnectionError, APIStatusError, AsyncClient
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
from llmclients.transports.httpx.transport import HttpxTransport
from tests.transports.helpers import NO_ENVIRONMENT
from tests.transports.sides import ASYNC, PATIENCE, Side, both_sides, post

LARGE = bytes(6_000_000)
REFUSAL = http("413 Too Large", [("Connection", "close")], b"too large")


@contextmanager
def server(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server over bare sockets: each connection is served in a thread, and closed."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    threading.Thread(target=one, args=(connections[-1],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


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
@pytest.mark.parametrize("framing", ["length", "chunked", "no body"])
def test_bytes_after_a_body_end_the_connection(side: Side, framing: str) -> None:
    answer = {
        "length": http(body=b"hello"),
        "chunked": CHUNKED_HEAD + chunked(b"hello"),
        "no body": http("204 No Content"),
    }[framing]
    with FaultServer([answer + http(body=b"evil")]) as faults:
        outcomes = side.run(post(faults.url), post(faults.url))
        assert [outcome.body for outcome in outcomes] == [b"" if framing == "no body" else b"hello"] * 2
        assert faults.connections == 2


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


@pytest.mark.parametrize("serve", [refuse_and_close, refuse_and_read_no_more, refuse_and_read_on])
def test_a_refusal_during_an_upload_is_the_error(serve: Callable[[socket.socket], None]) -> None:
    async def main(url: str) -> None:
        loop, transport = asyncio.get_running_loop(), HttpxTransport(NO_ENVIRONMENT)
        for _ in range(5):
            began = loop.time()
            response = await transport.open(post(url, LARGE), PATIENCE, None)
            assert (response.status, await response.read()) == (413, b"too large")
            await response.close()
            assert loop.time() - began < 1
        began = loop.time()
        await transport.close()
        assert loop.time() - began < 0.5, "it waits for nobody"

    with server(serve) as url:
        asyncio.run(main(url))


def test_a_client_tells_of_the_refusal_and_asks_once() -> None:
    async def main(url: str) -> None:
        async with AsyncClient("yqcloud", base_url=url, trust_env=False) as client:
            with pytest.raises(APIStatusError) as caught:
                await client.chat("x" * 3_000_000)
            assert (caught.value.status_code, caught.value.previous_errors) == (413, ())

    with server(refuse_and_close) as url:
        asyncio.run(main(url))


def test_a_reply_may_begin_before_the_request_has_ended() -> None:
    def serve(connection: socket.socket) -> None:
        left = len(LARGE) - len(connection.recv(65536).partition(b"\r\n\r\n")[2])
        connection.sendall(CHUNKED_HEAD + chunked(b"hel", last=False))
        while left > 0:
            left -= len(connection.recv(65536))
        connection.sendall(chunked(b"lo"))

    with server(serve) as url:
        assert ASYNC.run(post(url, LARGE))[0].body == b"hello"


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
