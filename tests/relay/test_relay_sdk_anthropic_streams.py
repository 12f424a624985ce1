"""Anthropic's own SDK as the client of a running relay: streams, failures, access, models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scripted import Scripted, failing, scripted_relay
from sdks import anthropic, anthropic_sdk
from test_relay_sdk_anthropic import CALL, HI, SIGNED, WEATHER

from llmclients.transports.mock import Cut, Reply
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta, Usage


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


def streamed(client: anthropic.Anthropic) -> tuple[list[str], anthropic.types.Message]:
    """The types of the wire's own events, and the message that the SDK makes of them."""
    with client.messages.stream(model="m", max_tokens=9, messages=HI, tools=[WEATHER]) as stream:
        types = [event.type for event in stream if event.type.startswith(("message_", "content_block_"))]
        return types, stream.get_final_message()


def test_a_stream(client: anthropic.Anthropic, script: Scripted) -> None:
    script.streams(
        Chunk(role="assistant", model="s-9", usage=Usage(input_tokens=7)),
        Chunk(reasoning="h"),
        Chunk(reasoning="m"),
        Chunk(text="Hel"),
        Chunk(text="lo 😀"),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="weather")]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='{"city":')]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='"Oslo"}')]),
        Chunk(tool_calls=[ToolCallDelta(index=1, id="b", name="clock", arguments="{}")]),
        Chunk(finish_reason="tool_calls"),
        Chunk(usage=Usage(input_tokens=7, output_tokens=3)),
    )
    types, message = streamed(client)
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    twice = [block[0], block[1], block[1], block[2]]
    assert types == ["message_start", *twice * 3, *block, "message_delta", "message_stop"]
    assert [part.to_dict(exclude_unset=True) for part in message.content] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Hello 😀"},
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "b", "name": "clock", "input": {}},
    ]
    assert (message.model, message.stop_reason) == ("s-9", "tool_use")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 3)
    assert script.asked["stream"] is True


def test_an_empty_answer_is_a_message_all_the_same(client: anthropic.Anthropic, script: Scripted) -> None:
    script.streams()
    types, message = streamed(client)
    assert types == ["message_start", "message_delta", "message_stop"]
    assert (message.content, message.stop_reason) == ([], "end_turn")


def test_signatures_stream_through_where_the_provider_has_this_wire(
    client: anthropic.Anthropic, script: Scripted
) -> None:
    def begun(index: int, block: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    signature = {"type": "signature_delta", "signature": "EqQB"}
    call = ToolCallDelta(index=0, id="toolu_1", name="weather", arguments=CALL.arguments_text)
    script.streams(
        Chunk(role="assistant", raw={"type": "message_start"}),
        Chunk(raw=begun(0, {"type": "thinking", "thinking": "", "signature": ""})),
        Chunk(reasoning="hm", raw={"type": "content_block_delta"}),
        Chunk(raw={"type": "content_block_delta", "index": 0, "delta": signature}),
        Chunk(raw=begun(1, SIGNED[1])),
        Chunk(raw=begun(2, {"type": "text", "text": ""})),
        Chunk(text="Let me see."),
        Chunk(tool_calls=[call]),
        Chunk(finish_reason="tool_calls", provider_data={"anthropic": SIGNED}),
    )
    assert [block.to_dict(exclude_unset=True) for block in streamed(client)[1].content] == SIGNED
    # Thinking that is left out, but signed.
    script.streams(
        Chunk(raw=begun(0, {"type": "thinking", "thinking": "", "signature": ""})),
        Chunk(raw={"type": "content_block_delta", "index": 0, "delta": signature}),
        Chunk(raw=begun(1, {"type": "thinking", "thinking": "", "signature": ""})),
        Chunk(reasoning="more"),
        Chunk(text="Hi", finish_reason="stop"),
    )
    assert [block.to_dict(exclude_unset=True) for block in streamed(client)[1].content] == [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "thinking", "thinking": "more", "signature": ""},
        {"type": "text", "text": "Hi"},
    ]


BREAKS: list[tuple[list[Any], str]] = [
    ([Chunk(text="Hel"), Cut()], "api_error"),
    ([Chunk(text="Hel"), Chunk(finish_reason="stop")], "api_error"),
    ([Chunk(text="Hel"), failing(529, "busy")], "overloaded_error"),
    ([Chunk(text="Hel"), failing(429, "slower")], "rate_limit_error"),
    ([Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="f", arguments="{}")]), Cut()], "api_error"),
]


