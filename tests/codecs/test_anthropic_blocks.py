"""How Anthropic's content blocks are put together: what goes back with the next turn, tool calls, token counts."""

from __future__ import annotations

import json
from typing import Any

from helpers import decode, whole_reply
from tables import table
from test_anthropic import CODEC, payload, text, user


def event(event_type: str, **members: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps({"type": event_type, **members}).encode()


# --- what goes back -------------------------------------------------------------------------------------------------


def sent_back(*blocks: tuple[dict[str, Any], dict[str, Any] | None]) -> Any:
    """The `provider_data` of a stream of these blocks: what each starts with, and its delta."""
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "m", "content": []}}]
    for index, (start, delta) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        if delta is not None:
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, {"type": "message_stop"}]
    stream = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    found = decode(CODEC.stream_decoder("text/event-stream"), [stream.encode()])
    assert found.done, found.message
    return (found.response.provider_data or {}).get("anthropic")


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "S"}


def test_thinking_that_was_cut_before_its_signature_does_not_go_back() -> None:
    cut = {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "We"}

    assert sent_back((SIGNED, None), cut) == [SIGNED]
    assert sent_back(cut) is None
    reply = {"content": [SIGNED, {"type": "thinking", "thinking": "We", "signature": ""}], "stop_reason": "max_tokens"}
    assert whole_reply(CODEC, json.dumps(reply).encode()).provider_data == {"anthropic": [SIGNED]}


def test_the_input_of_a_call_of_any_kind_is_put_together() -> None:
    start = {"type": "mcp_tool_use", "id": "a", "name": "f", "server_name": "s", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"city": "Oslo"}'}

    assert sent_back((SIGNED, None), (start, delta)) == [SIGNED, start | {"input": {"city": "Oslo"}}]


def test_a_block_with_a_delta_of_an_unknown_member_does_not_go_back() -> None:
    delta = {"type": "input_json_delta", "partial_json": "{}"}

    assert sent_back((SIGNED, None), ({"type": "novel"}, delta)) is None


@table("text", ['{"city": "Os', "[1]", "null", '"Oslo"'])
def test_a_call_with_an_input_that_is_no_object_does_not_go_back(text: str) -> None:
    start = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": text}

    assert sent_back((SIGNED, None), (start, delta)) is None


def test_the_input_that_came_with_a_call_s_start_is_handed_out_once() -> None:
    start = {"type": "tool_use", "id": "a", "name": "f", "input": {"city": "Oslo"}}
    stop = event("content_block_stop", index=0)

    found = decode(CODEC.stream_decoder(""), [event("content_block_start", index=0, content_block=start), stop, stop])

    assert [(call.id, call.arguments) for call in found.response.tool_calls] == [("a", {"city": "Oslo"})]


def test_calls_are_counted_without_those_that_run_at_the_provider() -> None:
    types = ["server_tool_use", "tool_use", "text", "server_tool_use", "tool_use"]
    content = [{"type": type_, "id": str(place), "name": "f", "input": {}} for place, type_ in enumerate(types)]

    chunk = CODEC.decode(json.dumps({"content": content, "stop_reason": "tool_use"}).encode())
    starts = [event("content_block_start", index=place, content_block=block) for place, block in enumerate(content)]
    streamed = [delta for piece in CODEC.stream_decoder("").feed(b"".join(starts)) for delta in piece.tool_calls]

    assert [(call.index, call.id, call.arguments) for call in chunk.tool_calls] == [(0, "1", "{}"), (1, "4", "{}")]
    assert [(call.index, call.id, call.arguments) for call in streamed] == [(0, "1", ""), (1, "4", "")]


def test_an_index_stands_for_the_block_that_last_started_with_it() -> None:
    def call(id: str, city: str) -> list[bytes]:
        start = {"type": "tool_use", "id": id, "name": "f", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps({"city": city})}
        started = event("content_block_start", index=0, content_block=start)
        return [started, event("content_block_delta", index=0, delta=delta), event("content_block_stop", index=0)]

    end = [event("message_delta", delta={"stop_reason": "tool_use"}), event("message_stop")]
    found = decode(CODEC.stream_decoder(""), [*call("a", "Oslo"), *call("b", "Rome"), *end]).response

    assert [(call.id, call.arguments) for call in found.tool_calls] == [
        ("a", {"city": "Oslo"}),
        ("b", {"city": "Rome"}),
    ]


def test_a_call_that_came_without_an_id_goes_back_without_one() -> None:
    content = [SIGNED, {"type": "tool_use", "name": "f", "input": {}}]
    response = whole_reply(CODEC, json.dumps({"content": content, "stop_reason": "tool_use"}).encode())

    assert payload([user("Hi"), response.message])["messages"][1]["content"] == content


def test_a_long_answer_goes_back_whole() -> None:
    words = [f"word {number} " for number in range(10_000)]
    stream = [event("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "x"})]
    stream.append(event("content_block_start", index=1, content_block=text("")))
    stream += [event("content_block_delta", index=1, delta={"type": "text_delta", "text": word}) for word in words]
    stream += [event("message_delta", delta={"stop_reason": "end_turn"}), event("message_stop")]

    found = decode(CODEC.stream_decoder("text/event-stream"), [b"".join(stream)]).response

    assert found.text == "".join(words)
    assert found.provider_data == {"anthropic": [{"type": "redacted_thinking", "data": "x"}, text("".join(words))]}
