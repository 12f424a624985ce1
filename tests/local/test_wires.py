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
# Short questions with short answers, as each token costs time: 8 ms in a prompt, 16 ms in an answer.
BRIEF = Message("system", "Be brief.")
FRANCE = [BRIEF, Message("user", "Capital of France?")]
"""At temperature 0: "The capital of France is Paris."."""
YES_OR_NO = [Message("system", "."), Message("user", "Yes or no?")]
"""At temperature 0: "Yes."."""
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}

pytestmark = [pytest.mark.local, needs_model]


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
    return client.chat(messages, **({"temperature": 0, "max_tokens": 30} | options))


def test_chat(client: Client) -> None:
    response = ask(client, YES_OR_NO)

    assert response.text == "Yes."
    assert (response.finish_reason, response.model) == ("stop", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (19, 3)
    assert response.id


def test_a_stream_brings_the_same_in_pieces(client: Client) -> None:
    with client.stream(YES_OR_NO, temperature=0) as stream:
        texts = [chunk.text for chunk in stream]

    assert list(filter(None, texts)) == ["Yes", "."]
    response = stream.response
    assert (response.text, response.finish_reason, response.model) == ("Yes.", "stop", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (19, 3)


async def test_so_does_the_asynchronous_client(wire: str, served: local.Endpoint) -> None:
    async with AsyncClient(wire, **address(wire, served)) as client:
        stream = client.stream(YES_OR_NO, temperature=0, max_tokens=60)
        texts = [chunk.text async for chunk in stream]

    assert list(filter(None, texts)) == ["Yes", "."]


def test_max_tokens_cut_the_answer(wire: str, client: Client) -> None:
    cut = ask(client, YES_OR_NO, max_tokens=1)
    with client.stream(YES_OR_NO, temperature=0, max_tokens=1) as stream:
        streamed = [chunk.text for chunk in stream]

    assert cut.text == "".join(streamed) == "Yes"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 1
    assert cut.finish_reason == stream.response.finish_reason == AT_THE_LIMIT.get(wire, "length")


@pytest.mark.parametrize("wire", WITH_STOP_WORDS, indirect=True)
def test_stop_words_end_the_answer(client: Client) -> None:
    response = ask(client, FRANCE, stop=[" France", "never said"])

    assert (response.text, response.finish_reason) == ("The capital of", "stop")


@pytest.mark.parametrize("wire", OBEYS_A_SCHEMA, indirect=True)
def test_a_schema_is_obeyed(client: Client) -> None:
    schema_format = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    response = ask(client, [BRIEF, Message("user", "Your age?")], extra={"response_format": schema_format})

    assert [(name, type(value)) for name, value in json.loads(response.text).items()] == [("age", int)]


@pytest.mark.parametrize("wire", ["openai-responses"], indirect=True)
def test_a_format_that_the_server_does_not_know_is_never_taken_for_kept(client: Client) -> None:
    with pytest.raises(StructuredOutputError) as caught:  # llama.cpp reads no text.format
        ask(client, YES_OR_NO, response_format=SCHEMA)

    assert caught.value.text == "Yes."


def test_what_was_said_before_counts(client: Client) -> None:
    conversation = client.conversation(".")
    conversation.chat("Yes or no?", temperature=0, max_tokens=1)
    second = conversation.chat("Why?", temperature=0, max_tokens=1)

    assert second.usage is not None
    assert (second.text, second.usage.input_tokens) == ("The", 33), "another prompt than on other wires"


def test_a_call_and_its_result_are_taken_as_history(client: Client) -> None:
    call = ToolCall("call_1", "weather", '{"city":"Oslo"}')
    messages = [
        *[Message("system", "."), Message("user", "Oslo?")],
        Message("assistant", None, tool_calls=[call]),
        Message("tool", "4 degrees", tool_call_id="call_1", name="weather"),
    ]
    response = ask(client, messages, max_tokens=1)

    assert response.usage is not None
    assert response.usage.input_tokens == 79, "another prompt than on other wires"


def test_a_prompt_that_is_too_long_is_refused(client: Client) -> None:
    with pytest.raises(BadRequestError, match="exceeds the available context size") as caught:
        ask(client, "hi " * 3000)

    assert not caught.value.retryable


def test_a_wrong_key_is_refused(wire: str, served: local.Endpoint) -> None:
    with Client(wire, **address(wire, served) | {"api_key": "wrong"}) as client, pytest.raises(AuthenticationError):
        ask(client, "Hi")


def test_the_models_are_listed(client: Client) -> None:
    assert client.models() == [MODEL]
