"""The codecs against a real server: llama.cpp, the embedded model's engine, speaks several wires at one address."""

from __future__ import annotations

import json
import re
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
# Short, as each token costs time. What an answer says is the model's in the first test alone: all others have small weights
# (smallweights.py), and look what the wires make of the same prompts and answers.
YES_OR_NO = [Message("system", "."), Message("user", "Yes or no?")]
PROMPT_TOKENS = {"model": 19, "small": 22}
HISTORIES = {
    39: [*YES_OR_NO, Message("assistant", "Yes"), Message("user", "Why?")],
    105: [
        *[Message("system", "."), Message("user", "Oslo?")],
        Message("assistant", None, tool_calls=[ToolCall("call_1", "weather", '{"city":"Oslo"}')]),
        Message("tool", "4 degrees", tool_call_id="call_1", name="weather"),
    ],
}
"""By the tokens that their prompts come to, by the small vocabulary."""
SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["age"],
}

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


def test_the_model_answers(wire: str) -> None:
    with Client(wire, **address(wire, local.endpoint())) as client:
        response = ask(client, YES_OR_NO)

    assert response.text == "Yes."
    assert (response.finish_reason, response.model) == ("stop", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (PROMPT_TOKENS["model"], 3)
    assert response.id


async def test_a_stream_awaited_or_not_brings_the_same_in_pieces_and_max_tokens_cut_all(
    wire: str, client: Client, served: local.Endpoint
) -> None:
    options: Any = {"temperature": 0, "max_tokens": 12}
    whole = client.chat(YES_OR_NO, **options)
    with client.stream(YES_OR_NO, **options) as stream:
        texts = [chunk.text for chunk in stream]
    async with AsyncClient(wire, **address(wire, served)) as awaited:
        other = awaited.stream(YES_OR_NO, **options)
        assert [chunk.text async for chunk in other] == texts

    assert len(list(filter(None, texts))) > 2
    assert "".join(texts) == whole.text
    for response in (whole, stream.response, other.response):
        assert (response.text, response.model) == (whole.text, MODEL)
        assert response.finish_reason == AT_THE_LIMIT.get(wire, "length")
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens) == (PROMPT_TOKENS["small"], 12)


@pytest.mark.parametrize("wire", WITH_STOP_WORDS, indirect=True)
def test_stop_words_end_the_answer(client: Client) -> None:
    whole = ask(client, YES_OR_NO).text
    stop = max(re.findall("[a-z]+", whole), key=len)
    response = ask(client, YES_OR_NO, stop=[stop, "never said"])

    assert (response.text, response.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize("wire", OBEYS_A_SCHEMA, indirect=True)
def test_a_schema_is_obeyed(client: Client) -> None:
    schema_format = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    response = ask(client, YES_OR_NO, max_tokens=100, extra={"response_format": schema_format})

    assert [(name, type(value)) for name, value in json.loads(response.text).items()] == [("age", int)]


@pytest.mark.parametrize("wire", ["openai-responses"], indirect=True)
def test_a_format_that_the_server_does_not_know_is_never_taken_for_kept(client: Client) -> None:
    with pytest.raises(StructuredOutputError) as caught:  # llama.cpp reads no text.format
        ask(client, YES_OR_NO, max_tokens=5, response_format=SCHEMA)

    assert caught.value.text == ask(client, YES_OR_NO, max_tokens=5).text


def test_what_was_said_before_is_the_same_prompt_on_each_wire(served: local.Endpoint) -> None:
    for tokens, history in HISTORIES.items():
        answers = set()
        for wire in WIRES:
            with Client(wire, **address(wire, served)) as client:
                response = ask(client, history, max_tokens=3)
            assert response.usage is not None
            answers.add((response.usage.input_tokens, response.text))
        assert [found for found, _ in answers] == [tokens], answers


def test_a_prompt_that_is_too_long_is_refused(client: Client) -> None:
    with pytest.raises(BadRequestError, match="exceeds the available context size") as caught:
        ask(client, "hi " * 3000)

    assert not caught.value.retryable


def test_a_wrong_key_is_refused(wire: str, served: local.Endpoint) -> None:
    with Client(wire, **address(wire, served) | {"api_key": "wrong"}) as client, pytest.raises(AuthenticationError):
        ask(client, "Hi")


def test_the_models_are_listed(client: Client) -> None:
    assert client.models() == [MODEL]
