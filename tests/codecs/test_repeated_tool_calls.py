"""The other wires' tool calls, told more than once, or without what should tell them apart."""

from __future__ import annotations

import json
from typing import Any

from helpers import Outcome, cut_at, decode
from tables import table

from llmclients import Client, Message
from llmclients.errors import APIResponseError
from llmclients.providers.registry import find_provider
from llmclients.testing import MockTransport, Reply


def event(payload: dict[str, Any]) -> str:
    return f"event: {payload.get('type', 'message')}\ndata: {json.dumps(payload)}\n\n"


def found(provider: str, data: str) -> Outcome:
    """What a stream comes to, however it is cut."""
    codec, whole = find_provider(provider).load_codec(), data.encode()
    kind = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
    outcomes = [
        decode(codec.stream_decoder(kind), pieces)
        for pieces in ([whole], cut_at(whole, list(range(len(whole)))), cut_at(whole, list(range(0, len(whole), 11))))
    ]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return outcomes[0]


def calls(provider: str, data: str) -> list[tuple[str, str, str]]:
    outcome = found(provider, data)
    assert outcome.error is None, outcome.message
    return [(call.id, call.name, call.arguments_text) for call in outcome.response.tool_calls]


def fails(provider: str, data: str, message: str) -> None:
    outcome = found(provider, data)
    assert outcome.error is APIResponseError
    assert message in outcome.message


# --- Anthropic ------------------------------------------------------------------------------------------------------


def anthropic(*payloads: dict[str, Any]) -> str:
    end: list[dict[str, Any]] = [
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]
    return "".join(map(event, [{"type": "message_start", "message": {}}, *payloads, *end]))


def block(id: str, name: str = "f", index: int | None = 0, input: Any = None, **more: Any) -> dict[str, Any]:
    content = {"type": "tool_use", "id": id, "name": name, "input": input or {}, **more}
    return {"type": "content_block_start", **at(index), "content_block": content}


def at(index: int | None) -> dict[str, Any]:
    return {} if index is None else {"index": index}


