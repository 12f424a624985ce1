"""What Anthropic Messages cannot carry, the list of models, keys and tokens, and whole calls over a scripted transport."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from tables import table
from test_anthropic import BUDGET, CODEC, EFFORT, NEW, OLD, SCHEMA, TOOL, payload, text, user

from llmclients import Client, FilePart, ImagePart
from llmclients.codecs.base import Context
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    APIResponseError,
    BadRequestError,
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    UnsupportedOptionError,
)
from llmclients.testing import MockTransport, Reply
from llmclients.types.content import AudioPart
from llmclients.types.messages import ToolCall, as_messages

# --- what is rejected -----------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n"


@table(
    "arguments, argument, message",
    [
        ({"messages": [{"role": "system", "content": "S"}]}, "messages", "nothing to answer"),
        ({"messages": [user("a"), {"role": "assistant", "content": ""}][1:]}, "messages", "nothing to answer"),
        ({"messages": [{"role": "system", "content": [ImagePart(PNG)]}]}, "messages", r"messages\[0\].* text only"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages", r"messages\[0\].* tool_call_id"),
        ({"messages": [user([ImagePart("gs://b/a.png")])]}, "messages", "fetches nothing from gs: addresses"),
        ({"messages": [user([AudioPart(b"RIFF1234WAVE")])]}, "messages", "no audio parts"),
        ({"messages": [user([FilePart(b"\xff", media_type="text/plain")])]}, "messages", "must be UTF-8"),
        ({"messages": [user([FilePart("https://x.org", media_type="text/plain")])]}, "messages", "only a PDF"),
        (
            {"messages": [user("a"), {"role": "assistant", "tool_calls": [ToolCall("i", "f", "{")]}]},
            "messages",
            r"messages\[1\]: the arguments of the call of f are not JSON",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x", "provider_data": {"anthropic": "x"}}]},
            "messages",
            "content blocks",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x", "provider_data": {"anthropic": [{}]}}]},
            "messages",
            "content blocks",
        ),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "knows none, low, medium, high, xhigh, max, not 'huge'"),
        ({"reasoning_effort": "low", "max_tokens": 1024}, "max_tokens", "1024 at least"),
        ({"reasoning_effort": "low", "codec_options": {"thinking": 2000}}, "thinking", "the same thing"),
        ({"reasoning_effort": "none", "codec_options": {"thinking": 2000}}, "thinking", "contradict"),
        ({"codec_options": {"thinking": 1023}}, "thinking", "the least is 1024"),
        ({"codec_options": {"thinking_display": "omitted"}}, "thinking_display", "needs thinking"),
        ({"codec_options": {"betas": ["a", "b\n"]}}, "betas", "a beta's name"),
        ({"tools": [TOOL], "response_format": SCHEMA, "model": OLD}, "response_format", "place of tools"),
        ({"tools": [TOOL], "response_format": "json"}, "response_format", "place of tools"),
        (
            {"response_format": SCHEMA, "model": "claude-3-7-sonnet-latest", "reasoning_effort": "low"},
            "response_format",
            "thinking",
        ),
        ({"response_format": "json", "model": EFFORT, "reasoning_effort": "low"}, "response_format", "thinking"),
        ({"response_format": "json", "model": NEW}, "response_format", "no JSON without a schema"),
        ({"tools": [{"name": "llmclients_answer"}]}, "tools", "reserved"),
    ],
    ids=repr,
)
def test_what_the_wire_cannot_carry_is_rejected(arguments: dict[str, Any], argument: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        payload(**arguments)

    assert caught.value.argument == argument


@table(
    "codec_options",
    [
        {"thinking": 0},
        {"thinking": True},
        {"thinking": "much"},
        {"thinking_display": "all"},
        {"top_k": 0},
        {"cache_control": "5h"},
        {"user_id": 5},
        {"betas": "a"},
    ],
    ids=repr,
)
def test_an_option_of_the_codec_of_the_wrong_type_is_rejected(codec_options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        CODEC.options(**codec_options)


def test_json_can_be_had_without_thinking() -> None:
    body = payload(response_format="json", reasoning_effort="none")

    assert (body["thinking"], body["tool_choice"]["type"]) == ({"type": "disabled"}, "tool")


def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], **arguments: Any) -> ClientSettings:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    defaults: dict[str, Any] = dict.fromkeys(
        ("model", "api_key", "base_url", "model_path", "headers", "timeout", "proxy")
    )
    defaults |= {"retry": RetryPolicy(), "fallback": (), "trust_env": False, "verify": True, "max_response_bytes": 1000}
    return ClientSettings.from_arguments("anthropic", **(defaults | arguments))


@table(
    "part, message",
    [
        (ImagePart(b"BM123"), "image/bmp: it takes image/gif, image/jpeg, image/png, image/webp"),
        (FilePart(b"\xff\x00"), "application/octet-stream: it takes application/pdf, text/plain"),
        (AudioPart(b"RIFF1234WAVE"), "audio parts"),
        (ImagePart(PNG + bytes(24 * 1024 * 1024)), "it takes 25165824"),
    ],
    ids=lambda value: None if isinstance(value, str) else value.type,
)
def test_a_part_of_another_kind_is_rejected_before_sending(
    monkeypatch: pytest.MonkeyPatch, part: Any, message: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=message):
        settings(monkeypatch, {}, api_key="k", model="m").request(as_messages([user([part])]), None, {})


@table("option", ["seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"])
def test_an_option_without_a_field_is_rejected(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    with pytest.raises(UnsupportedOptionError) as caught:
        settings(monkeypatch, {}, api_key="k", model="m").request(as_messages("Hi"), None, {option: 1})

    assert caught.value.argument == option


# --- models ---------------------------------------------------------------------------------------------------------


def test_the_list_of_models_is_one_page() -> None:
    wire = CODEC.encode_models(Context(api_key="k"))

    assert (wire.method, wire.path, wire.body) == ("GET", "/v1/models?limit=1000", b"")
    assert wire.headers == (("Accept", "application/json"), ("anthropic-version", "2023-06-01"), ("x-api-key", "k"))
    page = b'{"data":[{"type":"model","id":"claude-b"},{"type":"model","id":"claude-a"}],"has_more":false}'
    assert CODEC.decode_models(page) == ["claude-b", "claude-a"]


@table("body", [b"{}", b"[]", b"x", b'{"data":{}}', b'{"data":[{}]}', b'{"data":["a"]}'])
def test_a_list_of_models_that_is_none(body: bytes) -> None:
    with pytest.raises(APIResponseError):
        CODEC.decode_models(body)


def test_the_body_of_an_error_may_name_the_request() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"No."},"request_id":"req_1"}'

    assert CODEC.decode_error(400, {}, body).request_id == "req_1"
    assert CODEC.decode_error(413, {}, b"<html>").request_id is None
    with pytest.raises(BadRequestError) as caught:
        list(CODEC.stream_decoder("").feed(b"event: error\ndata: " + body + b"\n\n"))
    assert caught.value.request_id == "req_1"


# --- keys and tokens ------------------------------------------------------------------------------------------------

KEY, TOKEN = {"ANTHROPIC_API_KEY": "sk-ant-key"}, {"ANTHROPIC_AUTH_TOKEN": "the-token"}
BEARER = (("Authorization", "Bearer the-token"),)


@table(
    "environment, arguments, key, headers",
    [
        (KEY, {}, "sk-ant-key", ()),
        (TOKEN, {}, None, BEARER),
        (KEY | TOKEN, {}, "sk-ant-key", ()),
        (TOKEN, {"api_key": "own"}, "own", ()),
        (TOKEN, {"base_url": "http://127.0.0.1:1"}, None, BEARER),
        (TOKEN | {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}, {}, None, BEARER),
        ({}, {"base_url": "http://127.0.0.1:1"}, None, ()),
        (TOKEN, {"headers": {"authorization": "Basic x"}}, None, (("authorization", "Basic x"),)),
        (TOKEN, {"headers": {"x": "y"}}, None, (("x", "y"), *BEARER)),
    ],
    ids=repr,
)
def test_a_token_goes_out_as_bearer_where_there_is_no_key(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: dict[str, Any], key: Any, headers: Any
) -> None:
    found = settings(monkeypatch, environment, **arguments)

    assert (found.api_key, found.headers) == (key, headers)


def test_without_a_key_or_token_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingAPIKeyError, match="set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN"):
        settings(monkeypatch, {})


def test_a_token_that_no_header_can_carry_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="a character that no header can carry") as caught:
        settings(monkeypatch, {"ANTHROPIC_AUTH_TOKEN": "se\ncret"})

    assert "cret" not in str(caught.value)


# --- whole calls ----------------------------------------------------------------------------------------------------


class City(BaseModel):
    name: str


def reply(content: list[Any], reason: str = "end_turn") -> Reply:
    return Reply(
        json={"id": "m", "type": "message", "model": "c", "content": content, "stop_reason": reason},
        headers={"request-id": "req_1"},
    )


@table(
    "model, content, reason",
    [
        (OLD, {"type": "tool_use", "id": "a", "name": "llmclients_answer", "input": {"name": "Oslo"}}, "tool_use"),
        (BUDGET, text('{"name": "Oslo"}'), "end_turn"),
    ],
)
def test_an_answer_is_parsed_either_way(model: str, content: dict[str, Any], reason: str) -> None:
    with Client("anthropic", api_key="k", model=model, transport=MockTransport([reply([content], reason)])) as client:
        response = client.chat("Where?", response_format=City)

    assert (response.parsed, response.finish_reason, response.tool_calls) == (City(name="Oslo"), "stop", [])
    assert response.request_id == "req_1"


def test_signed_thinking_goes_back_unchanged_with_the_result() -> None:
    content = [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
    ]
    mock = MockTransport([reply(content, "tool_use"), reply([text("4")])])
    with Client("anthropic", api_key="k", model=BUDGET, transport=mock) as client:
        first = client.chat("Hi", tools=[TOOL])
        result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "4"}
        second = client.chat([user("Hi"), first.message, result], tools=[TOOL])

    assert second.text == "4"
    assert json.loads(mock.requests[1].body)["messages"] == [
        user("Hi"),
        {"role": "assistant", "content": content},
        user([{"type": "tool_result", "tool_use_id": "a", "content": "4"}]),
    ]


def test_an_error_has_the_request_s_id() -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}, "request_id": "req_2"}
    mock = MockTransport([Reply(400, json=body)])
    with (
        Client("anthropic", api_key="k", model="m", transport=mock) as client,
        pytest.raises(BadRequestError) as caught,
    ):
        client.chat("Hi")

    assert caught.value.request_id == "req_2"
