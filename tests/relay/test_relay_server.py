"""The relay over real sockets, in front of scripted providers: what comes back, and what goes upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from relaytools import (
    BODY,
    DONE,
    HI,
    PATH,
    PREFIX,
    PROVIDERS,
    RAW_TEXT,
    WIRES,
    SlowProvider,
    client_of,
    open_post,
    post,
    relay_over,
    send,
)

from llmclients import AsyncClient, Client
from llmclients.relay import RelayServer
from llmclients.transports.mock import Reply


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A relay over a provider that always says the same."""
    with relay_over() as (relay, _):
        yield relay.url


# --- every wire, both clients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_sync_client_is_answered_through_every_wire(url: str, provider: str) -> None:
    with Client(**client_of(url, provider)) as client:
        assert client.chat("Hi").text == "Hello 😀"
        with client.stream("Hi") as stream:
            texts = [str(chunk) for chunk in stream]
        assert "".join(texts) == stream.response.text == "Hello 😀"
        assert stream.response.finish_reason == "stop"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_async_client_is_answered_through_every_wire(url: str, provider: str) -> None:
    async with AsyncClient(**client_of(url, provider)) as client:
        assert (await client.chat("Hi")).text == "Hello 😀"
        async with client.stream("Hi") as stream:
            texts = [str(chunk) async for chunk in stream]
        assert "".join(texts) == stream.response.text == "Hello 😀"
        assert stream.response.finish_reason == "stop"


def test_usage_and_model_come_through_chat_completions(url: str) -> None:
    with Client(**client_of(url, "openai")) as client:
        for response in (client.chat("Hi"), [stream := client.stream("Hi"), list(stream)] and stream.response):
            assert response.usage is not None
            assert (response.usage.input_tokens, response.usage.total_tokens) == (3, 5)
            assert response.model == "up-1"
            assert response.request_id == response.id
        assert client.models() == ["up-1", "up-2"]


def test_unprefixed_paths_belong_to_a_wire(url: str) -> None:
    assert send(url, "/v1/chat/completions", {"messages": HI}).json["object"] == "chat.completion"
    assert [entry["id"] for entry in send(url, "/v1/models", method="GET").json["data"]] == ["up-1", "up-2"]
    assert send(url, "/api/chat", BODY["ai365vip"]).body == "Hello 😀".encode()
    # Only the current generation has a reply that is not streamed.
    plain = {"prompt": "Hi", "stream": False}
    assert "content-length" in send(url, "/api/generateStream", plain, {"User-Agent": "Mozilla/5.0"}).headers
    assert "content-length" not in send(url, "/api/generateStream", plain).headers
    with Client("yqcloud", base_url=url) as client:
        assert client.chat("Hi").text == "Hello 😀"


# --- bytes ------------------------------------------------------------------------------------------------------------

CHUNK = b'data: {"id":"ID","object":"chat.completion.chunk","created":0,"model":"up-1","choices":[{"index":0,"delta":'
OPEN = b',"logprobs":null,"finish_reason":null}]}\n\n'
EVENTS = (
    CHUNK
    + b'{"role":"assistant","content":""}'
    + OPEN
    + CHUNK
    + b'{"content":"Hel"}'
    + OPEN
    + CHUNK
    + '{"content":"lo 😀"}'.encode()
    + OPEN
)
FINISH = CHUNK + b'{},"logprobs":null,"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_streamed_reply_byte_for_byte(url: str, provider: str) -> None:
    answer = post(url, provider)
    assert answer.status == 200
    assert answer.body == ("Hello 😀".encode() if provider in RAW_TEXT else EVENTS + FINISH + DONE)
    media_type = "text/plain" if provider in RAW_TEXT else "text/event-stream"
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "server" not in answer.headers


def test_a_whole_reply_byte_for_byte(url: str) -> None:
    expected = (
        '{"id":"ID","object":"chat.completion","created":0,"model":"up-1","choices":[{"index":0,"message":{"role":"assistant",'
        '"content":"Hello 😀"},"logprobs":null,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
    ).encode()
    for name in ("openai", "ylokh"):
        assert post(url, name, {"messages": HI, "stream": False}).body == expected
    assert post(url, "yqcloud", {"prompt": "Hi", "stream": False}).body == "Hello 😀".encode()


@pytest.mark.parametrize("provider", WIRES)
def test_each_piece_goes_out_at_once(provider: str) -> None:
    with (
        SlowProvider() as upstream,
        RelayServer(AsyncClient("openai/m", base_url=upstream.base_url, api_key="k", trust_env=False)) as relay,
        open_post(relay.url, PREFIX[provider] + PATH[provider], BODY[provider]) as connection,
    ):
        data = b""
        for word in (b"w1 ", b"w2 ", b"w3 "):
            upstream.go()
            while word not in data:
                piece = connection.recv(65536)
                assert piece
                data += piece


