"""OpenAI's own SDK as the client of a running relay: streamed chat completions, failures, access, models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scripted import Scripted, failing, scripted_relay
from sdks import openai, openai_sdk
from test_relay_sdk_openai import HI, TOKENS, WEATHER

from llmclients.transports.mock import Cut, Reply
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta, Usage


@pytest.fixture(scope="module")
def _relay() -> Iterator[tuple[openai.OpenAI, Scripted]]:
    with scripted_relay() as (url, script), openai_sdk(url) as client:
        yield client, script


@pytest.fixture
def client(_relay: Any) -> openai.OpenAI:
    return _relay[0]


@pytest.fixture
def script(_relay: Any) -> Scripted:
    script: Scripted = _relay[1]
    script.__init__()  # type: ignore[misc]
    return script


def test_a_stream(client: openai.OpenAI, script: Scripted) -> None:
    script.streams(
        Chunk(role="assistant", model="s-9"),
        Chunk(text="Hé", logprobs=TOKENS),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="weather")]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='{"city":"Oslo"}')]),
        Chunk(tool_calls=[ToolCallDelta(index=1, id="b", name="clock", arguments="{")]),
        Chunk(tool_calls=[ToolCallDelta(index=1, arguments="}")]),
        Chunk(finish_reason="tool_calls", usage=Usage(input_tokens=7, output_tokens=3, total_tokens=10)),
    )
    with client.chat.completions.stream(
        model="m", messages=HI, tools=[WEATHER], stream_options={"include_usage": True}
    ) as stream:
        found = stream.get_final_completion()
    choice = found.choices[0]
    assert (choice.message.content, choice.finish_reason, found.model) == ("Hé", "tool_calls", "s-9")
    assert [(call.id, call.function.arguments) for call in choice.message.tool_calls or ()] == [
        ("a", '{"city":"Oslo"}'),
        ("b", "{}"),
    ]
    assert choice.logprobs is not None
    assert [token.token for token in choice.logprobs.content or ()] == ["Hé"]
    assert found.usage is not None
    assert found.usage.total_tokens == 10
    plain = list(client.chat.completions.create(model="m", messages=HI, stream=True))
    assert all(chunk.usage is None for chunk in plain)


@pytest.mark.parametrize(
    "pieces",
    [
        [Chunk(text="Hel"), Cut()],
        [Chunk(text="Hel"), Chunk(finish_reason="stop")],
        [Chunk(text="Hel"), failing(529, "busy")],
    ],
)
def test_an_answer_that_breaks_off_is_an_error(client: openai.OpenAI, script: Scripted, pieces: list[Any]) -> None:
    script.answer = pieces
    chunks: list[Any] = []
    with pytest.raises(openai.APIError, match="scripted"):
        chunks.extend(client.chat.completions.create(model="m", messages=HI, stream=True))
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None]


def test_the_pieces_of_a_call_wait_for_its_id_and_name(client: openai.OpenAI, script: Scripted) -> None:
    script.streams(
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='{"city":')]),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="weather", arguments='"Oslo"')]),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="weather", arguments="}")]),
        Chunk(tool_calls=[ToolCallDelta(index=1, name="clock", arguments="{}")]),  # no id ever comes
        Chunk(finish_reason="tool_calls"),
    )
    found: list[Any] = [
        call
        for chunk in client.chat.completions.create(model="m", messages=HI, stream=True)
        for call in chunk.choices[0].delta.tool_calls or ()
    ]
    assert [(call.index, call.id, call.function.name, call.function.arguments) for call in found] == [
        (0, "a", "weather", '{"city":"Oslo"'),
        (0, None, None, "}"),
        (1, "call_1", "clock", "{}"),
    ]


def test_signed_reasoning_passes_through_unchanged(client: openai.OpenAI, script: Scripted) -> None:
    details = [{"type": "reasoning.encrypted", "data": "xx"}]
    provider_data = {"openai": {"reasoning_details": details}}
    script.answer = ChatResponse(text="Hello", finish_reason="stop", provider_data=provider_data)
    message: Any = client.chat.completions.create(model="m", messages=HI).choices[0].message
    assert message.model_extra == {"reasoning_details": details}
    script.streams(Chunk(text="Hello"), Chunk(finish_reason="stop", provider_data=provider_data))
    deltas: list[Any] = [
        chunk.choices[0].delta.model_extra
        for chunk in client.chat.completions.create(model="m", messages=HI, stream=True)
    ]
    assert {"reasoning_details": details} in deltas
    script.answer = ChatResponse(text="Hello", finish_reason="stop")
    client.chat.completions.create(model="m", messages=[*HI, message, *HI])
    assert script.asked["messages"][1] == {"role": "assistant", "content": "Hello", "provider_data": provider_data}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (529, "InternalServerError"),
    ],
)
def test_every_status_is_the_sdks_class(client: openai.OpenAI, script: Scripted, status: int, name: str) -> None:
    class_ = getattr(openai, name)
    script.answer = Reply(status, json={"error": {"message": "no", "code": "c"}}, headers={"x-request-id": "req_7"})
    asks: list[Any] = [
        lambda stream: client.chat.completions.create(model="m", messages=HI, stream=stream),
        lambda stream: client.responses.create(model="m", input="Hi", stream=stream),
    ]
    for ask in asks:
        for stream in (False, True):
            with pytest.raises(class_) as caught:
                ask(stream)
            assert (type(caught.value), caught.value.code, caught.value.request_id) == (class_, "c", "req_7")


def test_the_key_is_taken_and_models_have_this_wires_form() -> None:
    with scripted_relay(api_key="sesame") as (url, script):
        with openai_sdk(url, api_key="sesame") as client:
            assert [model.id for model in client.models.list()] == ["s-1", "s-2"]
            script.answer = ChatResponse(text="Hello", finish_reason="stop")
            assert client.responses.create(model="m", input="Hi").output_text == "Hello"
        with openai_sdk(url, "/v1", api_key="sesame") as client:
            assert client.responses.create(model="m", input="Hi").output_text == "Hello"
        with openai_sdk(url) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
