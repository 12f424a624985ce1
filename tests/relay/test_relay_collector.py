"""What the relay leaves to Python's garbage collector, and how often the command `relay` lets that run."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from relaytools import BODY, DONE, PATH, PREFIX, SlowProvider, delta, end, event, open_post, post, relay_over, send

from llmclients import AsyncClient
from llmclients.relay import RelayServer
from llmclients.relay.asgi import ASGIExchange
from llmclients.relay.connection import Connection
from llmclients.transports.mock import ConnectFault, Cut, Reply

OPENAI = PREFIX["openai"] + PATH["openai"]
REPLIES: list[Any] = [
    Reply(chunks=[delta("Hi"), end(), DONE]),
    Reply(chunks=[delta("Hi"), Cut()]),
    Reply(chunks=[Cut()]),
    Reply(chunks=[event({"error": {"message": "early", "type": "rate_limit_error"}})]),
    Reply(body="nonsense"),
    Reply(500),
    ConnectFault(),
]
REFUSED: list[tuple[Any, dict[str, str]]] = [
    ({"messages": 1}, {}),
    (b"{", {}),
    (b"x" * 2000, {}),
    (BODY["openai"], {"authorization": "Bearer wrong"}),
    (BODY["openai"], {"content-encoding": "gzip"}),
]


def held() -> Counter[type]:
    """How many requests and connections the process still holds, of both sides."""
    kinds = (ASGIExchange, Connection, asyncio.Transport)
    return Counter(type(found) for found in gc.get_objects() if issubclass(type(found), kinds))


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    before = held()
    gc.disable()
    try:
        yield
        deadline = time.monotonic() + 2
        while held() - before and time.monotonic() < deadline:  # the client may be done before the relay's last line is
            time.sleep(0.01)
        assert held() - before == Counter()
    finally:
        gc.enable()


def test_a_request_is_freed_at_its_end_however_that_comes_and_waits_for_no_collection() -> None:
    reply: list[Any] = []
    with relay_over(lambda request: reply[-1], api_key="k", max_request_bytes=1000) as (relay, _), without_collector():
        key = {"authorization": "Bearer k"}
        for reply[:] in ([one] for one in REPLIES):
            for stream in (True, False):
                post(relay.url, "openai", {**BODY["openai"], "stream": stream}, key)
        for body, headers in REFUSED:
            assert post(relay.url, "openai", body, {**key, **headers}).status >= 400
        send(relay.url, "/nothing", {})


def test_so_is_a_connection_that_is_reset_after_its_answer() -> None:
    with relay_over(lambda request: REPLIES[0]) as (relay, _), without_collector():
        connection = open_post(relay.url, OPENAI, BODY["openai"], close=False)
        while not connection.recv(65536).endswith(b"0\r\n\r\n"):
            pass
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


@pytest.mark.parametrize("first", [True, False])
def test_so_is_one_whose_client_has_left(first: bool) -> None:
    with SlowProvider(first) as provider:
        client = AsyncClient("openai/m", base_url=provider.base_url, api_key="none", retry=None, trust_env=False)
        with RelayServer(client) as relay, without_collector():
            with open_post(relay.url, OPENAI, BODY["openai"]) as connection:
                assert provider.asked.wait(5)
                if first:
                    provider.go()
                    assert connection.recv(1)
            assert provider.left.wait(5)


def test_the_command_lets_the_collector_run_seldom() -> None:
    program = (
        "import gc, sys\n"
        "import llmclients.relay.server as server\n"
        "server.run_server = lambda *_: print(gc.get_threshold(), gc.get_freeze_count() > 10_000)\n"
        "from llmclients.cli.main import main\n"
        "sys.exit(main(['relay', '--provider', 'yqcloud', '--port', '0']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "(50000, 2, 2) True"
