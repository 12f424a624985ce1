"""The codecs against a real server: llama.cpp, the embedded model's engine, speaks several wires at one address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmclients import AsyncClient, Client
from llmclients.errors import AuthenticationError, BadRequestError, StructuredOutputError
from llmclients.local import engine as local
from llmclients.providers.registry import find_provider
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse
from tests.local.localtools import needs_model

# A wire is added here, and in the tables below if it says something else there.
WIRES = ("openai", "openai-responses", "anthropic")
ABOVE_V1 = ("anthropic",)
"""Whose paths begin with `/v1` themselves."""
AT_THE_LIMIT = {"openai-responses": "stop"}
"""What it says at `max_tokens`, if not `length`: to llama.cpp every response is `completed`."""
OBEYS_A_SCHEMA = ("openai", "openai-responses")
"""Where llama.cpp does what `response_format` says, under chat completions' name for it."""
WITH_STOP_WORDS = [wire for wire in WIRES if "stop" in find_provider(wire).load_codec().fields]

MODEL = "SmolLM2-135M-Instruct"
FRANCE = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

pytestmark = [pytest.mark.local, needs_model]


@pytest.fixture(scope="module")
def served() -> Iterator[local.Endpoint]:
    yield local.endpoint()
    local.shutdown()


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def address(wire: str, served: local.Endpoint) -> dict[str, Any]:
    base_url = served.base_url.removesuffix("/v1") if wire in ABOVE_V1 else served.base_url
    return {"base_url": base_url, "api_key": served.api_key, "model": MODEL}


@pytest.fixture
def client(wire: str, served: local.Endpoint) -> Iterator[Client]:
    with Client(wire, **address(wire, served)) as client:
        yield client


def ask(client: Client, messages: Any, **options: Any) -> ChatResponse:
    return client.chat(messages, **({"temperature": 0, "max_tokens": 60} | options))


def test_chat(client: Client) -> None:
    response = ask(client, FRANCE)

    assert response.text == "The capital of France is Paris."
    assert (response.finish_reason, response.model) == ("stop", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (24, 8)
    assert response.id


def test_a_stream_brings_the_same_in_pieces(client: Client) -> None:
    with client.stream(FRANCE, temperature=0, max_tokens=60) as stream:
        texts = [chunk.text for chunk in stream]

    assert len(list(filter(None, texts))) == 7
    assert "".join(texts) == "The capital of France is Paris."
    response = stream.response
    assert (response.text, response.finish_reason, response.model) == ("".join(texts), "stop", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (24, 8)


async def test_so_does_the_asynchronous_client(wire: str, served: local.Endpoint) -> None:
    async with AsyncClient(wire, **address(wire, served)) as client:
        stream = client.stream(FRANCE, temperature=0, max_tokens=60)
        texts = [chunk.text async for chunk in stream]

    assert "".join(texts) == "The capital of France is Paris."


def test_max_tokens_cut_the_answer(wire: str, client: Client) -> None:
    cut = ask(client, FRANCE, max_tokens=4)
    with client.stream(FRANCE, temperature=0, max_tokens=4) as stream:
        streamed = [chunk.text for chunk in stream]

    assert cut.text == "".join(streamed) == "The capital of France"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 4
    assert cut.finish_reason == stream.response.finish_reason == AT_THE_LIMIT.get(wire, "length")


@pytest.mark.parametrize("wire", WITH_STOP_WORDS, indirect=True)
def test_stop_words_end_the_answer(client: Client) -> None:
    response = ask(client, FRANCE, stop=[" Paris", "never said"])

    assert (response.text, response.finish_reason) == ("The capital of France is", "stop")


@pytest.mark.parametrize("wire", OBEYS_A_SCHEMA, indirect=True)
def test_a_schema_is_obeyed(client: Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    response = ask(client, "Describe a person.", max_tokens=200, extra={"response_format": form})

    person = json.loads(response.text)
    assert {name: type(value) for name, value in person.items()} == {"name": str, "age": int}


@pytest.mark.parametrize("wire", ["openai-responses"], indirect=True)
def test_a_format_that_the_server_does_not_know_is_never_taken_for_kept(client: Client) -> None:
    with pytest.raises(StructuredOutputError) as caught:  # llama.cpp reads no text.format
        ask(client, FRANCE, response_format=SCHEMA)

    assert caught.value.text == "The capital of France is Paris."


def test_what_was_said_before_counts(wire: str, client: Client, served: local.Endpoint) -> None:
    conversation = client.conversation("Be brief.")
    first = conversation.chat("What is the capital of France?", temperature=0, max_tokens=20)
    second = conversation.chat("And of Italy?", temperature=0, max_tokens=8)

    assert first.text == "The capital of France is Paris."
    with Client("openai", **address("openai", served)) as other:  # the same words make the same answer
        assert ask(other, conversation.messages[:-1], max_tokens=8).text == second.text


def test_a_call_and_its_result_are_taken_as_history(client: Client) -> None:
    call = ToolCall("call_1", "weather", '{"city":"Oslo"}')
    messages = [
        Message("user", "How warm is it in Oslo?"),
        Message("assistant", None, tool_calls=[call]),
        Message("tool", "4 degrees", tool_call_id="call_1", name="weather"),
    ]

    assert "4 degrees" in ask(client, messages).text


def test_a_prompt_that_is_too_long_is_refused(client: Client) -> None:
    with pytest.raises(BadRequestError, match="exceeds the available context size") as caught:
        ask(client, "hi " * 3000)

    assert not caught.value.retryable


def test_a_wrong_key_is_refused(wire: str, served: local.Endpoint) -> None:
    with Client(wire, **address(wire, served) | {"api_key": "wrong"}) as client, pytest.raises(AuthenticationError):
        ask(client, "Hi")


def test_the_models_are_listed(client: Client) -> None:
    assert client.models() == [MODEL]
