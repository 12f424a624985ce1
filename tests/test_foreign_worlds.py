"""Clients in processes, threads, loops and handlers that are not asyncio's, or not their maker's."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from llmclients import AsyncClient, Client, ConfigurationError, MissingAPIKeyError, StreamInterruptedError, Timeout
from llmclients.testing import FaultServer, MockTransport, Reply, mock_clients
from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, ReceivedRequest, Script, chunked
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport

KINDS = [Client, AsyncClient]
KEY = "sk-SECRETSECRET"
ANSWER = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
SERVER = "http://server.test/v1"


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def sent_key(client: Any) -> str | None:
    """The Authorization header that a client would send."""
    with mock_clients(Reply(json=ANSWER)) as mock:
        asyncio.run(client.chat("x")) if isinstance(client, AsyncClient) else client.chat("x")
    return dict(mock.requests[0].headers).get("Authorization")


# --- pickles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickled_client_has_its_settings_and_not_its_key(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    client = kind(
        "openai/m", api_key=KEY, timeout=Timeout(3, total=7), retry=2, proxy="http://p:1", fallback=["yqcloud"]
    )
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(client, protocol)
        assert KEY.encode() not in data
        again = pickle.loads(data)
        assert repr(again) == repr(client)
        for name in ("base_url", "timeout", "chat_timeout", "retry", "transport", "is_default_endpoint", "model"):
            assert getattr(again._settings, name) == getattr(client._settings, name)
        assert [other.settings.label for other in again._settings.fallbacks] == ["yqcloud"]
    with pytest.raises(
        MissingAPIKeyError, match=r"pickled, and a key is left out .* set OPENAI_API_KEY in this process"
    ):
        sent_key(again)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    assert sent_key(pickle.loads(data)) == "Bearer sk-another"


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_the_caller_s_own_is_not_sent_the_key_of_another(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    given, keyless = (pickle.dumps(kind("openai/m", api_key=key, base_url=SERVER)) for key in (KEY, None))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    found = pickle.dumps(kind("openai/m", base_url=SERVER))

    with pytest.raises(MissingAPIKeyError, match="left out of a pickle: make the client here"):
        sent_key(pickle.loads(given))
    assert sent_key(pickle.loads(keyless)) is None
    assert sent_key(pickle.loads(found)) == "Bearer sk-environment"
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingAPIKeyError):
        sent_key(pickle.loads(found))


def test_every_call_of_a_client_without_its_key_says_so() -> None:
    client, other = (pickle.loads(pickle.dumps(kind("openai/m", api_key=KEY))) for kind in KINDS)

    for call in (
        lambda: client.chat("x"),
        lambda: client.stream("x"),
        client.models,
        lambda: client.conversation().chat("x"),
        lambda: other.stream("x"),
        lambda: asyncio.run(other.models()),
    ):
        with pytest.raises(MissingAPIKeyError, match="this client was pickled"):
            call()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"headers": {"X-Team": "docs"}}, "with headers= cannot be pickled: they may hold a key"),
        ({"proxy": f"http://user:{KEY}@p:1"}, "whose proxy has a password cannot be pickled"),
        ({"transport": MockTransport()}, "has a transport= of its maker's"),
    ],
)
def test_what_cannot_go_into_a_pickle_says_why(kind: Any, options: Any, reason: str) -> None:
    client = kind("openai/m", api_key=KEY, **options)

    with pytest.raises(TypeError, match=reason):
        pickle.dumps(client)


def test_a_spawned_process_has_the_client_and_finds_the_key_in_its_environment() -> None:
    data = pickle.dumps(Client("openai/m", api_key=KEY))
    script = (
        "import pickle, sys\n"
        "client = pickle.load(sys.stdin.buffer)\n"
        "print(repr(client), client._settings.api_key, client.stream('x') is not None)"
    )
    environment = os.environ | {"OPENAI_API_KEY": "sk-there"}
    shown = subprocess.run([sys.executable, "-c", script], input=data, env=environment, capture_output=True, check=True)

    assert shown.stdout.decode().split() == ["Client('openai/m')", "sk-there", "True"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_in_the_same_process_keeps_the_key_and_has_connections_of_its_own(kind: Any, copied: Any) -> None:
    client = kind("openai/m", api_key=KEY, base_url=SERVER, headers={"X-A": "b"})
    again = copied(client)

    assert again._settings is client._settings
    assert again._transport is not client._transport
    assert sent_key(copied({"client": client})["client"] if copied is copy.deepcopy else again) == f"Bearer {KEY}"
    mock = MockTransport([Reply(json=ANSWER), Reply(json=ANSWER)])
    mine = kind("openai/m", api_key=KEY, transport=mock)
    for one in (mine, copied(mine)):
        asyncio.run(one.chat("x")) if kind is AsyncClient else one.chat("x")
    assert len(mock.requests) == 2


# --- loops ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"transport": MockTransport()}, {"transport": httpx.AsyncClient()}])
def test_under_trio_the_async_client_says_in_words_that_it_is_asyncio_s(options: dict[str, Any]) -> None:
    import trio

    async def main() -> None:
        client = AsyncClient("openai/m", api_key="k", base_url=SERVER, **options)
        stream = client.stream("x")
        for call in (client.chat("x"), client.models(), anext(stream), client.chat("x", run_tools=True)):
            with pytest.raises(ConfigurationError, match=r"runs on asyncio only.*trio"):
                await call
        await client.close()

    trio.run(main)


def answer_in_kind(request: ReceivedRequest) -> Script:
    text = request.json["prompt"].encode()
    return [CHUNKED_HEAD, chunked(text)]


def test_one_async_client_serves_the_loops_of_several_threads_and_its_transport_closes_for_all() -> None:
    failures: list[str] = []
    with FaultServer(answer_in_kind) as server:
        transport = HttpxTransport(TransportSettings(trust_env=False))
        client = AsyncClient("yqcloud", base_url=server.url, transport=transport, retry=None)

        def work(number: int) -> None:
            async def ask(turn: int) -> None:
                text = f"{number}.{turn}"
                try:
                    answer = (await client.chat(text)).text
                except StreamInterruptedError as error:
                    answer = text if "closed" in str(error) else repr(error)
                if answer != text:
                    failures.append(f"{text}: {answer}")
                if number == 0:
                    await transport.close()

            for turn in range(12):
                try:
                    asyncio.run(ask(turn))
                except Exception as error:  # noqa: BLE001 - whatever it is, the main thread shows it
                    failures.append(repr(error))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert failures == []
        assert server.wait_for(0), "no connection outlives its loop"


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.fixture
def alarm() -> Iterator[Any]:
    """Sets the handler of an alarm that comes soon, in the main thread, in the middle of whatever it does."""
    before = signal.getsignal(signal.SIGALRM)

    def handle_with(handler: Any, seconds: float, again: float = 0) -> None:
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, seconds, again)

    yield handle_with
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer's signal")
@pytest.mark.parametrize("whose", ["client", "stream"])
def test_a_handler_closes_what_the_thread_reads_and_goes_on(alarm: Any, whose: str) -> None:
    with FaultServer([CHUNKED_HEAD, chunked(b"Hel", last=False), HOLD]) as server:
        client = Client("yqcloud", base_url=server.url, trust_env=False, retry=None)
        stream, other = client.stream("x"), client.stream("x")
        assert next(stream).text == next(other).text == "Hel"
        done: list[str] = []

        def handler() -> None:
            (client if whose == "client" else stream).close()
            done.append("after the close")

        alarm(handler, 0.03)
        begun = time.monotonic()
        with pytest.raises(StreamInterruptedError, match="closed"):
            next(stream)
        assert time.monotonic() - begun < 5
        assert done == ["after the close"]
        other.close()
        assert server.wait_for(0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer's signal")
def test_handlers_that_close_at_any_moment_neither_hang_nor_mix_answers(alarm: Any) -> None:
    with FaultServer(answer_in_kind) as server:
        transport = RequestsTransport(TransportSettings(trust_env=False))
        client = Client("yqcloud", base_url=server.url, transport=transport, retry=3)
        alarm(transport.close, 0.005, 0.011)
        until = time.monotonic() + 1
        answers = []
        while time.monotonic() < until:
            text = f"prompt {len(answers)}"
            try:
                answers.append(client.chat(text).text == text)
            except StreamInterruptedError:
                continue
    assert len(answers) > 10
    assert all(answers)
