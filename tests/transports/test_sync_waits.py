"""Every wait of the synchronous transport has a bound, and the error says which one it was."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from llmclients import APIConnectionError, APIStatusError, Client, Proxy, Timeout
from llmclients.errors import APITimeoutError, LLMClientError
from llmclients.testing.fault_server import FaultServer, http
from llmclients.transports.requests.connect import connect_first, resolve
from tests.transports.helpers import server
from tests.transports.sides import SYNC, post

LARGE = bytes(8_000_000)
SHORT = Timeout(connect=0.3, read=5)


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue of connections is full: connecting to it gets no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        yield port
        for sock in waiting:
            sock.close()


def phase(error: LLMClientError | None) -> str:
    assert isinstance(error, APITimeoutError), error
    return error.phase


# --- names and addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "expected"), [({"timeout": SHORT}, "connect"), ({"within": 0.3}, "total")])
def test_a_name_that_takes_long_is_left(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: str
) -> None:
    left = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: left.wait(5) and [])

    began = time.monotonic()
    outcome = SYNC.fetch("http://slow.test/", **options)

    left.set()
    assert phase(outcome.error) == expected
    assert time.monotonic() - began < 2


def test_a_name_that_nobody_knows_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outcome = SYNC.fetch("http://unknown.test/")

    assert type(outcome.error) is APIConnectionError
    assert str(outcome.error) == "the name of unknown.test could not be resolved"


def test_an_address_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked for an address"))

    assert resolve("127.0.0.1", 80, 1)[0][4] == ("127.0.0.1", 80)
    assert resolve("::1", 80, 1)[0][4] == ("::1", 80, 0, 0)


def test_all_addresses_share_one_limit_and_the_first_that_answers_wins() -> None:
    with full_listener() as silent, FaultServer([http(body=b"Hi")]) as good:
        addresses = [resolve("127.0.0.1", port, 1)[0] for port in (silent, silent, silent)]
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connect_first(addresses, 0.8)
        assert 0.7 < time.monotonic() - began < 3

        answering = resolve("127.0.0.1", int(good.url.rpartition(":")[2]), 1)[0]
        with connect_first([*addresses[:1], answering], 5) as sock:
            assert sock.getpeername() == answering[4]
            assert sock.getblocking()


def test_an_address_that_refuses_gives_way_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = resolve("127.0.0.1", closed.getsockname()[1], 1)[0]
    with FaultServer([http()]) as good:
        answering = resolve("127.0.0.1", int(good.url.rpartition(":")[2]), 1)[0]
        with connect_first([refusing, answering], 5) as sock:
            assert sock.getpeername() == answering[4]
    with pytest.raises(ConnectionRefusedError):
        connect_first([refusing, refusing], 5)


# --- proxies --------------------------------------------------------------------------------------------------------


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: 1\r\n")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: 1\r\n" * 1000)


@pytest.mark.parametrize(("serve", "expected"), [(drip, APITimeoutError), (flood, APIConnectionError)])
def test_a_proxy_s_reply_to_connect_has_an_end(
    serve: Callable[[socket.socket], object], expected: type[LLMClientError]
) -> None:
    with server(serve) as url:
        began = time.monotonic()
        outcome = SYNC.fetch("https://host.test/", timeout=SHORT, proxy=Proxy(url))

        assert type(outcome.error) is expected, outcome.error
        assert time.monotonic() - began < 3


def test_a_tls_proxy_that_says_nothing_is_a_connection_that_takes_too_long() -> None:
    silent = threading.Event()
    with server(lambda _: silent.wait(5)) as url:
        outcome = SYNC.fetch("https://host.test/", timeout=SHORT, proxy=Proxy(url.replace("http:", "https:")))
        silent.set()

    assert phase(outcome.error) == "connect"


# --- sending --------------------------------------------------------------------------------------------------------


def take_slowly(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    got = 0
    while got < len(LARGE):
        got += len(connection.recv(256 * 1024))
        time.sleep(0.02)
    connection.sendall(http(body=b"Thanks"))


def test_a_request_may_take_longer_than_every_limit_as_long_as_it_goes_on() -> None:
    with server(take_slowly) as url:
        began = time.monotonic()
        [outcome] = SYNC.run(post(url, LARGE), timeout=Timeout(connect=0.3, read=5, write=0.3))

    assert (outcome.error, outcome.body) == (None, b"Thanks")
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize(
    ("options", "expected"), [({"timeout": Timeout(read=5, write=0.3)}, "write"), ({"within": 0.3}, "total")]
)
def test_a_server_that_takes_no_more_of_the_request(options: dict[str, Any], expected: str) -> None:
    waiting = threading.Event()
    with server(lambda _: waiting.wait(5)) as url:
        [outcome] = SYNC.run(post(url, LARGE), **options)
        waiting.set()

    assert phase(outcome.error) == expected


def refuse_and_close(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(http("413 Too Large", [("Connection", "close")], b"too large"))


def refuse_and_read_no_more(connection: socket.socket) -> None:
    refuse_and_close(connection)
    threading.Event().wait(3)


@pytest.mark.parametrize("serve", [refuse_and_close, refuse_and_read_no_more])
def test_a_refusal_during_an_upload_is_the_error(serve: Callable[[socket.socket], object]) -> None:
    with server(serve) as url, Client("openai/m", base_url=url, api_key="key", retry=3) as client:
        began = time.monotonic()
        with pytest.raises(APIStatusError) as caught:
            client.chat("x" * len(LARGE))

    assert (caught.value.status_code, caught.value.previous_errors) == (413, ())
    assert time.monotonic() - began < 2.5


def test_a_connection_with_half_a_request_in_it_serves_no_other() -> None:
    connections = []

    def refuse_first(connection: socket.socket) -> None:
        connections.append(connection)
        connection.recv(65536)
        if len(connections) == 1:
            connection.sendall(http("413 Too Large", body=b"too large"))
            time.sleep(1)
        else:
            connection.sendall(http(body=b"Hi"))

    with server(refuse_first) as url:
        first, second = SYNC.run(post(url, LARGE), post(url))

    assert (first.status, first.body, second.body) == (413, b"too large", b"Hi")


# --- a session of the caller's ----------------------------------------------------------------------------------------


def test_the_key_that_a_client_was_given_stays_with_a_session_of_the_callers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    reply = http(body=b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')
    with FaultServer([reply]) as fault_server, requests.Session() as session:
        with Client("openai/m", base_url=fault_server.url, api_key="sk-given-key", transport=session) as client:
            assert client.chat("Hi").text == "Hi"

        assert dict(fault_server.received[0][0].headers)["authorization"] == "Bearer sk-given-key"