def input_delta(text: str, index: int | None = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", **at(index), "delta": {"type": "input_json_delta", "partial_json": text}}


def stop(index: int | None = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", **at(index)}


def test_anthropic_blocks_that_are_told_twice_or_share_an_index() -> None:
    whole = input_delta('{"q":1}')

    assert calls("anthropic", anthropic(block("a"), whole, whole, stop())) == [("a", "f", '{"q":1}')]
    assert calls("anthropic", anthropic(block("a"), block("a"), whole, stop())) == [("a", "f", '{"q":1}')]
    assert calls("anthropic", anthropic(block("a"), input_delta("{}"), whole, stop())) == [("a", "f", '{"q":1}')]
    assert calls("anthropic", anthropic(block("a"), input_delta("{}"), stop())) == [("a", "f", "{}")]
    assert calls("anthropic", anthropic(block("a", input={"q": 1}), whole, stop())) == [("a", "f", '{"q":1}')]
    assert calls("anthropic", anthropic(block("a", input={"q": 1}), stop())) == [("a", "f", '{"q": 1}')]
    two = anthropic(block("a"), whole, stop(), block("b", "g"), input_delta('{"q":2}'), stop())
    assert calls("anthropic", two) == [("a", "f", '{"q":1}'), ("b", "g", '{"q":2}')]
    no_index = [block("a", index=None), input_delta('{"q":1}', None), stop(None), block("b", "g", None), stop(None)]
    assert calls("anthropic", anthropic(*no_index)) == [("a", "f", '{"q":1}'), ("b", "g", "{}")]
    fails("anthropic", anthropic(block("a"), whole, input_delta('{"q":2}'), stop()), "not the same")


def test_anthropic_blocks_of_one_index_all_go_back() -> None:
    thinking = {"type": "thinking", "thinking": "t", "signature": "s"}
    first = {"type": "content_block_start", "index": 0, "content_block": thinking}

    outcome = found("anthropic", anthropic(first, stop(), block("a"), input_delta('{"q":1}'), stop()))

    called = {"type": "tool_use", "id": "a", "name": "f", "input": {"q": 1}}
    assert outcome.response.provider_data == {"anthropic": [thinking, called]}


def test_a_block_of_anthropic_with_members_of_its_own_goes_back_as_it_came() -> None:
    outcome = found("anthropic", anthropic(block("a", caller={"type": "direct"}), input_delta('{"q":1}'), stop()))

    called = {"type": "tool_use", "id": "a", "name": "f", "input": {"q": 1}, "caller": {"type": "direct"}}
    assert outcome.response.provider_data == {"anthropic": [called]}


# --- the Responses wire ---------------------------------------------------------------------------------------------


def item(id: str, name: str = "f", arguments: str = "", call_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": id,
        "call_id": call_id or f"call_{id}",
        "name": name,
        "arguments": arguments,
        **more,
    }


def added(place: int, entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": place, "item": entry}


def done(place: int, entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": entry}


def arguments(kind: str, place: int, id: str, text: str) -> dict[str, Any]:
    member = "delta" if kind == "delta" else "arguments"
    return {
        "type": f"response.function_call_arguments.{kind}",
        "output_index": place,
        "item_id": id,
        member: text,
    }


def responses(*payloads: dict[str, Any], output: list[Any] | None = None) -> str:
    ended = {"type": "response.completed", "response": {"status": "completed", "output": output or []}}
    return "".join(map(event, [*payloads, ended]))


def test_responses_items_that_are_told_again() -> None:
    pieces = [added(0, item("a")), arguments("delta", 0, "a", '{"q"'), arguments("delta", 0, "a", ":1}")]
    whole = item("a", arguments='{"q": 1}')
    one = [("call_a", "f", '{"q":1}')]

    assert calls("openai-responses", responses(*pieces)) == one
    assert calls("openai-responses", responses(*pieces, arguments("done", 0, "a", '{"q":1}'), done(0, whole))) == one
    assert calls("openai-responses", responses(*pieces, done(0, whole), done(0, whole), output=[whole])) == one
    assert calls("openai-responses", responses(*pieces, arguments("delta", 0, "a", '{"q":1}'))) == one
    assert calls("openai-responses", responses(*pieces, output=[item("z", arguments='{"q":1}')])) == one, "another id"
    assert calls("openai-responses", responses(*pieces[:2], arguments("done", 0, "a", '{"q":1}'))) == one, (
        "a piece lost"
    )
    assert calls("openai-responses", responses(added(0, item("a", arguments='{"q":1}')))) == one, "and nothing more"
    fails("openai-responses", responses(*pieces, arguments("done", 0, "a", '{"q":2}')), "not the same")


def test_two_responses_calls_with_one_id_are_told_apart_by_their_names() -> None:
    first, second = item("a", "f", "{}", "c"), item("b", "g", '{"q":1}', "c")
    events = [added(0, first), done(0, first), added(1, second), done(1, second)]

    assert calls("openai-responses", responses(*events, output=[first, second])) == [
        ("c", "f", "{}"),
        ("c", "g", '{"q":1}'),
    ]


def test_a_responses_call_with_members_of_its_own_goes_back_as_it_came() -> None:
    called = item("a", arguments="{}", extra_content={"google": {"thought_signature": "s"}})

    outcome = found("openai-responses", responses(added(0, called), done(0, called), output=[called]))

    assert outcome.response.provider_data == {"openai-responses": [called]}


# --- Cohere, Ollama, Gemini -----------------------------------------------------------------------------------------


def cohere(*payloads: dict[str, Any]) -> str:
    return "".join(map(event, [*payloads, {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}]))


def cohere_call(kind: str, index: int | None = 0, **entry: Any) -> dict[str, Any]:
    return {"type": f"tool-call-{kind}", **at(index), "delta": {"message": {"tool_calls": entry}}}


def test_cohere_calls_that_are_told_again() -> None:
    start = cohere_call("start", id="a", function={"name": "f", "arguments": ""})
    whole = cohere_call("delta", function={"arguments": '{"q":1}'})
    other = cohere_call("delta", function={"arguments": '{"q":2}'})
    empty = cohere_call("start", function={"name": "f", "arguments": "{}"})
    end = {"type": "tool-call-end", "index": 0}

    assert calls("cohere", cohere(start, whole, whole, end)) == [("a", "f", '{"q":1}')]
    assert calls("cohere", cohere(start, start, whole, end)) == [("a", "f", '{"q":1}')]
    assert calls("cohere", cohere(empty, end)) == [("call_0", "f", "{}")]
    assert calls("cohere", cohere(empty, whole, end)) == [("call_0", "f", '{"q":1}')]
    fails("cohere", cohere(start, whole, other), "not the same")


def ollama(*messages: dict[str, Any], last: dict[str, Any] | None = None) -> str:
    lines = [{"message": message, "done": False} for message in messages]
    return "".join(json.dumps(line) + "\n" for line in [*lines, {"message": last or {}, "done": True}])


def test_ollama_calls_that_come_again() -> None:
    def called(*entries: dict[str, Any]) -> dict[str, Any]:
        return {"role": "assistant", "content": "", "tool_calls": list(entries)}

    one = {"id": "a", "function": {"name": "f", "arguments": {"q": 1}}}
    two = {"function": {"name": "g", "arguments": {}}}

    assert calls("ollama", ollama(called(one), called(one))) == [("a", "f", '{"q": 1}')]
    assert calls("ollama", ollama(called(two), last=called(two))) == [("call_0", "g", "{}")]
    assert calls("ollama", ollama(called(two), called(two))) == [("call_0", "g", "{}"), ("call_1", "g", "{}")]
    assert calls("ollama", ollama(called(one), last=called(two))) == [("a", "f", '{"q": 1}'), ("call_1", "g", "{}")]


def test_gemini_parts_that_come_again() -> None:
    def gemini(*parts: dict[str, Any]) -> str:
        last = {"candidates": [{"finishReason": "STOP"}]}
        payloads = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]
        return "".join(f"data: {json.dumps(payload)}\n\n" for payload in [*payloads, last])

    with_id = {"functionCall": {"id": "a", "name": "f", "args": {"q": 1}}}
    signed = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}
    plain = {"functionCall": {"name": "f", "args": {}}}

    assert [name for _, name, _ in calls("gemini", gemini(with_id, with_id))] == ["f"]
    assert [name for _, name, _ in calls("gemini", gemini(signed, signed))] == ["f"]
    assert found("gemini", gemini(signed, signed)).response.provider_data == {"gemini": [signed]}
    assert [name for _, name, _ in calls("gemini", gemini(plain, plain))] == ["f", "f"], "nothing tells: a model may"


@table("provider", ["ollama", "cohere"])
def test_what_a_call_has_besides_goes_back_with_it(provider: str) -> None:
    entry = {"id": "a", "function": {"name": "f", "arguments": {} if provider == "ollama" else "{}"}, "signature": "s"}
    message = {"role": "assistant", "content": "" if provider == "ollama" else [], "tool_calls": [entry]}
    mock = MockTransport([Reply(json={"message": message, "done": True, "finish_reason": "TOOL_CALL"})] * 2)
    with Client(provider, model="m", api_key="k", transport=mock, retry=None) as client:
        response = client.chat("Hi")
        client.chat([Message("user", "Hi"), response.message, Message("tool", "4", tool_call_id="a")])

    sent = json.loads(mock.requests[1].body)["messages"][1]["tool_calls"][0]
    assert sent["signature"] == "s"
    assert sent["id"] == "a"
