"""SIGINT while `serve` runs in the foreground: always KeyboardInterrupt, whatever handler the process started with."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from relaytools import post, upstream_client

from llmclients.relay import serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def after_a_request(url: str) -> None:
    """Let another thread interrupt the relay once it has answered: its handlers are set then."""

    def ask() -> None:
        try:
            assert post(url, "openai").status == 200
        finally:
            interrupt()

    threading.Thread(target=ask).start()


def at_once(url: str) -> None:
    interrupt()
    after_a_request(url)  # what is ignored ends nothing, and the test is to end


# A shell without job control starts what it runs in the background with SIGINT ignored.
@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["default", "ignored"])
@pytest.mark.parametrize("ready", [after_a_request, at_once])
def test_an_interrupted_relay_says_so(handler: Any, ready: Callable[[str], Any]) -> None:
    signal.signal(signal.SIGINT, handler)
    with pytest.raises(KeyboardInterrupt):
        serve(upstream_client(), port=0, ready=ready)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_of_the_programs_own_decides() -> None:
    caught: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    serve(upstream_client(), port=0, ready=after_a_request)
    assert caught == [signal.SIGINT]


def test_asyncio_sets_no_handler_as_that_can_lose_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[Any] = []
    set_handler = signal.signal

    def record(number: int, handler: Any) -> Any:
        handlers.append(handler)
        return set_handler(number, handler)

    monkeypatch.setattr(signal, "signal", record)
    with pytest.raises(KeyboardInterrupt):
        serve(upstream_client(), port=0, ready=after_a_request)
    assert handlers
    assert not [handler for handler in handlers if isinstance(handler, functools.partial)]  # as asyncio's is
