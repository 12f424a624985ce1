"""Anthropic's own SDK as the client of a running relay, in front of a provider that carries everything."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from scripted import Scripted, scripted_relay
from sdks import anthropic, anthropic_sdk

from llmclients.codecs.base import CodecOptions
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, Usage

if TYPE_CHECKING:
    from anthropic.types import MessageParam, ToolParam

HI: list[MessageParam] = [{"role": "user", "content": "Hi"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: ToolParam = {"name": "weather", "description": "How warm it is", "input_schema": SCHEMA}
CALL = ToolCall("toolu_1", "weather", '{"city":"Oslo"}')
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 8
PNG_64 = base64.b64encode(PNG).decode()


@pytest.fixture(scope="module")
def _relay() -> Iterator[tuple[anthropic.Anthropic, Scripted]]:
    with scripted_relay() as (url, script), anthropic_sdk(url) as client:
        yield client, script


@pytest.fixture
def client(_relay: Any) -> anthropic.Anthropic:
    return _relay[0]


@pytest.fixture
def script(_relay: Any) -> Scripted:
    script: Scripted = _relay[1]
    script.__init__()  # type: ignore[misc]
    return script


# --- requests ---------------------------------------------------------------------------------------------------------


def test_all_that_the_wire_has_reaches_the_provider(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(text="Hello", finish_reason="stop")
    client.messages.create(
        model="asked",
        max_tokens=9,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_64}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {
                        "type": "document",
                        "title": "notes",
                        "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4 degrees"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "is_error": True,
                        "content": [{"type": "text", "text": "no city"}],
                    },
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 7},  # the newest SDK does not name them any more
        metadata={"user_id": "u"},
        service_tier="auto",
    )
    assert script.codec_options == {"top_k": 7}
    assert script.asked == {
        "model": "asked",
        "stream": False,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "tools": [{"name": "weather", "description": "How warm it is", "parameters": SCHEMA}],
        "tool_choice": "weather",
        "parallel_tool_calls": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "data": PNG_64, "media_type": "image/png"},
                    {"type": "image", "url": "https://example.com/a.png"},
                    {"type": "file", "data": "YWJj", "media_type": "text/plain", "name": "notes"},
                ],
            },
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "toolu_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
                    {"id": "toolu_2", "name": "weather", "arguments": "{}"},
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "4 degrees"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "no city", "is_error": True},
            {"role": "user", "content": "And now?"},
        ],
    }


class Answer(BaseModel):
    city: str


def test_structured_output_is_asked_for_and_read(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(text='{"city":"Oslo"}', finish_reason="stop")
    message = client.messages.parse(model="m", max_tokens=9, messages=HI, output_format=Answer)
    assert message.parsed_output == Answer(city="Oslo")
    form = script.asked["response_format"]
    assert (form["strict"], form["json_schema"]["properties"]["city"]["type"]) == (True, "string")
    # Whether it is what was asked for is for the client to find: the relay passes on what comes.
    script.answer = ChatResponse(text="no JSON", finish_reason="length")
    message = client.messages.create(
        model="m", max_tokens=9, messages=HI, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
    )
    assert (message.content[0].text, message.stop_reason) == ("no JSON", "max_tokens")  # type: ignore[union-attr]


THINKING: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": 2000}, None),
    (
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"thinking": "adaptive", "thinking_display": "omitted"},
        None,
    ),
    ({"thinking": {"type": "disabled"}}, {}, "none"),
    ({"output_config": {"effort": "high"}}, {}, "high"),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"thinking": "adaptive"}, "low"),
]


@pytest.mark.parametrize(("asked", "codec_options", "effort"), THINKING)
def test_thinking_reaches_a_provider_that_has_it(
    client: anthropic.Anthropic,
    script: Scripted,
    asked: dict[str, Any],
    codec_options: dict[str, Any],
    effort: str | None,
) -> None:
    client.messages.create(model="m", max_tokens=9, messages=HI, **asked)
    assert (script.codec_options, script.asked.get("reasoning_effort")) == (codec_options, effort)


def test_what_asks_for_nothing_special_gives_way_and_the_rest_is_rejected() -> None:
    with (
        scripted_relay(frozenset({"max_tokens", "tools"}), CodecOptions, lenient=False) as (url, script),
        anthropic_sdk(url) as client,
    ):
        ask: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": HI}
        for no_op in ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "disabled"}}):
            client.messages.create(**ask, **no_op)
        client.messages.create(**ask, tools=[WEATHER], tool_choice={"type": "auto"})
        assert script.asked["tools"][0]["name"] == "weather"
        script.asked = {}
        for choice in (
            {"extra_body": {"temperature": 0.5}},
            {"extra_body": {"top_k": 5}},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"output_config": {"effort": "low"}},
            {"tools": [WEATHER], "tool_choice": {"type": "any"}},
            {"tools": [WEATHER], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ):
            with pytest.raises(anthropic.BadRequestError) as caught:
                client.messages.create(**ask, **choice)
            assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
        assert script.asked == {}


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(
        text="Hello 😀",
        reasoning="hm",
        tool_calls=[CALL],
        finish_reason="tool_calls",
        model="s-9",
        usage=Usage(input_tokens=7, output_tokens=3, cached_tokens=2, reasoning_tokens=1),
    )
    message = client.messages.create(model="m", max_tokens=9, messages=HI)
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Hello 😀"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert (message.role, message.type, message.model, message.stop_reason) == (
        "assistant",
        "message",
        "s-9",
        "tool_use",
    )
    assert message.id.startswith("msg_")
    assert message._request_id == message.id
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (5, 2, 3)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 1


def test_the_answer_goes_back_with_the_next_turn(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(text="Hm.", reasoning="hm", tool_calls=[CALL], finish_reason="tool_calls")
    message = client.messages.create(model="m", max_tokens=9, messages=HI, tools=[WEATHER])
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}],
    }
    client.messages.create(model="m", max_tokens=9, messages=[*HI, message.to_param(), result], tools=[WEATHER])
    calls = [{"id": "toolu_1", "name": "weather", "arguments": '{"city": "Oslo"}'}]
    assert script.asked["messages"][1:] == [
        {"role": "assistant", "content": "Hm.", "reasoning": "hm", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "4"},
    ]


SIGNED: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
    {"type": "redacted_thinking", "data": "xx"},
    {"type": "text", "text": "Let me see."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
]


def test_signed_thinking_passes_through_unchanged(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(
        text="Let me see.",
        reasoning="hm",
        tool_calls=[CALL],
        finish_reason="tool_calls",
        provider_data={"anthropic": SIGNED},
    )
    message = client.messages.create(model="m", max_tokens=9, messages=HI)
    assert [block.to_dict() for block in message.content] == SIGNED
    back: list[Any] = [*HI, {"role": "assistant", "content": SIGNED}, *HI]
    client.messages.create(model="m", max_tokens=9, messages=back)
    assert script.asked["messages"][1]["provider_data"] == {"anthropic": SIGNED}


def test_the_arguments_of_a_call_that_was_cut_off(client: anthropic.Anthropic, script: Scripted) -> None:
    half = ToolCall("toolu_2", "weather", '{"ci')
    script.answer = ChatResponse(text="Hm.", tool_calls=[CALL, half], finish_reason="length")
    message = client.messages.create(model="m", max_tokens=9, messages=HI)
    assert ([block.type for block in message.content], message.stop_reason) == (["text", "tool_use"], "max_tokens")
    script.answer = ChatResponse(tool_calls=[half], finish_reason="tool_calls")
    with pytest.raises(anthropic.InternalServerError, match="not JSON"):
        client.messages.create(model="m", max_tokens=9, messages=HI)


REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}


@pytest.mark.parametrize(("reason", "stop_reason"), REASONS.items())
def test_every_finish_reason_has_a_stop_reason(
    client: anthropic.Anthropic, script: Scripted, reason: Any, stop_reason: str
) -> None:
    script.answer = ChatResponse(text="x", finish_reason=reason)
    assert client.messages.create(model="m", max_tokens=9, messages=HI).stop_reason == stop_reason
    script.streams(Chunk(text="x"), Chunk(finish_reason=reason))
    with client.messages.stream(model="m", max_tokens=9, messages=HI) as stream:
        assert stream.get_final_message().stop_reason == stop_reason


def test_an_answer_that_ended_in_an_error_is_one(client: anthropic.Anthropic, script: Scripted) -> None:
    script.answer = ChatResponse(text="x", finish_reason="error")
    with pytest.raises(anthropic.InternalServerError, match="ended in an error"):
        client.messages.create(model="m", max_tokens=9, messages=HI)
    script.streams(Chunk(text="x", finish_reason="error"))
    with (
        client.messages.stream(model="m", max_tokens=9, messages=HI) as stream,
        pytest.raises(anthropic.APIStatusError),
    ):
        stream.until_done()
