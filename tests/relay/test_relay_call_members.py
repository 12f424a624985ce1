"""What an upstream server wants back with a tool call passes through the relay, there and back."""

from __future__ import annotations

import json
from typing import Any

from llmclients.relay.codecs.base import RelayedCall, ReplyMeta
from llmclients.relay.codecs.openai_chat import OpenAIServerCodec
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

SIGNED = {"google": {"thought_signature": "sig"}}
DATA = {"openai": {"extra_content": SIGNED}}
META = ReplyMeta("chatcmpl-0", 0, "m")


def test_the_members_of_a_call_go_out_whole_and_streamed() -> None:
    codec = OpenAIServerCodec()
    response = ChatResponse(tool_calls=[ToolCall("c", "f", "{}", DATA)], finish_reason="tool_calls")

    whole = json.loads(codec.encode(response, META))["choices"][0]["message"]["tool_calls"]
    encoder = codec.stream_encoder(RelayedCall([]), META)
    delta = ToolCallDelta(index=0, id="c", name="f", arguments="{}", provider_data=DATA)
    events = encoder.feed(Chunk(tool_calls=[delta])).decode().split("\n\n")
    streamed = json.loads(events[-2].removeprefix("data: "))["choices"][0]["delta"]["tool_calls"]

    assert whole[0]["extra_content"] == streamed[0]["extra_content"] == SIGNED


def test_they_come_back_with_the_next_request() -> None:
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function, "extra_content": SIGNED}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]

    relayed = OpenAIServerCodec().decode(json.dumps({"model": "m", "messages": messages}).encode())

    assert relayed.messages[1].tool_calls == [ToolCall("c", "f", "{}", DATA)]
