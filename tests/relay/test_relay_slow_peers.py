"""Peers that are slow, silent, greedy or do not read: none of them keeps another client from its answer."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from relaytools import BODY, HI, PATH, PREFIX, WIRES, SlowProvider, delta, open_post, post, relay_over

from llmclients import AsyncClient, errors
from llmclients.relay import ConnectionLimits, RelayServer
from llmclients.relay.connections import Connections
from llmclients.relay.listener import open_listener
from llmclients.transports.mock import Reply

QUICK: dict[str, Any] = {
    "head_seconds": 0.2,
    "body_pause_seconds": 0.2,
    "body_seconds": 0.4,
    "write_seconds": 0.2,
    "discard_seconds": 0.2,
}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
KEY = b"Authorization: Bearer sesame\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All until the relay closes."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def flood(connection: socket.socket, piece: bytes, limit: int) -> int:
    """How many bytes the relay, and the buffers on the way, take of an endless body."""
    sent = 0
    try:
        while sent < limit:
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize("key", [None, "sesame"])
def test_slow_heads_and_bodies_are_ended(key: str | None) -> None:
    head = HEAD + KEY if key else HEAD
    limits = ConnectionLimits(**QUICK | {"body_seconds": 60})  # a pause is enough
    with relay_over(api_key=key, limits=limits) as (relay, mock):
        for begun, status in (
            (b"", b""),
            (b"POST / HT", b"408"),
            (head, b"408"),
            (head + b"Content-Length: 1000\r\n\r\n{", b"408"),
            (head + CHUNKED, b"408"),
        ):
            with connected(relay.url) as connection:
                connection.sendall(begun)
                assert received(connection)[9:12] == status, begun
        assert not mock.requests
        assert post(relay.url, "openai", headers={"Authorization": "Bearer sesame"}).status == 200


@pytest.mark.parametrize("begun", [b"", HEAD + b"Content-Length: 100000\r\n\r\n"])
def test_a_byte_now_and_then_is_not_enough(begun: bytes) -> None:
    with relay_over(limits=ConnectionLimits(**QUICK)) as (relay, _), connected(relay.url) as connection:
        connection.sendall(begun)
        connection.settimeout(0.05)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() - began < 8:
            connection.sendall(b" " if begun else b"X")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_slow_but_steady_body_is_read() -> None:
    body = json.dumps({"messages": HI}).encode()
    with relay_over(limits=ConnectionLimits(**QUICK)) as (relay, _), connected(relay.url) as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 10):
            connection.sendall(body[start : start + 10])
            time.sleep(0.02)
        assert received(connection).startswith(b"HTTP/1.1 200 ")


def test_a_body_in_chunks_is_read_but_not_byte_by_byte_without_end() -> None:
    body = json.dumps({"messages": HI}).encode()
    with relay_over() as (relay, _):
        with connected(relay.url) as connection:
            pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            connection.sendall(HEAD + b"Connection: close\r\n" + CHUNKED + pieces + b"0\r\n\r\n")
            assert received(connection).startswith(b"HTTP/1.1 200 ")
        with connected(relay.url) as connection:
            connection.sendall(HEAD + CHUNKED)
            assert flood(connection, b"1\r\n \r\n" * 5000, 60_000_000) < 30_000_000
            assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_a_long_head_is_refused() -> None:
    with relay_over() as (relay, _):
        for size, status in ((10_000, b"200"), (20_000, b"431"), (200_000, b"400")):
            with connected(relay.url) as connection:
                line = b"X: " + b"x" * size + b"\r\n"
                request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + line + b"\r\n"
                flood(connection, request, 1)
                assert received(connection)[9:12] == status


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (HEAD, b"401"),
        (HEAD.replace(b"/v1/chat/completions", b"/nope"), b"404"),
        (HEAD.replace(b"POST", b"GET"), b"405"),
        (HEAD.replace(b"application/json", b"text/plain") + KEY, b"415"),
        (HEAD.replace(b"localhost", b"[::1") + KEY, b"403"),
        (HEAD + KEY, b"413"),
    ],
)
def test_a_refused_client_that_keeps_sending_is_closed_and_gets_its_answer(request_head: bytes, status: bytes) -> None:
    for framing in (CHUNKED, b"Content-Length: 99999999\r\n\r\n"):
        with relay_over(api_key="sesame", max_request_bytes=100_000) as (relay, _), connected(relay.url) as connection:
            connection.sendall(request_head + framing)
            piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if framing == CHUNKED else b" " * 65536
            assert flood(connection, piece, 60_000_000) < 30_000_000
            assert received(connection)[9:12] == status


def test_a_refused_short_request_costs_no_connection() -> None:
    with relay_over(api_key="sesame") as (relay, _), connected(relay.url) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
            answer = b""
            while not answer.endswith(b"}}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("wire", ["openai", "yqcloud", "anthropic"])
def test_a_client_that_does_not_read_its_stream_is_left(wire: str) -> None:
    asked = threading.Event()

    def endless(request: Any) -> Reply:
        asked.set()
        return Reply(chunks=[delta("x" * 50_000)] * 2000, headers={"content-type": "text/event-stream"})

    with (
        relay_over(endless, limits=ConnectionLimits(**QUICK)) as (relay, mock),
        open_post(relay.url, PREFIX[wire] + PATH[wire], BODY[wire]) as connection,
    ):
        assert asked.wait(5)
        deadline = time.monotonic() + 5
        while mock.open_exchanges and time.monotonic() < deadline:
            time.sleep(0.02)  # until the provider is left, too
        assert len(received(connection)) < 50_000_000


# --- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"POST / HTTP/1.1\r\n", HEAD + CHUNKED])
@pytest.mark.parametrize("key", [None, "sesame"])
def test_strangers_that_hold_connections_starve_nobody(key: str | None, begun: bytes) -> None:
    if key is None and begun.endswith(CHUNKED):
        begun = begun.replace(b"localhost", b"evil.example")
    with relay_over(api_key=key, limits=ConnectionLimits(connections=10)) as (relay, _):
        held = []
        for _ in range(30):
            parts = urlsplit(relay.url)
            held.append(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10))
            held[-1].sendall(begun)
        assert post(relay.url, "openai", headers={"Authorization": "Bearer sesame"}).status == 200
        for number, connection in enumerate(held):
            if number < 20:
                received(connection)  # it was ended for one that came later
            connection.close()


def test_a_connection_that_is_answered_is_not_ended_for_another_one() -> None:
    with (
        SlowProvider() as upstream,
        RelayServer(
            AsyncClient("openai/m", base_url=upstream.base_url, api_key="k", trust_env=False),
            limits=ConnectionLimits(connections=1),
        ) as relay,
        open_post(relay.url, PREFIX["yqcloud"] + PATH["yqcloud"], BODY["yqcloud"]) as answered,
    ):
        assert upstream.asked.wait(5)
        for _ in range(3):
            with connected(relay.url) as late:
                assert received(late).startswith(b"HTTP/1.1 503 ")
        upstream.go()
        answer = b""
        while b"w1" not in answer:
            piece = answered.recv(65536)
            assert piece
            answer += piece


def test_a_body_that_stands_still_gives_its_connection_to_another_client() -> None:
    with relay_over(limits=ConnectionLimits(connections=5)) as (relay, _), contextlib.ExitStack() as held:
        for _ in range(5):
            held.enter_context(connected(relay.url)).sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        deadline = time.monotonic() + 5
        while (status := post(relay.url, "openai").status) == 503 and time.monotonic() < deadline:
            time.sleep(0.05)  # until it is clear that they do not go on at once
        assert status == 200


def test_the_default_leaves_descriptors_for_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    for descriptors, connections in ((256, 96), (1024, 480), (65536, 1000), (resource.RLIM_INFINITY, 1000), (64, 4)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=descriptors: (soft, soft))
        assert ConnectionLimits().max_connections() == connections
    assert ConnectionLimits(connections=7).max_connections() == 7


def test_a_limit_is_a_positive_number(subtests: pytest.Subtests) -> None:
    for value in (0, -1, float("nan"), float("inf"), True, "10"):
        with subtests.test(repr(value)):
            for name in ("connections", "head_seconds"):
                with pytest.raises(errors.ConfigurationError, match=name):
                    ConnectionLimits(**{name: value})


def test_without_a_descriptor_the_queue_still_gets_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    accept: Callable[[Any], Any] = socket.socket.accept
    with open_listener("127.0.0.1", 0) as listener:
        listener.setblocking(False)
        listener.connections = Connections(ConnectionLimits())
        spare = listener._spare
        assert spare is not None

        def none_left(self: socket.socket) -> Any:
            try:
                os.fstat(spare)
            except OSError:
                return accept(self)  # the spare one was given up for it
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket.socket, "accept", none_left)
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            with pytest.raises(BlockingIOError):
                listener.accept()
            assert client.recv(1) == b""
        assert listener._spare is not None
        monkeypatch.setattr(socket.socket, "accept", accept)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("wire", WIRES)
def test_a_large_request_does_not_keep_others_waiting(wire: str) -> None:
    names = {"yqcloud": "prompt", "yqcloud-legacy": "prompt", "openai-responses": "input", "gemini": "contents"}
    name, text = names.get(wire, "messages"), "x" * 200_000
    turns = {"messages": [{"role": "user", "content": text}], "contents": [{"parts": [{"text": text}]}]}
    body = {**BODY[wire], name: turns.get(name, text)}
    threads: list[str] = []
    with relay_over() as (relay, _), pytest.MonkeyPatch.context() as patch:
        from llmclients.relay.codecs import json_fields

        check = json_fields._check_size
        patch.setattr(
            json_fields, "_check_size", lambda data: [threads.append(threading.current_thread().name), check(data)]
        )
        assert post(relay.url, wire, body).status == 200
        assert post(relay.url, wire).status == 200
    large, small = threads
    assert large != small == "llmclients-relay"
