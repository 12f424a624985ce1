"""What the relay asks its upstream: options that the provider cannot carry, its model, and everything parsed once."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from relaytools import HI, post, upstream_client
from scripted import Scripted, ScriptedCodec

from llmclients import AsyncClient, errors, provider_names
from llmclients.providers import registry
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, register_provider
from llmclients.relay import RelayServer
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.base import Model
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk
from llmclients.types.tools import Tool


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that a test registers ends with it."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


REQUEST_FIELDS = set(ChatRequest.model_fields) - {"messages", "model", "extra"}
SAMPLES: dict[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "max_tokens": 2000,
    "stop": "END",
    "seed": 7,
    "presence_penalty": 0,
    "tools": [Tool("weather")],
    "logprobs": True,
    "allow_fallback": True,
}


# --- options ----------------------------------------------------------------------------------------------------------


def client_of(provider: str, **arguments: Any) -> AsyncClient:
    key = {} if provider == "local" else {"api_key": "k", "base_url": "http://host"}
    return AsyncClient(provider, transport=MockTransport([]), **key, **arguments)


def test_settings_know_without_trying_which_options_a_call_can_have(subtests: pytest.Subtests) -> None:
    for provider in provider_names():
        with subtests.test(provider):
            client = client_of(provider)
            options = REQUEST_FIELDS | client._settings.codec.options.model_fields.keys()
            carried, rejected = set(), set()
            for option in options:
                try:
                    client.stream("Hi", model="m", **{option: object()})
                except errors.UnsupportedOptionError:
                    rejected.add(option)
                except errors.ConfigurationError:  # the value is wrong, or the model: not the option
                    carried.add(option)
            assert {option for option in options if client._settings.carries(option)} == carried
            assert carried | rejected == options
            assert not client._settings.carries("surprise")


@pytest.mark.parametrize("fallback", ["openai", "anthropic", "yqcloud", "ai365vip"])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ylokh", "yqcloud"])
def test_a_call_can_have_an_option_if_the_fallbacks_have_it_too(
    provider: str, fallback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "k")
    register_provider(Provider("other", find_provider(fallback).load_codec(), "http://other", default_model="m"))
    client = client_of(provider, model="gpt-4" if provider == "yqcloud" else "m", fallback=["other"])
    for option, value in SAMPLES.items():
        expected = contextlib.nullcontext() if client._settings.carries(option) else rejected(option)
        with expected:
            client.stream("Hi", **{option: value})


@contextlib.contextmanager
def rejected(option: str) -> Iterator[None]:
    with pytest.raises(errors.UnsupportedOptionError) as caught:
        yield
    assert caught.value.argument == option


def test_what_a_fallback_cannot_carry_is_left_out_for_all_unless_it_was_chosen() -> None:
    mock = MockTransport(lambda request: Reply(503) if "/v1/" in request.url else Reply(body="text"))
    with RelayServer(upstream_client(mock, fallback=["yqcloud"])) as relay:
        assert post(relay.url, "ylokh", {"messages": HI, "temperature": 1, "allow_fallback": True}).status == 200
        first, second = (json.loads(request.body) for request in mock.requests)
        assert first.keys() == {"model", "messages", "stream", "stream_options"}
        assert second["prompt"] == "Hi"
        for chosen in ({"temperature": 0.5}, {"seed": 7}):
            answer = post(relay.url, "ylokh", {"messages": HI, **chosen})
            assert (answer.status, answer.json["error"]["param"]) == (400, *chosen)
        assert len(mock.requests) == 2


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "default_model", "asked"),
    [
        ("listed", None, "listed"),
        ("alias", None, "listed"),
        (None, "listed", "listed"),
        (None, None, "gpt-3.5-turbo"),
        ("unlisted", "listed", "gpt-3.5-turbo"),
    ],
)
def test_a_model_that_nobody_chose_is_asked_for_only_if_the_client_has_no_usable_one(
    model: str | None, default_model: str | None, asked: str
) -> None:
    register_provider(
        Provider(
            "picky",
            ScriptedCodec(),
            "http://picky",
            models=("listed", "gpt-3.5-turbo"),
            model_aliases={"alias": "listed"},
            default_model=default_model,
            only_listed_models=True,
        )
    )
    script = Scripted()
    script.streams(Chunk(text="x", finish_reason="stop"))
    client = AsyncClient("picky", model=model, transport=MockTransport(script), retry=None)
    with RelayServer(client) as relay:
        assert post(relay.url, "ai365vip").status == 200
        assert script.asked["model"] == asked
        # Chosen, it is asked for as it is.
        assert post(relay.url, "ai365vip", {"messages": HI, "model": {"id": "gpt-4o"}}).status == 400


# --- parsed once ------------------------------------------------------------------------------------------------------

FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
ANSWER = {"type": "object", "properties": {"city": {"type": "string"}}}
REQUESTS: dict[str, dict[str, Any]] = {
    "openai": {
        "messages": [*HI, {"role": "assistant", "content": "A"}, *HI],
        "tools": [{"type": "function", "function": FUNCTION}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": ANSWER}},
    },
    "openai-responses": {
        "input": [*HI, {"role": "assistant", "content": "A"}, *HI],
        "tools": [{"type": "function", **FUNCTION}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": ANSWER}},
    },
    "anthropic": {
        "max_tokens": 9,
        "messages": [*HI, {"role": "assistant", "content": "A"}, *HI],
        "tools": [{"name": "weather", "input_schema": FUNCTION["parameters"]}],
        "output_config": {"format": {"type": "json_schema", "schema": ANSWER}},
    },
}


@pytest.mark.parametrize("wire", REQUESTS)
@pytest.mark.parametrize("stream", [True, False])
def test_every_message_tool_and_response_format_is_parsed_once(
    wire: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_provider(Provider("scripted", ScriptedCodec(), "http://scripted", default_model="s-1"))
    script = Scripted()
    if stream:
        script.streams(Chunk(text="x", finish_reason="stop"))
    parsed: Counter[str] = Counter()
    init = Model.__init__

    def count(self: Model, *values: Any, **fields: Any) -> None:
        parsed[type(self).__name__] += 1
        init(self, *values, **fields)

    monkeypatch.setattr(Model, "__init__", count)  # pydantic calls it, too
    with RelayServer(AsyncClient("scripted", transport=MockTransport(script), retry=None)) as relay:
        assert post(relay.url, wire, {**REQUESTS[wire], "stream": stream}).status == 200
    assert [message["content"] for message in script.asked["messages"]] == ["Hi", "A", "Hi"]
    assert script.asked["tools"][0]["name"] == "weather"
    assert script.asked["response_format"]["json_schema"] == ANSWER
    assert (parsed["Message"], parsed["Tool"], parsed["UncheckedFormat"], parsed["ResponseFormat"]) == (3, 1, 1, 0)
