"""`mock_clients`: a program that makes its own clients is answered from a script, and nothing reaches a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from llmclients import AsyncClient, Client, InternalServerError, MissingAPIKeyError
from llmclients.testing import FaultServer, MockTransport, Reply, ScriptExhausted, mock_clients
from llmclients.testing.script import http
from llmclients.transports.stand_in import is_mocked

REPLY = b'{"choices": [{"message": {"content": "real"}, "finish_reason": "stop"}]}'


@pytest.fixture(autouse=True)
def no_sockets_no_keys(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing is sent in these tests but by the one that says so, and nothing of them stays."""

    def connect(*_: Any) -> None:
        raise AssertionError("a client reaches for a socket")

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if "real_server" not in request.fixturenames:
        monkeypatch.setattr(socket.socket, "connect", connect)
    yield
    assert not is_mocked()


@pytest.fixture
def real_server() -> Iterator[str]:
    with FaultServer([http(body=REPLY)], [http(body=REPLY)], [http(body=REPLY)]) as server:
        yield server.url


def greet(name: str) -> str:
    """A program that makes its own client, and closes it."""
    with Client("openai/gpt-4.1-mini") as client:
        return client.chat(f"Greet {name}.", temperature=0).text


def test_a_program_that_makes_its_own_clients_needs_no_key() -> None:
    with mock_clients(Reply.text("Hello, Ann!")) as mock:
        assert greet("Ann") == "Hello, Ann!"
        [request] = mock.requests

    assert (request.model, request.prompt, request.options) == ("gpt-4.1-mini", "Greet Ann.", {"temperature": 0})
    with pytest.raises(MissingAPIKeyError):
        greet("Ann")


def test_async_clients_and_streams_in_tasks() -> None:
    async def ask(number: int) -> str:
        async with AsyncClient("anthropic/claude") as client:
            return "".join([str(chunk) async for chunk in client.stream(f"{number}")])

    async def ask_all() -> list[str]:
        return await asyncio.gather(*map(ask, range(20)))

    with mock_clients(lambda request: Reply.stream("You said ", request.prompt)) as mock:
        assert asyncio.run(ask_all()) == [f"You said {number}" for number in range(20)]
        assert (len(mock.requests), mock.open_exchanges) == (20, 0)


def test_threads_share_the_script() -> None:
    answers: list[str] = []
    with mock_clients(*[Reply.text("Hi")] * 8) as mock:
        threads = [threading.Thread(target=lambda: answers.append(greet("Ann"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert (answers, len(mock.requests)) == (["Hi"] * 8, 8)


def test_the_local_model_and_fallbacks_start_nothing() -> None:
    with mock_clients(Reply.text("Hi"), Reply.error(401), Reply.text("Hello")) as mock:
        assert Client().chat("Hi").text == "Hi"
        assert Client("openai/m", fallback=["local"]).chat("Hi").text == "Hello"

    assert [request.provider for request in mock.requests] == ["local", "openai", "local"]
    assert mock.requests[2].path == "/v1/chat/completions"


def test_clients_made_before_are_answered_and_reach_their_server_again(real_server: str) -> None:
    before = Client("openai/m", base_url=real_server, api_key="-")
    awaited = AsyncClient("openai/m", base_url=real_server, api_key="-")
    assert before.chat("Hi").text == "real"

    with mock_clients(Reply.error(503, retry_after=60), Reply.text("one"), Reply.text("two")) as mock:
        made_inside = Client("openai/m", base_url=real_server, api_key="-")
        assert before.chat("Hi").text == "one"  # the wait of a minute takes no time for it either
        assert asyncio.run(awaited.chat("Hi")).text == "two"
        assert mock.clock.slept == [60]

    assert before.chat("Hi").text == "real"
    assert made_inside.chat("Hi").text == "real"
    for client in (before, made_inside):
        client.close()


def test_a_client_with_a_transport_keeps_it() -> None:
    with mock_clients(Reply.text("block")) as mock:
        given = Client("openai/m", api_key="-", transport=MockTransport([Reply.text("given")]))
        assert given.chat("Hi").text == "given"

    assert mock.requests == []


def test_blocks_may_be_nested_and_end_by_an_exception() -> None:
    with mock_clients(Reply.text("outer"), Reply.text("outer again")):
        client = Client("openai/m")
        assert client.chat("Hi").text == "outer"
        with pytest.raises(InternalServerError), mock_clients(Reply.error(500)):
            Client("openai/m", retry=None).chat("Hi")
        assert client.chat("Hi").text == "outer again"
    with pytest.raises(ZeroDivisionError), mock_clients():
        raise ZeroDivisionError
    assert not is_mocked()


def test_blocks_of_threads_end_in_any_order() -> None:
    first, second = mock_clients(Reply.text("first")), mock_clients(Reply.text("second"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert Client("openai/m").chat("Hi").text == "second"
    second.__exit__(None, None, None)


def test_a_script_that_has_ended_names_the_failure_behind_the_retry() -> None:
    with mock_clients(Reply.error(500, "out of order")), pytest.raises(ScriptExhausted) as caught:
        greet("Ann")
    message = str(caught.value)
    assert (
        "no reply for POST https://api.openai.com/v1/chat/completions: its only reply was used. The attempt" in message
    )
    assert "failed with InternalServerError: openai (api.openai.com): HTTP 500: out of order." in message
    assert "give a reply for each attempt, or the client retry=None" in message

    unfinished = MockTransport([Reply(body=": hello\n\n")])
    with pytest.raises(ScriptExhausted, match=r"StreamInterruptedError: .* without its end mark"):
        list(Client("openai/m", api_key="-", transport=unfinished).stream("Hi"))

    with (
        mock_clients(Reply.text("Hi"), Reply.text("Hi")),
        pytest.raises(ScriptExhausted, match=r"2 replies were used$"),
    ):
        [greet("Ann") for _ in range(3)]
    with mock_clients(), pytest.raises(ScriptExhausted, match="it is empty"):
        greet("Ann")


def test_what_is_no_script_is_refused() -> None:
    for script in (["Hi"], [[Reply.text("Hi")]], [Reply.text("Hi"), lambda request: Reply.text("Hi")]):
        with pytest.raises(TypeError, match=r"a script is replies, such as Reply.text\('Hi'\)"), mock_clients(*script):
            raise AssertionError
    with mock_clients(lambda request: "Hi"), pytest.raises(TypeError, match="a script has replies and errors, not str"):
        greet("Ann")
    with pytest.raises(TypeError, match=r"not list: give its items, mock_clients\(\*replies\)"), mock_clients([]):  # type: ignore[arg-type]
        raise AssertionError
    for single in (Reply.text("Hi"), "Hi"):
        with pytest.raises(TypeError, match=r"a script is a list of replies, such as \[Reply.text\('Hi'\)\]"):
            MockTransport(single)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="400 to 599, not 'slow down'"):
        Reply.error("slow down", 429)  # type: ignore[arg-type]
