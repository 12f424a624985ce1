"""Clients to fall back on: each keeps its key, address, headers, limits and connections."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from asking import KINDS, closed, outcome

from llmclients import (
    APIError,
    APITimeoutError,
    AsyncClient,
    Client,
    ConfigurationError,
    RateLimitError,
    Timeout,
    UnsupportedOptionError,
)
from llmclients.testing import Delay, FaultServer, MockTransport, Reply, mock_clients
from llmclients.testing.fault_server import http

kinds = pytest.mark.parametrize("kind", KINDS)
ANSWER = b'{"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}'


def busy(_: Any) -> Reply:
    return Reply(429)


@kinds
def test_a_client_to_fall_back_on_keeps_what_it_was_made_with(kind: Any) -> None:
    first, second = MockTransport(busy), MockTransport([Reply.text("Hi"), Reply.stream("Hi")])
    spare = kind(
        "anthropic/opus", api_key="key-of-spare", base_url="http://spare.test", headers={"X-Own": "1"},
        transport=second, retry=None, defaults={"top_k": 3, "temperature": 0.5},
    )  # fmt: skip
    client = kind(
        "openai/m", api_key="key-of-first", headers={"X-First": "1"}, transport=first, fallback=[spare], retry=2,
        defaults={"temperature": 0, "seed": None},
    )  # fmt: skip
    for call in (client.chat, client.stream):
        answer = outcome(call("x", max_tokens=9, headers={"X-Call": "1"}))
        assert (answer.text, answer.provider) == ("Hi", "anthropic")
    assert (len(first.requests), len(second.requests)) == (4, 2)
    sent = {name.lower(): value for name, value in second.requests[0].headers}
    assert (sent["x-api-key"], sent["x-own"]) == ("key-of-spare", "1")
    assert not sent.keys() & {"x-first", "x-call", "authorization"}
    body = second.requests[0].json
    assert (body["model"], body["top_k"], body["temperature"], body["max_tokens"]) == ("opus", 3, 0.5, 9)
    assert second.requests[0].url.startswith("http://spare.test/")
    closed(client)
    assert not spare._transport.closed


@kinds
def test_its_own_connections_carry_the_call(kind: Any) -> None:
    with FaultServer([http(body=ANSWER)]) as server:
        dead = "http://127.0.0.1:9"
        spare = kind("anthropic/m", api_key="k", base_url=server.url, proxy=False, retry=None)
        client = kind("openai/m", api_key="k", base_url="http://x.test", proxy=dead, retry=None, fallback=[spare])

        async def asynchronously() -> Any:
            async with client, spare:
                return await client.chat("x")

        if kind is AsyncClient:
            answer = asyncio.run(asynchronously())
        else:
            with client, spare:
                answer = client.chat("x")
        assert (answer.text, server.exchanges) == ("Hi", 1)


@kinds
def test_names_and_clients_are_asked_in_their_order_and_what_a_client_falls_back_on_follows_it(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def noted(which: str) -> MockTransport:
        def refuse(request: Any) -> Reply:
            asked.append(f"{which} {request.provider}")
            return Reply(500)

        return MockTransport(refuse)

    inner = kind("gemini/m", api_key="k", transport=noted("inner"), fallback=["openai-responses/m"], retry=None)
    spare = kind("anthropic/m", api_key="k", transport=noted("spare"), fallback=["ollama/m", inner], retry=None)
    client = kind("openai/m", api_key="k", transport=noted("first"), fallback=["yqcloud", spare, "yqcloud"], retry=None)
    for one in (client, client.with_options(timeout=9), copy.copy(client)):
        asked.clear()
        with pytest.raises(APIError) as caught:
            outcome(one.chat("x"))
        assert asked == [
            *("first openai", "first yqcloud", "spare anthropic", "spare ollama"),
            *("inner gemini", "inner openai-responses", "first yqcloud"),
        ]
        assert len(caught.value.previous_errors) == 6


@kinds
def test_a_call_s_timeout_and_retries_hold_for_all_of_them(kind: Any) -> None:
    second = MockTransport(lambda _: Reply(chunks=[Delay(50), "x"]))
    spare = kind("anthropic/m", api_key="k", transport=second, timeout=100)
    client = kind("openai/m", api_key="k", transport=MockTransport(busy), fallback=[spare], retry=None)
    with pytest.raises(APITimeoutError) as caught:
        outcome(client.chat("x", timeout=5, retry=2))
    assert (caught.value.phase, caught.value.provider, len(second.requests)) == ("read", "anthropic", 2)


@kinds
def test_a_deadline_covers_all_of_them_whatever_clock_each_goes_by(kind: Any) -> None:
    first = MockTransport(lambda _: Reply(503, wait=4))
    second = MockTransport(lambda _: Reply(chunks=[Delay(7), "x"]))
    second.clock.advance(5e8)
    spare = kind("anthropic/m", api_key="k", transport=second, retry=None)
    client = kind("openai/m", api_key="k", transport=first, fallback=[spare], retry=None, timeout=Timeout(total=10))
    begun = second.clock.now
    with pytest.raises(APITimeoutError) as caught:
        outcome(client.chat("x"))
    assert (caught.value.phase, caught.value.provider) == ("total", "anthropic")
    assert second.clock.now - begun == pytest.approx(6)


@kinds
def test_what_no_client_can_fall_back_on_is_refused(kind: Any) -> None:
    other = next(one for one in KINDS if one is not kind)
    spare = kind("yqcloud", transport=MockTransport())
    mistakes: list[tuple[Any, str]] = [
        (spare, "must be a list of providers' names, or of clients"),
        ([3], r"fallback\[0\] must be a provider's name or a client, not int"),
        ([kind], r"fallback\[0\] must be a provider's name or a client"),
        (
            [other("yqcloud", transport=MockTransport())],
            rf"{kind.__name__} can ask only a {kind.__name__}\('yqcloud'\)",
        ),
    ]
    for fallback, reason in mistakes:
        with pytest.raises(ConfigurationError, match=reason) as caught:
            kind("openai/m", api_key="k", fallback=fallback)
        assert caught.value.argument == "fallback"
    first = MockTransport()
    client = kind("openai/m", api_key="k", transport=first, fallback=[spare])
    with pytest.raises(UnsupportedOptionError, match="yqcloud cannot carry"):
        outcome(client.chat("x", temperature=0))
    closed(spare)
    with pytest.raises(ConfigurationError, match=r"the client of yqcloud.* to fall back on is closed"):
        outcome(client.chat("x"))
    assert first.requests == []


@kinds
def test_it_is_pickled_with_the_client_and_without_its_key(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = kind("anthropic/m", api_key="sk-of-spare-0123", timeout=7)
    data = pickle.dumps(kind("openai/m", api_key="sk-of-first-0123", fallback=["yqcloud", spare]))
    assert b"0123" not in data
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "two")
    client = pickle.loads(data)
    with mock_clients(Reply(401), Reply(401), Reply.text("Hi")) as mock:
        assert outcome(client.chat("x")).provider == "anthropic"
    assert [request.provider for request in mock.requests] == ["openai", "yqcloud", "anthropic"]
    assert client._settings.fallbacks[1].settings.timeout.read == 7


def test_a_tool_loop_and_a_conversation_fall_back_as_well() -> None:
    def weather(city: str) -> str:
        """The weather."""
        return f"rain in {city}"

    second = MockTransport([Reply.tool_call("weather", city="Oslo"), Reply.text("Rain.")])
    spare = Client("anthropic/m", api_key="k", transport=second)
    client = Client("openai/m", api_key="k", transport=MockTransport(busy), fallback=[spare], retry=None)
    conversation = client.conversation()
    assert conversation.chat("x", tools=[weather], run_tools=True).text == "Rain."
    assert conversation.turns[0].provider == "anthropic"
    assert len(second.requests) == 2  # each turn asks the first provider first
    with pytest.raises(RateLimitError):
        Client("openai/m", api_key="k", transport=MockTransport(busy), retry=None).chat("x")
