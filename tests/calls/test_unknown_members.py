"""Members of a call or message that the library does not know, such as Gemini's signatures, go back as they came."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmclients import AsyncClient, Client, Conversation, Message, ToolCall
from llmclients.testing import MockTransport, Reply
from llmclients.transports.request import HTTPRequest

GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"
SIGNED = {"google": {"thought_signature": "sig"}}
FUNCTION = {"name": "f", "arguments": "{}"}
CALL = {"id": "c", "type": "function", "function": FUNCTION, "extra_content": SIGNED}
MESSAGE = {"role": "assistant", "content": None, "tool_calls": [CALL], "extra_content": SIGNED, "annotations": [1]}


def f() -> str:
    """Nothing much."""
    return "x"


def events(*deltas: dict[str, Any], finish_reason: str) -> Reply:
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
    data = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices) + "data: [DONE]\n\n"
    return Reply(chunks=[data.encode()], headers={"content-type": "text/event-stream"})


def server(request: HTTPRequest) -> Reply:
    """Gemini's OpenAI-compatible address: a call without its signature is refused."""
    payload = json.loads(request.body)
    asked, streams = payload["messages"], payload.get("stream")
    called = [message for message in asked if message.get("tool_calls")]
    if asked[-1]["role"] == "user":
        if not streams:
            return Reply(json={"choices": [{"message": MESSAGE, "finish_reason": "tool_calls"}]})
        begun = {**CALL, "index": 0, "function": {"name": "f", "arguments": ""}}
        more = {"index": 0, "function": {"arguments": "{}"}}
        return events(
            {"role": "assistant", "extra_content": SIGNED, "tool_calls": [begun]},
            {"tool_calls": [more]},
            finish_reason="tool_calls",
        )
    if any(message["tool_calls"][0].get("extra_content") != SIGNED for message in called):
        return Reply(400, json=[{"error": {"message": "Function call is missing a thought_signature."}}])
    if any(message.get("extra_content") != SIGNED or "annotations" in message for message in called):
        return Reply(400, json=[{"error": {"message": "The message is not what it was."}}])
    if streams:
        return events({"content": "hi"}, finish_reason="stop")
    return Reply(json={"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})


def arguments() -> dict[str, Any]:
    return {"api_key": "k", "base_url": GEMINI, "retry": None, "transport": MockTransport(server)}


def test_a_signature_goes_back_while_tools_run() -> None:
    with Client("openai/gemini-3", **arguments()) as client:
        assert client.chat("q", tools=[f], run_tools=True).text == "hi"

    async def main() -> str:
        async with AsyncClient("openai/gemini-3", **arguments()) as client:
            return (await client.chat("q", tools=[f], run_tools=True)).text

    assert asyncio.run(main()) == "hi"


def test_a_signature_that_was_streamed_goes_back() -> None:
    def go_on(message: Message) -> list[Any]:
        return ["q", message, Message("tool", "x", tool_call_id="c")]

    with Client("openai/gemini-3", **arguments()) as client:
        stream = client.stream("q", tools=[f])
        assert "".join(piece.arguments for chunk in stream for piece in chunk.tool_calls) == "{}"
        again = client.stream(go_on(stream.response.message), tools=[f])
        assert "".join(chunk.text for chunk in again) == "hi"

    async def main() -> str:
        async with AsyncClient("openai/gemini-3", **arguments()) as client:
            stream = client.stream("q", tools=[f])
            async for _ in stream:
                pass
            again = client.stream(go_on(stream.response.message), tools=[f])
            return "".join([chunk.text async for chunk in again])

    assert asyncio.run(main()) == "hi"


@pytest.mark.parametrize("streams", [False, True])
def test_a_signature_survives_a_conversation_that_is_saved(streams: bool) -> None:
    with Client("openai/gemini-3", **arguments()) as client:
        chat = client.conversation()
        if streams:
            list(chat.stream("q", tools=[f]))
        else:
            chat.chat("q", tools=[f])
        saved = chat.model_dump_json()
    with Client("openai/gemini-3", **arguments()) as client:
        loaded = Conversation.model_validate_json(saved).bind(client)
        assert loaded.chat(Message("tool", "x", tool_call_id="c"), tools=[f]).text == "hi"


def sent(client_name: str, messages: Any, **more: Any) -> list[dict[str, Any]]:
    mock = MockTransport([Reply(json={"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})])
    with Client(client_name, api_key="k", retry=None, transport=mock, **more) as client:
        client.chat(messages)
    found: list[dict[str, Any]] = json.loads(mock.requests[0].body)["messages"]
    return found


def test_a_call_in_the_form_of_the_wire_keeps_what_it_has() -> None:
    nested = {**CALL, "type": "builtin_function", "function": {**FUNCTION, "cache": 1}, "index": 0, "nothing": None}
    messages = ["q", {"role": "assistant", "tool_calls": [nested]}, Message("tool", "x", tool_call_id="c")]

    call = sent("openai/m", messages, base_url=GEMINI)[1]["tool_calls"][0]

    assert call == {
        "id": "c",
        "type": "builtin_function",
        "function": {"name": "f", "arguments": "{}", "cache": 1},
        "extra_content": SIGNED,
    }


def test_a_service_that_refuses_unknown_members_gets_none() -> None:
    call = ToolCall("c", "f", "{}", provider_data={"openai": {"extra_content": SIGNED}})
    message = Message("assistant", tool_calls=[call], provider_data={"openai": {"members": {"extra_content": SIGNED}}})
    messages = ["q", message, Message("tool", "x", tool_call_id="c")]

    for provider in ("openai", "groq", "mistral", "cerebras"):
        assert "extra_content" not in json.dumps(sent(f"{provider}/m", messages)), provider
    for provider in ("openrouter", "together", "vllm"):
        found = sent(f"{provider}/m", messages)[1]
        assert found["extra_content"] == found["tool_calls"][0]["extra_content"] == SIGNED, provider


def test_a_members_pieces_are_put_together_and_what_belongs_to_the_deltas_stays_there() -> None:
    deltas = [{"content": "a", "extra": {"list": [number], "text": "x"}, "count": number} for number in range(3)]
    noise = [{"content": "", "padding_of_its_own": str(number)} for number in range(200)]
    reply = events(*deltas, *noise, {"extra": {"signature": "s"}}, finish_reason="stop")
    with Client("openai/m", api_key="k", base_url=GEMINI, transport=MockTransport([reply])) as client:
        stream = client.stream("q")
        list(stream)

    assert stream.response.provider_data == {
        "openai": {"members": {"extra": {"list": [0, 1, 2], "text": "x", "signature": "s"}, "count": 2}}
    }


def test_a_call_without_such_members_is_saved_as_before() -> None:
    assert ToolCall("c", "f", "{}").model_dump() == {"id": "c", "name": "f", "arguments": "{}"}
    signed = ToolCall("c", "f", "{}", provider_data={"openai": {"extra_content": SIGNED}})
    assert ToolCall.model_validate(json.loads(signed.model_dump_json())) == signed