# --- what goes upstream -----------------------------------------------------------------------------------------------


def test_options_and_model_go_upstream() -> None:
    with relay_over() as (relay, mock):
        options = {
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["x"],
            "seed": 7,
            "presence_penalty": 1,
            "frequency_penalty": 2,
        }
        post(relay.url, "openai", {"messages": HI, "model": "asked", "max_completion_tokens": 9, **options})
        assert json.loads(mock.requests[-1].body) == {
            "model": "asked",
            "messages": HI,
            "max_tokens": 9,
            **options,
            "stream": False,
        }
        post(relay.url, "ylokh", {"messages": HI, "model": "gpt-3.5-turbo", "allow_fallback": True, "temperature": 1})
        sent = json.loads(mock.requests[-1].body)
        assert (sent["model"], sent["temperature"]) == ("up-1", 1)  # a model that nobody chose
        assert "allow_fallback" not in sent
        post(relay.url, "ylokh", {"messages": HI, "model": "gpt-4"})
        assert json.loads(mock.requests[-1].body)["model"] == "gpt-4"


def test_a_droppable_model_is_asked_for_where_the_provider_has_none() -> None:
    with relay_over(provider="openai") as (relay, mock):
        post(relay.url, "ai365vip")
        assert json.loads(mock.requests[-1].body)["model"] == "gpt-3.5-turbo"
        answer = post(relay.url, "yqcloud")  # that wire names no model
        assert answer.status == 400
        assert "needs a model" in answer.json["message"]


def test_defaults_count_more_than_droppable_options_and_less_than_a_choice() -> None:
    with relay_over(defaults={"max_tokens": 64, "temperature": 0}) as (relay, mock):
        for provider, more, temperature in (
            ("yqcloud", {}, 0),
            ("ai365vip", {"temperature": 1}, 0),
            ("ylokh", {"temperature": 1}, 0),
            ("ylokh", {"temperature": 0.7}, 0.7),
            ("openai", {"temperature": 1}, 1),
        ):
            post(relay.url, provider, {**BODY[provider], **more})
            sent = json.loads(mock.requests[-1].body)
            assert (sent["max_tokens"], sent["temperature"]) == (64, temperature), provider
        post(relay.url, "openai", {"messages": HI, "max_tokens": 5})
        assert json.loads(mock.requests[-1].body)["max_tokens"] == 5


@pytest.mark.parametrize("provider", ["ylokh", "yqcloud", "yqcloud-legacy", "ai365vip"])
def test_droppable_options_do_not_trouble_a_provider_that_cannot_carry_them(provider: str) -> None:
    with relay_over(lambda request: Reply(body="text"), "yqcloud") as (relay, mock):
        with Client(**client_of(relay.url, provider)) as client:
            assert client.chat("Hi").text == "text"
        assert json.loads(mock.requests[0].body)["prompt"]


def test_a_choice_that_the_provider_cannot_carry_is_rejected() -> None:
    with relay_over(lambda request: Reply(body="text"), "yqcloud") as (relay, mock):
        for name, body in (("openai", {"temperature": 1}), ("ylokh", {"temperature": 0.5})):
            answer = post(relay.url, name, {"messages": HI, **body})
            assert answer.status == 400
            assert answer.json["error"]["param"] == "temperature"
            assert answer.json["error"]["code"] == "unsupported_parameter"
        answer = post(relay.url, "openai", {"messages": HI, "model": "no-such"})
        assert (answer.status, answer.json["error"]["param"]) == (400, "model")
        assert not mock.requests


def test_yqclouds_droppable_options_reach_a_provider_that_knows_them() -> None:
    with relay_over(lambda request: Reply(body="text"), "yqcloud") as (relay, mock):
        post(relay.url, "yqcloud", {"prompt": "Hi", "network": False, "system": "S"})
        sent = json.loads(mock.requests[0].body)
        assert (sent["network"], sent["system"], sent["prompt"]) == (False, "S", "Hi")


def test_a_conversation_reaches_the_provider_as_messages() -> None:
    with relay_over() as (relay, mock), Client(**client_of(relay.url, "yqcloud")) as client:
        conversation = client.conversation("S")
        conversation.chat("Q1")
        conversation.chat("Q2")
        roles = [(message["role"], message["content"]) for message in json.loads(mock.requests[1].body)["messages"]]
        assert roles == [("system", "S"), ("user", "Q1"), ("assistant", "Hello 😀"), ("user", "Q2")]
