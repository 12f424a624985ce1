"""Google's own SDK as the client of a running relay, in front of a provider that carries everything."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from relaytools import send
from scripted import ALL, Scripted, failing, scripted_relay
from sdks import gemini, gemini_sdk
from sdks import gemini_types as types

from llmclients import Client
from llmclients.codecs.base import CodecOptions
from llmclients.relay.codecs.gemini_schema import json_schema
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, TokenLogprob, ToolCallDelta, Usage

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 8
CALLS = [ToolCall("c1", "weather", '{"city":"Oslo"}'), ToolCall("c2", "weather", '{"city":"Rome"}')]


@pytest.fixture(scope="module")
def _relay() -> Iterator[tuple[str, Scripted]]:
    with scripted_relay() as found:
        yield found


@pytest.fixture(scope="module", params=["", "/gemini"])
def client(_relay: Any, request: Any) -> Iterator[gemini.Client]:
    with gemini_sdk(_relay[0] + request.param) as client:
        yield client


@pytest.fixture
def address(_relay: Any) -> str:
    url: str = _relay[0]
    return url


@pytest.fixture
def script(_relay: Any) -> Scripted:
    script: Scripted = _relay[1]
    script.__init__()  # type: ignore[misc]
    return script


class Answer(BaseModel):
    city: str


def test_a_chat_with_all_that_the_wire_has(client: gemini.Client, script: Scripted) -> None:
    weather = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="weather",
                description="How warm it is",
                parameters=types.Schema(
                    type=types.Type.OBJECT,
                    properties={"city": types.Schema(type=types.Type.STRING, nullable=True, max_length=9)},
                    required=["city"],
                ),
            )
        ]
    )
    script.answer = ChatResponse(
        text="Cold.",
        reasoning="hm",
        tool_calls=CALLS,
        finish_reason="tool_calls",
        model="s-9",
        usage=Usage(input_tokens=7, output_tokens=5, reasoning_tokens=2, total_tokens=12),
        logprobs=[TokenLogprob(token="Cold", logprob=-0.5)],
    )
    contents: list[Any] = [
        types.Content(
            role="user",
            parts=[
                types.Part(text="What is this?"),
                types.Part.from_bytes(data=PNG, mime_type="image/png"),
                types.Part.from_uri(file_uri="https://e.example/a.pdf", mime_type="application/pdf"),
            ],
        ),
        types.Content(
            role="model",
            parts=[
                types.Part(text="I think.", thought=True),
                types.Part(text="I look."),
                types.Part.from_function_call(name="weather", args={"city": "Oslo"}),
                types.Part.from_function_call(name="weather", args={"city": "Rome"}),
            ],
        ),
        types.Content(
            role="user",
            parts=[
                types.Part.from_function_response(name="weather", response={"output": "4 degrees"}),
                types.Part.from_function_response(name="weather", response={"error": "no city"}),
                types.Part(text="And now?"),
            ],
        ),
    ]
    response = client.models.generate_content(
        model="org/asked",
        contents=contents,
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=0.5,
            top_p=0.9,
            top_k=7,
            max_output_tokens=30,
            stop_sequences=["END"],
            seed=1,
            presence_penalty=1,
            frequency_penalty=1,
            response_logprobs=True,
            logprobs=2,
            candidate_count=1,
            tools=[weather],
            tool_config=types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(
                    mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
                )
            ),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True),
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.BLOCK_NONE,
                )
            ],
        ),
    )
    assert response.candidates is not None
    parts = response.candidates[0].content.parts  # type: ignore[union-attr]
    assert [(part.text, part.thought) for part in parts or ()][:2] == [("hm", True), ("Cold.", None)]
    assert [(call.id, call.args) for call in response.function_calls or ()] == [
        ("c1", {"city": "Oslo"}),
        ("c2", {"city": "Rome"}),
    ]
    assert (response.model_version, response.candidates[0].finish_reason) == ("s-9", types.FinishReason.STOP)
    usage = response.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count) == (7, 3, 2)
    logprobs = response.candidates[0].logprobs_result
    assert logprobs is not None
    assert logprobs.chosen_candidates[0].log_probability == -0.5  # type: ignore[index]
    asked = script.asked
    assert asked["model"] == "org/asked"
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "data": base64.b64encode(PNG).decode(), "media_type": "image/png"},
                {"type": "file", "url": "https://e.example/a.pdf", "media_type": "application/pdf"},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning": "I think.",
            "tool_calls": [
                {"id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
                {"id": "call_2", "name": "weather", "arguments": '{"city": "Rome"}'},
            ],
        },
        {"role": "tool", "name": "weather", "tool_call_id": "call_1", "content": "4 degrees"},
        {"role": "tool", "name": "weather", "tool_call_id": "call_2", "content": "no city", "is_error": True},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]
    names = ("temperature", "top_p", "max_tokens", "stop", "seed", "logprobs", "top_logprobs", "tool_choice")
    assert [asked[name] for name in names] == [0.5, 0.9, 30, ["END"], 1, True, 2, "weather"]
    city = {"type": ["string", "null"], "maxLength": 9}
    assert asked["tools"][0]["parameters"] == {
        "type": "object",
        "properties": {"city": city},
        "required": ["city"],
    }
    assert (script.codec_options, asked["reasoning_effort"]) == ({"top_k": 7}, "medium")


def test_a_streamed_chat(client: gemini.Client, script: Scripted) -> None:
    halves = [
        Chunk(tool_calls=[ToolCallDelta(index=index, id=call.id, name=call.name, arguments=half)])
        for index, call in enumerate(CALLS)
        for half in (call.arguments_text[:5], call.arguments_text[5:])
    ]
    script.streams(
        Chunk(reasoning="hm"), Chunk(text="Hel"), Chunk(text="lo"), *halves, Chunk(finish_reason="tool_calls")
    )
    parts = list(client.models.generate_content_stream(model="m", contents="Hi"))
    texts = [part.text for chunk in parts for part in chunk.candidates[0].content.parts or ()]  # type: ignore[index, union-attr]
    assert texts == ["hm", "Hel", "lo", None, None]
    assert [call.args for call in parts[-1].function_calls or ()] == [{"city": "Oslo"}, {"city": "Rome"}]
    reasons = [chunk.candidates[0].finish_reason for chunk in parts]  # type: ignore[index]
    assert reasons == [None, None, None, types.FinishReason.STOP]


def test_a_stream_may_be_a_list(address: str, script: Scripted) -> None:
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generation_config": {"max_output_tokens": 5}}
    script.streams(Chunk(text="Hel"), Chunk(text="lo"), Chunk(finish_reason="stop"))
    answer = send(address, "/gemini/v1beta/models/m:streamGenerateContent", body)
    texts = [part["text"] for entry in answer.json for part in entry["candidates"][0]["content"]["parts"]]
    assert (texts, answer.headers["content-type"]) == (["Hel", "lo"], "application/json; charset=utf-8")
    assert script.asked["max_tokens"] == 5
    script.streams(Chunk(text="Hel"), failing(529, "busy"))
    assert send(address, "/v1beta/models/m:streamGenerateContent", body).json[-1]["error"]["code"] == 529


def test_structured_output_is_asked_for_and_read(client: gemini.Client, script: Scripted) -> None:
    script.answer = ChatResponse(text='{"city":"Oslo"}', finish_reason="stop")
    for config in (
        {"response_mime_type": "application/json", "response_schema": Answer},
        {"response_mime_type": "application/json", "response_json_schema": Answer.model_json_schema()},
    ):
        response = client.models.generate_content(model="m", contents="Hi", config=config)  # type: ignore[arg-type]
        assert json.loads(response.text or "") == {"city": "Oslo"}
        assert script.asked["response_format"]["json_schema"]["properties"]["city"]["type"] == "string"


THINKING: list[tuple[dict[str, Any], str | None]] = [
    ({"thinking_level": "LOW"}, "low"),
    ({"thinking_budget": 0}, "none"),
    ({"thinking_budget": -1}, None),
    ({"thinking_budget": 100}, "low"),
]


def test_thinking_reaches_a_provider_in_its_own_words(client: gemini.Client, script: Scripted) -> None:
    for thinking, effort in THINKING:
        client.models.generate_content(model="m", contents="Hi", config={"thinking_config": thinking})  # type: ignore[typeddict-item]
        assert script.asked.get("reasoning_effort") == effort


def test_signed_parts_pass_through_unchanged(client: gemini.Client, script: Scripted) -> None:
    signed = [
        {"text": "hm", "thought": True},
        {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"},
    ]
    script.answer = ChatResponse(tool_calls=CALLS[:1], finish_reason="tool_calls", provider_data={"gemini": signed})
    response = client.models.generate_content(model="m", contents="Hi")
    content = response.candidates[0].content  # type: ignore[index]
    assert content is not None
    assert content.parts[1].thought_signature == b"sig"  # type: ignore[index]
    result = types.Content(
        role="user", parts=[types.Part.from_function_response(name="weather", response={"output": "4"})]
    )
    client.models.generate_content(model="m", contents=[types.UserContent("Hi"), content, result])
    assert script.asked["messages"][1]["provider_data"] == {"gemini": signed}
    script.streams(
        Chunk(reasoning="hm"),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="c1", name="weather", arguments='{"city": "Oslo"}')]),
        Chunk(finish_reason="tool_calls", provider_data={"gemini": signed}),
    )
    *_, last = client.models.generate_content_stream(model="m", contents="Hi")
    assert [part.thought_signature for part in last.candidates[0].content.parts or ()] == [b"sig"]  # type: ignore[index, union-attr]


def test_models_and_counts(client: gemini.Client, script: Scripted) -> None:
    assert [model.name for model in client.models.list()] == ["models/s-1", "models/s-2"]
    assert client.models.get(model="s-2").display_name == "s-2"
    assert client.models.count_tokens(model="m", contents="Hello there").total_tokens == 7
    with pytest.raises(gemini.errors.ClientError, match="there is no model 's-3'"):
        client.models.get(model="s-3")


def test_failures_are_the_wires(client: gemini.Client, script: Scripted, address: str) -> None:
    hi = [{"parts": [{"text": "Hi"}]}]
    for wrong in (
        {},
        {"contents": []},
        {"contents": "Hi"},
        {"contents": [{"role": "judge", "parts": [{"text": "Hi"}]}]},
        {"contents": [{"parts": [{"executableCode": {}}]}]},
        {"contents": [{"parts": []}]},
        {"contents": hi, "surprise": 1},
        {"contents": hi, "tools": [{"googleSearch": {}}]},
        {"contents": hi, "tools": [{"functionDeclarations": [{"description": "d"}]}]},
        {"contents": hi, "toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}},
        {"contents": hi, "generationConfig": {"candidateCount": 2}},
        {"contents": hi, "generationConfig": {"responseModalities": ["IMAGE"]}},
        {"contents": hi, "generationConfig": {"responseMimeType": "text/x.enum"}},
        {"contents": hi, "generationConfig": {"thinkingConfig": {"thinkingBudget": "many"}}},
    ):
        answer = send(address, "/gemini/v1beta/models/m:generateContent", wrong)
        assert (answer.status, answer.json["error"]["status"]) == (400, "INVALID_ARGUMENT"), wrong
    script.answer = ChatResponse(text="x", finish_reason="error")
    with pytest.raises(gemini.errors.ServerError, match="ended in an error"):
        client.models.generate_content(model="m", contents="Hi")
    script.streams(Chunk(text="Hel"), failing(529, "busy"))
    stream = client.models.generate_content_stream(model="m", contents="Hi")
    assert next(stream).text == "Hel"
    with pytest.raises(gemini.errors.APIError, match="busy"):
        list(stream)
    for reason, found in (("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("stop", "STOP")):
        script.answer = ChatResponse(text="x", finish_reason=reason)
        response = client.models.generate_content(model="m", contents="Hi")
        assert response.candidates[0].finish_reason == found  # type: ignore[index]


def test_the_relays_key_may_come_in_the_wires_own_header() -> None:
    with scripted_relay(api_key="open-sesame") as (url, _):
        with gemini_sdk(url + "/gemini", "open-sesame") as client:
            assert client.models.generate_content(model="m", contents="Hi").candidates
        with gemini_sdk(url + "/gemini", "wrong") as client, pytest.raises(gemini.errors.ClientError) as caught:
            client.models.generate_content(model="m", contents="Hi")
        assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_what_only_googles_servers_have_is_left_out_or_rejected() -> None:
    body: dict[str, Any] = {
        "contents": [{"parts": [{"text": "Hi"}]}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 5000}},
        "labels": {"a": "b"},
    }
    path = "/gemini/v1beta/models/m:generateContent"
    with scripted_relay(ALL - {"reasoning_effort"}, CodecOptions) as (url, script):
        answer = send(url, path, body)
        assert (answer.status, script.asked.keys()) == (200, {"model", "messages", "stream"})
        for name in ("safety_settings", "thinking_budget"):
            assert f"{name} is left out" in answer.headers["x-llmclients-warning"]
        assert send(url, path, {**body, "cachedContent": "cachedContents/a"}).status == 400


def test_googles_subset_of_a_schema_becomes_json_schema() -> None:
    subset = {
        "type": "ARRAY",
        "minItems": "1",
        "items": {
            "anyOf": [
                {"type": "NUMBER", "format": "float", "nullable": True},
                {
                    "type": "OBJECT",
                    "properties": {"type": {"type": "STRING", "enum": ["a"]}},
                    "propertyOrdering": ["type"],
                },
            ]
        },
    }
    assert json_schema(subset) == {
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                {"type": ["number", "null"], "format": "float"},
                {"type": "object", "properties": {"type": {"type": "string", "enum": ["a"]}}},
            ]
        },
    }


def test_the_librarys_own_client_of_the_wire(address: str, script: Scripted) -> None:
    with Client("gemini/m", base_url=address + "/gemini", api_key="none", retry=None) as client:
        script.streams(Chunk(text="Hel"), Chunk(text="lo"), Chunk(finish_reason="length"))
        stream = client.stream("Hi")
        assert ([chunk.text for chunk in stream if chunk.text], stream.response.finish_reason) == (
            ["Hel", "lo"],
            "length",
        )
        assert client.models() == ["s-1", "s-2"]
