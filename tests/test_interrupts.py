"""A Ctrl-C is seen soon in every wait of the main thread, also one that comes just before the wait and interrupts nothing.

Such a one cannot be timed. But a signal that the system gives to another thread is one, too: the handler runs when the
main thread goes on by itself.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmclients import Client
from llmclients.testing import FaultServer, MockTransport, Reply
from llmclients.testing.faults import sse_answer
from llmclients.testing.script import HOLD, chunked, http
from llmclients.transports.requests import connect
from llmclients.transports.waiting import LOOK_UP, short_waits

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of a thread are POSIX's")

BEGUN = sse_answer({"choices": [{"index": 0, "delta": {"content": "Hello"}}]})
HEAD = [BEGUN.head(), chunked(BEGUN.pieces[0], last=False), HOLD]


@contextlib.contextmanager
def ctrl_c(begun: Callable[[], object], times: int = 1) -> Iterator[None]:
    """The block is to be ended by a KeyboardInterrupt, from SIGINTs that come to another thread while it waits."""

    def press() -> None:
        while not (begun() or over.is_set()):
            time.sleep(0.005)
        for time_ in range(times):
            if over.wait(0.05 if not time_ else 2 * LOOK_UP):
                return
            sent.append(time.monotonic())
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    sent, over = list[float](), threading.Event()
    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - sent[-1] < LOOK_UP + 1.5, "it was not seen"
    finally:
        over.set()
        thread.join()


def read_all(stream: Any) -> None:
    for _ in stream:
        pass


WAITS: dict[str, tuple[list[Any], Callable[[Client], Any]]] = {
    "chat, for the head": ([HOLD], lambda client: client.chat("Hi")),
    "chat, for the body": (HEAD, lambda client: client.chat("Hi")),
    "chat with a deadline": ([HOLD], lambda client: client.with_options(timeout=60).chat("Hi")),
    "stream": (HEAD, lambda client: read_all(client.stream("Hi"))),
    "stream, opened": ([HOLD], lambda client: client.stream("Hi").open()),
    "conversation": ([HOLD], lambda client: client.conversation().chat("Hi")),
    "between attempts": (
        [http("429 Slow down", [("Retry-After", "60")])],
        lambda client: client.with_options(retry=2).chat("Hi"),
    ),
    "map": ([HOLD], lambda client: list(client.map(["Hi"] * 3))),
}


@contextlib.contextmanager
def serving(script: list[Any]) -> Iterator[tuple[FaultServer, Client]]:
    with FaultServer(script) as server, Client("openai/m", base_url=server.url, api_key="k", retry=None) as client:
        yield server, client


def test_a_ctrl_c_that_interrupts_no_wait_is_seen_soon(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for name, (script, wait) in WAITS.items():
        with subtests.test(name), serving(script) as (server, client), ctrl_c(lambda: server.exchanges):
            wait(client)
    # After the first, rows under way come to their end.
    with subtests.test("bulk"), serving([HOLD]) as (server, client), ctrl_c(lambda: server.exchanges, times=2):
        client.bulk([{"prompt": "Hi"}], tmp_path / "out.jsonl", progress=False)


def test_a_timeout_that_a_handler_raises_is_the_caller_s_and_no_reason_to_try_again() -> None:
    def ring(*_: Any) -> None:
        raise TimeoutError("the alarm")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for script in ([HOLD], HEAD):
            for seconds in (0.1, LOOK_UP + 0.1):  # in the first of the short waits, and in the next
                with FaultServer(script) as server, Client("openai/m", base_url=server.url, api_key="k") as client:
                    signal.setitimer(signal.ITIMER_REAL, seconds)
                    with pytest.raises(TimeoutError, match="the alarm"):
                        client.chat("Hi")
                    assert server.exchanges == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_so_it_is_while_tools_run_in_threads() -> None:
    running, over = [], threading.Event()

    def hang() -> str:
        running.append(1)
        over.wait()
        return ""

    mock = MockTransport([Reply.tool_calls(("hang", {}), ("hang", {}))])
    with Client("openai/m", api_key="k", transport=mock) as client, ctrl_c(lambda: len(running) == 2):
        client.chat("Hi", tools=[hang], run_tools=True)
    over.set()


def test_so_it_is_while_a_name_is_resolved_and_an_address_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = [], threading.Event()

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        asked.append(1)
        over.wait()
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    with ctrl_c(lambda: asked):
        connect.resolve("no.such.name", 80, 60)
    over.set()


def test_short_waits_are_as_long_together_and_uncut_in_other_threads() -> None:
    assert sum(short_waits(1.1)) == pytest.approx(1.1)
    assert max(short_waits(1.1)) == LOOK_UP
    assert list(short_waits(0.1)) == [0.1]
    found: list[Any] = []
    endless = short_waits()
    found += [next(endless), next(endless)]
    thread = threading.Thread(target=lambda: found.extend([*short_waits(60), next(short_waits())]))
    thread.start()
    thread.join()
    assert found == [LOOK_UP, LOOK_UP, 60, None]
