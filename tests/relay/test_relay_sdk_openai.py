"""OpenAI's own SDK as the client of a running relay: chat completions, in front of a provider that carries everything."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from scripted import Scripted, scripted_relay
from sdks import openai, openai_sdk

from llmclients.codecs.base import CodecOptions
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, TokenLogprob, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "How warm it is", "parameters": SCHEMA, "strict": True},
}
TOOL = {"name": "weather", "description": "How warm it is", "parameters": SCHEMA, "strict": True}
CALL = ToolCall("call_1", "weather", '{"city":"Oslo"}')
PNG_URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 8).decode()
WAV_64 = base64.b64encode(b"RIFF0000WAVE").decode()
TOKENS = [TokenLogprob(token="Hé", logprob=-0.5, top=[TokenLogprob(token="\ufffd", logprob=-1.5)])]


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


def test_all_that_the_wire_has_reaches_the_provider(client: openai.OpenAI, script: Scripted) -> None:
    client.chat.completions.create(
        model="asked",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": WAV_64, "format": "wav"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": "Why?"},
        ],
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "where", "schema": SCHEMA, "strict": True, "description": "a city"},
        },
        max_completion_tokens=9,
        reasoning_effort="low",
        logprobs=True,
        top_logprobs=2,
        seed=7,
        stop=["END"],
        verbosity="low",
        logit_bias={"7": -100},
        user="u",
        store=True,
        metadata={"a": "b"},
    )
    assert script.codec_options == {}
    assert script.asked == {
        "model": "asked",
        "verbosity": "low",
        "logit_bias": {"7": -100},
        "stream": False,
        "max_tokens": 9,
        "reasoning_effort": "low",
        "seed": 7,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [TOOL],
        "tool_choice": "weather",
        "parallel_tool_calls": False,
        "response_format": {"name": "where", "json_schema": SCHEMA, "strict": True, "description": "a city"},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "data": PNG_URL.partition(",")[2], "media_type": "image/png", "detail": "low"},
                    {"type": "audio", "data": WAV_64, "media_type": "audio/wav"},
                    {"type": "file", "data": "JVBERi0=", "media_type": "application/pdf", "name": "a.pdf"},
                ],
            },
            {"role": "assistant", "tool_calls": [{"id": "call_1", "name": "weather", "arguments": "{}"}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"},
            {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
            {"role": "user", "content": "Why?"},
        ],
    }


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_the_words_for_a_choice_of_tools(client: openai.OpenAI, script: Scripted, choice: Any) -> None:
    client.chat.completions.create(model="m", messages=HI, tools=[WEATHER], tool_choice=choice)
    assert script.asked["tool_choice"] == choice


class Answer(BaseModel):
    city: str


def test_structured_output_is_asked_for_and_read(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(text='{"city":"Oslo"}', finish_reason="stop")
    found = client.chat.completions.parse(model="m", messages=HI, response_format=Answer)
    assert found.choices[0].message.parsed == Answer(city="Oslo")
    assert script.asked["response_format"]["name"] == "Answer"
    assert script.asked["response_format"]["strict"] is True
    # Whether it is what was asked for is for the client to find: the relay passes on what comes.
    script.answer = ChatResponse(text="no JSON", finish_reason="stop")
    loose = client.chat.completions.create(model="m", messages=HI, response_format={"type": "json_object"})
    assert loose.choices[0].message.content == "no JSON"
    assert script.asked["response_format"] == {"name": "answer"}
    script.streams(Chunk(text="no JSON"), Chunk(finish_reason="stop"))
    with client.chat.completions.stream(model="m", messages=HI, response_format={"type": "json_object"}) as stream:
        assert stream.get_final_completion().choices[0].message.content == "no JSON"


def test_what_asks_for_nothing_special_gives_way_and_the_rest_is_rejected() -> None:
    with scripted_relay(frozenset({"tools"}), CodecOptions) as (url, script), openai_sdk(url) as client:
        create: Any = client.chat.completions.create
        create(model="m", messages=HI, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=True)
        create(model="m", messages=HI, tool_choice="none", parallel_tool_calls=False)
        create(model="m", messages=HI, logprobs=False, verbosity="medium", response_format={"type": "text"})
        script.asked = {}
        for name, choice in (
            ("tool_choice", {"tools": [WEATHER], "tool_choice": "required"}),
            ("parallel_tool_calls", {"tools": [WEATHER], "parallel_tool_calls": False}),
            ("response_format", {"response_format": {"type": "json_object"}}),
            ("logprobs", {"logprobs": True}),
            ("verbosity", {"verbosity": "low"}),
            ("logit_bias", {"logit_bias": {"7": -100}}),
            ("n", {"n": 2}),
            ("audio", {"audio": {"voice": "a", "format": "wav"}}),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                create(model="m", messages=HI, **choice)
            assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
        assert script.asked == {}


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(
        text="Hé",
        reasoning="hm",
        tool_calls=[CALL],
        finish_reason="tool_calls",
        model="s-9",
        usage=Usage(input_tokens=7, output_tokens=3, total_tokens=10, cached_tokens=2),
        logprobs=TOKENS,
    )
    found = client.chat.completions.create(model="m", messages=HI)
    choice = found.choices[0]
    assert (found.model, choice.finish_reason, choice.message.content) == ("s-9", "tool_calls", "Hé")
    assert choice.message.model_extra == {"reasoning_content": "hm"}
    assert choice.message.tool_calls is not None
    call: Any = choice.message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Oslo"}')
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    token = choice.logprobs.content[0]
    assert (token.token, token.logprob, token.bytes) == ("Hé", -0.5, list("Hé".encode()))
    assert [(other.token, other.bytes) for other in token.top_logprobs] == [("\ufffd", None)]
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (7, 10)


def test_the_answer_goes_back_with_the_next_turn(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(reasoning="hm", tool_calls=[CALL], finish_reason="tool_calls")
    message: Any = client.chat.completions.create(model="m", messages=HI, tools=[WEATHER]).choices[0].message
    result: Any = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
    client.chat.completions.create(model="m", messages=[*HI, message, result], tools=[WEATHER])
    calls = [{"id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}]
    assert script.asked["messages"][1:] == [
        {"role": "assistant", "reasoning": "hm", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    ]
