"""SIGHUP and SIGTERM while `serve` runs in the foreground: other routes, and an end that cuts nothing short of its deadline."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pagetools import events
from relaytools import HI, SlowProvider, open_post, post, relay_over, send, upstream_client

from llmclients import AsyncClient
from llmclients.history import History, StoredError
from llmclients.relay import RelayConfig, serve
from llmclients.relay.reloading import Reloader
from llmclients.relay.server import prepare

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def in_a_thread(script: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Gives what runs the script, once the relay listens; the relay is ended in any case."""
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []
    served = threading.Event()

    def run(url: str) -> None:
        try:
            script(url)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)
            for _ in range(2):
                if not served.is_set():  # or it would end the tests
                    os.kill(os.getpid(), signal.SIGTERM)
                    served.wait(0.2)

    def ready(url: str) -> None:
        threads.append(threading.Thread(target=run, args=(url,)))
        threads[0].start()

    yield ready
    served.set()
    threads[0].join(10)
    for failure in failures:
        raise failure


def client_of(provider: SlowProvider) -> AsyncClient:
    return AsyncClient("openai/m", base_url=provider.base_url, api_key="k", retry=None)


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def words(connection: Any, until_word: bytes) -> None:
    data = b""
    while until_word not in data:
        piece = connection.recv(65536)
        assert piece
        data += piece


def test_sighup_reads_the_file_again_and_drops_no_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmclients.relay")
    file = tmp_path / "relay.toml"

    def write(url: str, more: str = "") -> None:
        file.write_text(
            f"{more}\ndefault = 'mine'\n[keys.alice]\nkey = 'sesame'\n[upstreams.mine]\nprovider = 'openai'\n"
            f"api_key = 'sk-mine'\nbase_url = '{url}'\n"
        )

    def asks(url: str) -> int:
        return post(url, "openai", {"model": "m", "messages": HI}, {"x-api-key": "sesame"}).status

    with SlowProvider() as provider, relay_over() as (other, mock):

        def script(url: str) -> None:
            body = {"model": "m", "messages": HI, "stream": True}
            with open_post(url, "/openai/v1/chat/completions", body, headers={"x-api-key": "sesame"}) as stream:
                provider.asked.wait(5)
                provider.go()
                words(stream, b"w1 ")
                write(other.url + "/openai/v1", more="surprise = 1")
                hang_up()
                until(lambda: "what was read before stays: relay.toml: unknown member 'surprise'" in caplog.text)
                write(other.url + "/openai/v1")
                hang_up()
                until(lambda: "relay.toml was read again" in caplog.text)
                assert asks(url) == 200
                assert len(mock.requests) == 1
                provider.go()
                words(stream, b"w2 ")
            terminate()

        write(provider.base_url)
        with in_a_thread(script) as ready:
            serve(RelayConfig.load(file), port=0, ready=ready)
        assert provider.left.wait(5)


def test_sigterm_waits_for_answers_takes_no_more_and_says_so() -> None:
    with SlowProvider() as provider:
        left: list[float] = []

        def script(url: str) -> None:
            body = {"model": "m", "messages": HI, "stream": True}
            with open_post(url, "/openai/v1/chat/completions", body) as stream:
                provider.asked.wait(5)
                provider.go()
                words(stream, b"w1 ")
                assert send(url, "/readyz", method="GET").status == 200
                terminate()
                until(lambda: send(url, "/readyz", method="GET").status == 503)
                assert send(url, "/healthz", method="GET").status == 200
                refused = post(url, "openai", {"model": "m", "messages": HI})
                assert (refused.status, refused.headers["retry-after"]) == (503, "1")
                provider.go()
                words(stream, b"w2 ")
                left.append(time.monotonic())
            # Its client has left: nothing is under way any more.

        client = client_of(provider)
        with in_a_thread(script) as ready:
            serve(client, port=0, ready=ready)
        assert time.monotonic() - left[0] < 2


def test_sigterm_waits_for_an_answer_of_the_page_that_nobody_looks_at() -> None:
    with SlowProvider() as provider, History.in_memory() as kept:
        turns: list[int] = []

        def script(url: str) -> None:
            with events(url, "ask", {"text": "Count."}) as found:
                turns.append(next(found)["answer"]["id"])
                provider.go()
                next(found)
            terminate()
            until(lambda: send(url, "/readyz", method="GET").status == 503)
            provider.go()
            until(lambda: kept.turn(turns[0]).text == "w1 w2 ")
            time.sleep(0.25)  # more than two looks at what is under way
            assert send(url, "/readyz", method="GET").status == 503
            terminate()

        with in_a_thread(script) as ready:
            serve(client_of(provider), port=0, page=kept, ready=ready)
        stored = kept.turn(turns[0])
        assert (stored.text, stored.error) == ("w1 w2 ", StoredError("Interrupted", "the relay was stopped"))


@pytest.mark.parametrize("broken", ["[keys", "surprise = 1", "", "[server]\nhost = '127.0.0.1'"])
async def test_a_file_that_is_broken_or_would_open_the_relay_to_others_changes_nothing(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("default = 'yqcloud'\n[server]\napi_key = 'sesame'\n")
    changes = {"host": "0.0.0.0"}  # as the command line says, and so it stays
    app, config, context = prepare(RelayConfig.load(file), changes, None)
    file.write_text(broken)
    await Reloader(app, config, changes, None, context).reload()
    assert "what was read before stays: relay.toml: " in caplog.text
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/v1/models")).status_code == 401


def test_sigint_waits_for_answers_too() -> None:
    with SlowProvider() as provider:

        def script(url: str) -> None:
            body = {"model": "m", "messages": HI, "stream": True}
            with open_post(url, "/openai/v1/chat/completions", body) as stream:
                provider.asked.wait(5)
                provider.go()
                words(stream, b"w1 ")
                os.kill(os.getpid(), signal.SIGINT)
                until(lambda: not is_open(url))
                provider.go()
                words(stream, b"w2 ")

        with in_a_thread(script) as ready, pytest.raises(KeyboardInterrupt):
            serve(client_of(provider), port=0, ready=ready)


def is_open(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1).close()
    except OSError:
        return False
    return True


def test_sigterm_does_not_wait_beyond_its_deadline_and_a_second_one_not_at_all() -> None:
    for drain_seconds, again in ((0.3, False), (60, True)):
        with SlowProvider() as provider:

            def script(url: str, provider: SlowProvider = provider, again: bool = again) -> None:
                with open_post(
                    url, "/openai/v1/chat/completions", {"model": "m", "messages": HI, "stream": True}
                ) as stream:
                    provider.asked.wait(5)
                    provider.go()
                    words(stream, b"w1 ")
                    terminate()
                    if again:
                        until(lambda: send(url, "/readyz", method="GET").status == 503)
                        terminate()
                    while stream.recv(65536):
                        pass

            began = time.monotonic()
            with in_a_thread(script) as ready:
                serve(client_of(provider), port=0, drain_seconds=drain_seconds, ready=ready)
            assert time.monotonic() - began < 3


def test_a_sigterm_handler_of_the_program_s_own_is_called_afterwards() -> None:
    caught: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))

    def script(url: str) -> None:
        assert post(url, "openai").status == 200
        terminate()

    with in_a_thread(script) as ready:
        serve(upstream_client(), port=0, ready=ready)
    assert caught == [signal.SIGTERM]
