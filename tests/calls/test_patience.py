"""How long a call waits where nobody says it, and where somebody does: what a transport is given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmclients import APITimeoutError, AsyncClient, Client, Timeout
from llmclients.config.client import ClientSettings
from llmclients.providers.registry import find_provider, provider_names
from llmclients.testing import ConnectFault, Delay, MockTransport, Reply

ANSWER = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
EVENT = 'data: {"choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
FOUR = {"ylokh", "yqcloud", "yqcloud-legacy", "ai365vip"}


class Recorder:
    """A transport that takes down how long it may wait."""

    def __init__(self) -> None:
        self._mock = MockTransport(lambda _request: ConnectFault())
        self.clock = self._mock.clock
        self.given: list[Timeout] = []

    def open(self, request: Any, timeout: Timeout, deadline: float | None) -> Any:
        self.given.append(timeout)
        return self._mock.sync().open(request, timeout, deadline)

    def close(self) -> None:
        pass


class AsyncRecorder(Recorder):
    async def open(self, request: Any, timeout: Timeout, deadline: float | None) -> Any:
        self.given.append(timeout)
        return await self._mock.asynchronous().open(request, timeout, deadline)

    async def close(self) -> None:
        pass


def waits(provider: str, call: str, timeout: Any = None) -> Timeout:
    """What both clients' transports are given for a call."""
    options: dict[str, Any] = {"base_url": "http://server.test", "timeout": timeout, "retry": None}
    if find_provider(provider).default_model is None:
        options["model"] = "m"
    recorders = [Recorder(), AsyncRecorder()]
    client = Client(provider, transport=recorders[0], **options)

    async def call_awaited() -> None:
        other = AsyncClient(provider, transport=recorders[1], **options)
        if call == "stream":
            async for _ in other.stream("x"):
                pass
        elif call == "conversation":
            await other.conversation().chat("x")
        else:
            await (other.models() if call == "models" else other.chat("x"))

    for run in (
        {
            "chat": lambda: client.chat("x"),
            "stream": lambda: list(client.stream("x")),
            "models": client.models,
            "conversation": lambda: client.conversation().chat("x"),
        }[call],
        lambda: asyncio.run(call_awaited()),
    ):
        with pytest.raises(Exception, match="cannot connect"):
            run()
    [first], [second] = (recorder.given for recorder in recorders)
    assert first == second
    return first


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama", "groq", *sorted(FOUR)])
def test_a_plain_chat_waits_as_long_as_the_makers_clients_and_a_stream_two_minutes(provider: str) -> None:
    patience = 120 if provider in FOUR else 600

    assert waits(provider, "chat") == waits(provider, "conversation") == Timeout(10, patience, None, write=120)
    assert waits(provider, "stream") == Timeout(10, 120, None, write=120)


def test_of_all_providers_four_answer_within_two_minutes_or_not_at_all() -> None:
    assert {name for name in provider_names() if find_provider(name).chat_read_timeout != 600} == FOUR
    assert {find_provider(name).chat_read_timeout for name in FOUR} == {120}


def test_a_listing_does_not_think() -> None:
    assert waits("openai", "models").read == 120


@pytest.mark.parametrize("provider", ["openai", "yqcloud"])
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_who_says_how_long_is_obeyed(provider: str, call: str) -> None:
    assert waits(provider, call, 7) == Timeout(10, 7)
    assert waits(provider, call, Timeout(read=7, connect=3)) == Timeout(3, 7)
    assert waits(provider, call, Timeout(read=120)) == Timeout(10, 120)


def test_who_says_something_else_has_not_said_how_long() -> None:
    assert waits("openai", "chat", Timeout(total=900, connect=3)) == Timeout(3, 600, 900, write=120)
    assert waits("openai", "stream", Timeout(total=900, write=5)) == Timeout(10, 120, 900, write=5)


def test_a_provider_to_fall_back_on_has_its_own_patience() -> None:
    settings = ClientSettings.from_arguments("openai/m", api_key="k", fallback=["yqcloud"])

    assert (settings.chat_timeout.read, settings.fallbacks[0].settings.chat_timeout.read) == (600, 120)


def test_a_model_that_thinks_for_five_minutes_gets_to_answer_a_chat() -> None:
    mock = MockTransport([Reply(json=ANSWER, wait=300)])
    assert Client("openai/m", api_key="k", transport=mock).chat("x").text == "Hi."
    assert len(mock.requests) == 1

    mock = MockTransport([Reply(chunks=[Delay(300), EVENT])])
    with pytest.raises(APITimeoutError) as caught:
        list(Client("openai/m", api_key="k", transport=mock, retry=None).stream("x"))
    assert caught.value.phase == "read"