@pytest.mark.parametrize(("pieces", "error_type"), BREAKS)
def test_an_answer_that_breaks_off_is_an_error(
    client: anthropic.Anthropic, script: Scripted, pieces: list[Any], error_type: str
) -> None:
    script.answer = pieces
    events = []
    with pytest.raises(anthropic.APIStatusError, match="scripted") as caught:  # noqa: SIM117
        with client.messages.create(model="m", max_tokens=9, messages=HI, stream=True) as stream:
            events.extend(event.type for event in stream)
    assert "content_block_delta" in events
    assert not {"message_delta", "message_stop"} & set(events)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", error_type)
    with pytest.raises(anthropic.APIStatusError):  # noqa: SIM117
        with client.messages.stream(model="m", max_tokens=9, messages=HI) as helper:
            helper.get_final_message()


STATUSES: list[tuple[int, str, str]] = [
    (400, "BadRequestError", "invalid_request_error"),
    (401, "AuthenticationError", "authentication_error"),
    (403, "PermissionDeniedError", "permission_error"),
    (404, "NotFoundError", "not_found_error"),
    (409, "ConflictError", "invalid_request_error"),
    (413, "RequestTooLargeError", "request_too_large"),
    (422, "UnprocessableEntityError", "invalid_request_error"),
    (429, "RateLimitError", "rate_limit_error"),
    (500, "InternalServerError", "api_error"),
    (503, "ServiceUnavailableError", "api_error"),
    (529, "OverloadedError", "overloaded_error"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "name", "error_type"), STATUSES)
def test_every_status_is_the_sdks_class(
    client: anthropic.Anthropic, script: Scripted, status: int, name: str, error_type: str, stream: bool
) -> None:
    class_ = getattr(anthropic, name)
    headers = {"retry-after": "7", "request-id": "req_7"}
    script.answer = Reply(status, json={"error": {"message": "no"}}, headers=headers)
    with pytest.raises(class_) as caught:
        client.messages.create(model="m", max_tokens=9, messages=HI, stream=stream)
    assert type(caught.value) is class_
    error: Any = caught.value
    assert error.body["error"]["type"] == error_type
    assert "no" in error.body["error"]["message"]
    assert (error.request_id, error.body["request_id"]) == ("req_7", "req_7")
    assert error.response.headers.get("retry-after") == "7"


def test_the_sdk_tries_again_as_the_provider_advised(client: anthropic.Anthropic, script: Scripted) -> None:
    script.queue = [Reply(529, headers={"retry-after-ms": "1"}), ChatResponse(text="Hello", finish_reason="stop")]
    message = client.with_options(max_retries=1).messages.create(model="m", max_tokens=9, messages=HI)
    assert message.stop_reason == "end_turn"
    assert script.queue == []


@pytest.mark.parametrize("key", [{"api_key": "sesame"}, {"api_key": None, "auth_token": "sesame"}])
def test_the_gate_takes_the_key_in_both_headers(key: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with scripted_relay(api_key="sesame") as (url, script):
        script.answer = ChatResponse(text="Hello", finish_reason="stop")
        with anthropic_sdk(url, **key) as client:
            assert client.messages.create(model="m", max_tokens=9, messages=HI).content
        with anthropic_sdk(url, api_key="wrong") as client, pytest.raises(anthropic.AuthenticationError) as caught:
            client.messages.create(model="m", max_tokens=9, messages=HI)
        assert caught.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_models_have_this_wires_form_for_its_clients(prefix: str) -> None:
    with scripted_relay() as (url, script), anthropic_sdk(url, prefix) as client:
        assert [(model.id, model.display_name, model.type) for model in client.models.list()] == [
            ("s-1", "s-1", "model"),
            ("s-2", "s-2", "model"),
        ]
        script.answer = ChatResponse(text="Hello", finish_reason="stop")
        assert client.messages.create(model="m", max_tokens=9, messages=HI).content  # also without a prefix
        with pytest.raises(anthropic.NotFoundError) as caught:
            client.models.retrieve("s-3")
        assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


async def test_the_asynchronous_sdk(client: anthropic.Anthropic, script: Scripted) -> None:
    script.streams(Chunk(text="Hel"), Chunk(text="lo"), Chunk(finish_reason="stop"))
    async with (
        anthropic.AsyncAnthropic(base_url=str(client.base_url), api_key="none", max_retries=0) as other,
        other.messages.stream(model="m", max_tokens=9, messages=HI) as stream,
    ):
        assert [text async for text in stream.text_stream] == ["Hel", "lo"]
