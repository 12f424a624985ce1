"""`RelayServer.stop()` returns soon, whatever is under way, and whoever calls it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from relaytools import BODY, delta, good, open_post, post, relay_over, send, upstream_client

from llmclients import AsyncClient
from llmclients.relay import RelayServer
from llmclients.relay import server as relay_server
from llmclients.relay.listener import Listener
from llmclients.transports.mock import Reply


def seconds_of(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_with_silent_connections() -> None:
    relay = RelayServer(upstream_client()).start()
    parts = urlsplit(relay.url)
    held = [socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) for _ in range(20)]
    assert post(relay.url, "openai").status == 200
    assert seconds_of(relay.stop) < 1
    for connection in held:
        assert connection.recv(1) == b""
        connection.close()


def test_with_a_stream_that_nobody_reads() -> None:
    asked = threading.Event()

    def endless(request: Any) -> Reply:
        asked.set()
        return Reply(chunks=[delta("x" * 50_000)] * 500, headers={"content-type": "text/event-stream"})

    with relay_over(endless) as (relay, _), open_post(relay.url, "/openai/v1/chat/completions", BODY["openai"]):
        assert asked.wait(5)
        assert seconds_of(relay.stop) < 1


def test_with_a_name_that_is_being_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()
    getaddrinfo = socket.getaddrinfo

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        if host in ("slow.test", b"slow.test"):
            asked.set()
            answered.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return getaddrinfo(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = AsyncClient("openai/m", api_key="k", base_url="http://slow.test", retry=None, trust_env=False)
    relay = RelayServer(client).start()
    with open_post(relay.url, "/openai/v1/chat/completions", BODY["openai"]):
        assert asked.wait(5)
        assert seconds_of(relay.stop) < 1
    answered.set()


def test_with_work_in_the_loops_own_threads() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def block() -> None:
        asked.set()
        go_on.wait(10)

    class Blocking(AsyncClient):
        async def models(self) -> list[str]:
            await asyncio.to_thread(block)
            return []

    def ask(url: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # it is cut
            send(url, "/v1/models", method="GET")

    relay = RelayServer(Blocking("openai/m", api_key="k")).start()
    asking = threading.Thread(target=ask, args=(relay.url,))
    asking.start()
    assert asked.wait(5)
    assert seconds_of(relay.stop) < 1
    go_on.set()
    asking.join(5)


def test_with_something_that_blocks_the_loop(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(relay_server, "_STOP_SECONDS", 0.2)
    asked, go_on = threading.Event(), threading.Event()

    def block(request: Any) -> Reply:
        asked.set()
        go_on.wait(10)
        return good(request)

    relay = RelayServer(upstream_client(block)).start()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "llmclients-relay"]
    with open_post(relay.url, "/openai/v1/chat/completions", BODY["openai"]):
        assert asked.wait(5)
        assert seconds_of(relay.stop) < 2
    assert "left behind" in caplog.text
    go_on.set()
    thread.join(5)
    assert not thread.is_alive()


def test_by_several_threads_and_by_the_relays_own() -> None:
    relay = RelayServer(upstream_client()).start()
    threads = [threading.Thread(target=relay.stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    relay.stop()
    relay.start()
    assert post(relay.url, "openai").status == 200
    relay.stop()
    with relay_over(lambda request: [relay_of_its.stop(), good(request)][1]) as (relay_of_its, _):  # type: ignore[has-type]
        assert post(relay_of_its.url, "openai").status == 200


def test_while_a_connection_is_being_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Listener.accept

    def accept_and_stop(self: Listener) -> Any:
        accepted = accept(self)
        assert relay._server is not None
        relay._server.should_exit = True
        relay._server._woken.set()  # the server looks in the loop's next turn, at its beginning
        return accepted

    monkeypatch.setattr(Listener, "accept", accept_and_stop)
    relay = RelayServer(upstream_client()).start()
    parts = urlsplit(relay.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        assert connection.recv(1) == b""
    relay.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_by_a_signals_handler_while_it_stops() -> None:
    relay = RelayServer(upstream_client()).start()
    calls: list[float] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(seconds_of(relay.stop)))
    try:
        timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGUSR1])
        timer.start()
        assert seconds_of(relay.stop) < 1
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(calls) == 1
    assert calls[0] < 1
