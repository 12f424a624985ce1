"""How Anthropic's content blocks are put together: what goes back with the next turn, tool calls, token counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import decode, whole_reply
from test_anthropic import CODEC, text

from llmclients.errors import APIResponseError

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


def test_a_long_answer_goes_back_whole() -> None:
    def event(event_type: str, **members: Any) -> bytes:
        return b"data: %s\n\n" % json.dumps({"type": event_type, **members}).encode()

    words = [f"word {number} " for number in range(10_000)]
    stream = [event("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "x"})]
    stream.append(event("content_block_start", index=1, content_block=text("")))
    stream += [event("content_block_delta", index=1, delta={"type": "text_delta", "text": word}) for word in words]
    stream += [event("message_delta", delta={"stop_reason": "end_turn"}), event("message_stop")]

    found = decode(CODEC.stream_decoder("text/event-stream"), [b"".join(stream)]).response

    assert found.text == "".join(words)
    assert found.provider_data == {"anthropic": [{"type": "redacted_thinking", "data": "x"}, text("".join(words))]}


# --- token counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["1e400", "NaN", "1.5", '"3"', "true", "[]"])
def test_what_is_no_count_is_the_provider_s_error(count: str) -> None:
    usage = f'{{"input_tokens": 1, "output_tokens": {count}}}'
    message = f'{{"content": [], "stop_reason": "end_turn", "usage": {usage}}}'
    start = f'data: {{"type": "message_start", "message": {message}}}\n\n'
    end = f'data: {{"type": "message_delta", "delta": {{"stop_reason": "end_turn"}}, "usage": {usage}}}\n\n'

    with pytest.raises(APIResponseError, match="output_tokens"):
        whole_reply(CODEC, message.encode())
    for event in (start, end):
        with pytest.raises(APIResponseError, match="output_tokens"):
            list(CODEC.stream_decoder("").feed(event.encode()))
