"""OpenAI's own SDK as the client of a running relay: the Responses API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Scripted, scripted_relay
from sdks import openai, openai_sdk
from test_relay_sdk_openai import CALL, PNG_URL, SCHEMA, TOKENS, Answer

from llmclients.codecs.base import CodecOptions
from llmclients.types.response import ChatResponse, Chunk, Usage

if TYPE_CHECKING:
    from openai.types.responses import FunctionToolParam

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "How warm it is",
    "parameters": SCHEMA,
    "strict": True,
}
TOOL = {name: value for name, value in WEATHER.items() if name != "type"}


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


ENCRYPTED: list[Any] = [
    {"type": "reasoning", "id": "rs_a", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xx"},
    {"type": "function_call", "id": "fc_a", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
]


def test_all_that_the_wire_has_reaches_the_provider(client: openai.OpenAI, script: Scripted) -> None:
    given: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": PNG_URL, "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            ],
        },
        *ENCRYPTED,
        {"type": "function_call_output", "call_id": "call_1", "output": "4 degrees"},
        {"type": "reasoning", "id": "rs_b", "summary": [{"type": "summary_text", "text": "so"}]},
        {
            "role": "assistant",
            "type": "message",
            "content": [{"type": "output_text", "text": "Four.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "no city"}],
        },
        {"role": "assistant", "content": "Sorry."},
        {"role": "user", "content": "And now?"},
    ]
    client.responses.create(
        model="asked",
        instructions="You are kind.",
        input=given,
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "where", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        top_logprobs=2,
        truncation="auto",
        store=True,
        metadata={"a": "b"},
    )
    assert script.codec_options == {
        "summary": "auto",
        "encrypted_reasoning": True,
        "truncation": "auto",
    }
    image = {"type": "image", "data": PNG_URL.partition(",")[2], "media_type": "image/png", "detail": "low"}
    assert script.asked == {
        "model": "asked",
        "verbosity": "low",
        "stream": False,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [TOOL],
        "tool_choice": "weather",
        "parallel_tool_calls": False,
        "response_format": {"name": "where", "json_schema": SCHEMA, "strict": True},
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 2,
        "messages": [
            {"role": "system", "content": "You are kind."},
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    image,
                    {"type": "file", "data": "JVBERi0=", "media_type": "application/pdf", "name": "a.pdf"},
                    {"type": "file", "url": "https://example.com/a.pdf"},
                ],
            },
            {
                "role": "assistant",
                "reasoning": "hm",
                "tool_calls": [{"id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}],
                "provider_data": {"openai-responses": ENCRYPTED},
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"},
            {
                "role": "assistant",
                "reasoning": "so",
                "content": "Four.",
                "tool_calls": [{"id": "call_2", "name": "weather", "arguments": "{}"}],
            },
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "no city"}]},
            {"role": "assistant", "content": "Sorry."},
            {"role": "user", "content": "And now?"},
        ],
    }


def test_what_asks_for_nothing_special_gives_way_and_the_rest_is_rejected() -> None:
    with (
        scripted_relay(frozenset({"tools"}), CodecOptions, lenient=False) as (url, script),
        openai_sdk(url) as client,
    ):
        create: Any = client.responses.create
        create(model="m", input="Hi", tools=[WEATHER], tool_choice="auto", parallel_tool_calls=True)
        create(model="m", input="Hi", reasoning={"summary": "auto"}, include=["reasoning.encrypted_content"])
        create(model="m", input="Hi", truncation="disabled", background=False, text={"format": {"type": "text"}})
        script.asked = {}
        for name, choice in (
            ("previous_response_id", {"previous_response_id": "resp_1"}),
            ("conversation", {"conversation": "conv_1"}),
            ("background", {"background": True}),
            ("prompt", {"prompt": {"id": "p"}}),
            ("truncation", {"truncation": "auto"}),
            ("max_output_tokens", {"max_output_tokens": 9}),
            ("reasoning.effort", {"reasoning": {"effort": "low"}}),
            ("text.format", {"text": {"format": {"type": "json_object"}}}),
            ("text.verbosity", {"text": {"verbosity": "low"}}),
            ("include", {"include": ["message.output_text.logprobs"]}),
            ("include", {"include": ["web_search_call.results"]}),
            ("max_tool_calls", {"max_tool_calls": 3}),
            ("input", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
            ("input", {"input": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]}),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                create(**({"model": "m", "input": "Hi"} | choice))
            assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter"), choice
            kept = name in ("previous_response_id", "conversation", "background", "prompt") or "item_ref" in str(choice)
            assert ("keeps nothing" in str(caught.value)) is kept
        with pytest.raises(openai.BadRequestError, match="web_search"):
            create(model="m", input="Hi", tools=[{"type": "web_search"}])
        assert script.asked == {}


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(
        text="Hé",
        reasoning="hm",
        tool_calls=[CALL],
        finish_reason="tool_calls",
        model="s-9",
        usage=Usage(input_tokens=7, output_tokens=3, total_tokens=10, cached_tokens=2, reasoning_tokens=1),
        logprobs=TOKENS,
    )
    found = client.responses.create(model="m", input="Hi", instructions="Be brief.", tools=[WEATHER])
    reasoning, message, call = found.output
    assert (found.status, found.model, found.output_text, found.store) == ("completed", "s-9", "Hé", False)
    assert found.id.startswith("resp_")
    assert found._request_id == found.id
    assert (found.instructions, found.tool_choice, [tool.to_dict() for tool in found.tools]) == (
        "Be brief.",
        "auto",
        [WEATHER],
    )
    assert reasoning.type == "reasoning"
    assert [part.text for part in reasoning.summary] == ["hm"]
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    assert [(token.token, token.bytes) for token in message.content[0].logprobs or ()] == [("Hé", [72, 195, 169])]
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Oslo"}')
    assert len({reasoning.id, message.id, call.id}) == 3
    usage = found.usage
    assert usage is not None
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.total_tokens) == (7, 2, 10)
    assert usage.output_tokens_details.reasoning_tokens == 1


def test_the_answer_goes_back_with_the_next_turn(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(text="Hm.", reasoning="hm", tool_calls=[CALL], finish_reason="tool_calls")
    given: list[Any] = [{"role": "user", "content": "Hi"}]
    given += client.responses.create(model="m", input=given, tools=[WEATHER]).output
    given.append({"type": "function_call_output", "call_id": "call_1", "output": "4"})
    client.responses.create(model="m", input=given, tools=[WEATHER])
    calls = [{"id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}]
    assert script.asked["messages"][1:] == [
        {"role": "assistant", "content": "Hm.", "reasoning": "hm", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    ]


def test_structured_output_is_asked_for_and_read(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(text='{"city":"Oslo"}', finish_reason="stop")
    assert client.responses.parse(model="m", input="Hi", text_format=Answer).output_parsed == Answer(city="Oslo")
    assert script.asked["response_format"]["strict"] is True
    script.streams(Chunk(text='{"city":'), Chunk(text='"Rome"}'), Chunk(finish_reason="stop"))
    with client.responses.stream(model="m", input="Hi", text_format=Answer) as stream:
        assert stream.get_final_response().output_parsed == Answer(city="Rome")


ENDS: list[tuple[Any, str, str | None]] = [
    ("stop", "completed", None),
    (None, "completed", None),
    ("tool_calls", "completed", None),
    ("length", "incomplete", "max_output_tokens"),
    ("content_filter", "incomplete", "content_filter"),
    ("error", "failed", None),
]


@pytest.mark.parametrize(("reason", "status", "why"), ENDS)
def test_every_reason_is_a_status(
    client: openai.OpenAI, script: Scripted, reason: Any, status: str, why: str | None
) -> None:
    script.answer = ChatResponse(text="x", finish_reason=reason)
    whole = client.responses.create(model="m", input="Hi")
    script.streams(Chunk(text="x", finish_reason=reason))
    *_, last = client.responses.create(model="m", input="Hi", stream=True)
    assert last.type == f"response.{status}"
    for found in (whole, last.response):  # type: ignore[union-attr]
        details, item = found.incomplete_details, found.output[0]
        assert (found.status, details and details.reason) == (status, why)
        assert item.status == ("completed" if status == "completed" else "incomplete")  # type: ignore[union-attr]
        assert (found.error is not None) is (status == "failed")
