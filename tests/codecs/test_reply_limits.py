"""What a reply may cost: millions of values in little JSON, and thousands of tool calls, are refused at once."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from helpers import decode
from tables import table

from llmclients import APIResponseError, APIStatusError, AsyncClient, Client, ToolCall
from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.call_arguments import CallArguments
from llmclients.codecs.openai_chat.reply import EventDecoder
from llmclients.errors import ResponseTooLargeError
from llmclients.providers.registry import find_provider
from llmclients.testing import MockTransport, Reply
from llmclients.types.limits import MAX_TOOL_CALLS, has_too_many_values
from llmclients.types.response import Chunk, ToolCallDelta

pytestmark = pytest.mark.long

JSON_WIRES = ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama", "ylokh")
MANY = 1_100_000
BOMBS: dict[str, bytes] = {
    "objects": b'{"x":[' + b"{}," * MANY + b"{}]}",
    "lists": b'{"x":[' + b"[]," * MANY + b"[]]}",
    "numbers": b'{"x":[' + b"1," * 2 * MANY + b"1]}",
    "members": b"{" + b'"":0,' * 2 * MANY + b'"":0}',
}


def both(reply: Callable[[], Reply], ask: str) -> list[Any]:
    """What a call comes to, by each client."""

    def transport() -> MockTransport:
        return MockTransport([reply()])

    arguments: dict[str, Any] = {"api_key": "k", "retry": None}
    found: list[Any] = []
    with Client("openai/m", transport=transport(), **arguments) as client:
        try:
            found.append(client.models() if ask == "models" else client.chat("x"))
        except Exception as error:  # noqa: BLE001 - any is looked at
            found.append(error)

    async def main() -> Any:
        async with AsyncClient("openai/m", transport=transport(), **arguments) as client:
            return await (client.models() if ask == "models" else client.chat("x"))

    try:
        found.append(asyncio.run(main()))
    except Exception as error:  # noqa: BLE001
        found.append(error)
    return found


@table("provider", JSON_WIRES)
def test_json_of_millions_of_values_is_refused_before_it_is_parsed(provider: str) -> None:
    codec = find_provider(provider).load_codec()
    began = time.process_time()
    # All count with one function: one wire shows each kind of values, the others that they ask it.
    at = JSON_WIRES.index(provider)
    for bomb in list(BOMBS.values()) if at == 0 else [list(BOMBS.values())[at % len(BOMBS)]]:
        with pytest.raises(ResponseTooLargeError, match="values"):
            codec.decode(bomb)
        kind = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
        data = bomb + b"\n" if provider == "ollama" else b"data: " + bomb + b"\n\n"
        assert decode(codec.stream_decoder(kind), [data]).error is ResponseTooLargeError
        assert codec.decode_error(500, {}, bomb).status_code == 500
    assert time.process_time() - began < 5


def test_a_small_gzip_that_grows_to_millions_of_values_is_an_error_in_both_clients() -> None:
    packed = gzip.compress(b'{"choices":[{"message":{"tool_calls":[' + b"{}," * MANY + b"{}]}}]}", 9)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert len(packed) < 6_000
    for ask in ("chat", "models"):
        for found in both(lambda: Reply(body=packed, headers=headers), ask):
            assert isinstance(found, ResponseTooLargeError), found
    for found in both(lambda: Reply(500, body=packed, headers=headers), "chat"):
        assert isinstance(found, APIStatusError)
        assert len(str(found)) < 1_000


def test_what_is_large_and_harmless_is_read() -> None:
    text = "word, word: {x} [y] " * 90_000
    whole = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    top = [{"token": "a", "logprob": -1.5, "bytes": [97]}] * 20
    logprobs = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": top}] * 4_000}
    with_logprobs = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop", "logprobs": logprobs}]}
    for payload in (whole, with_logprobs):
        body = json.dumps(payload).encode()
        assert len(body) > 1_500_000
        assert not has_too_many_values(body)


def test_arguments_of_millions_of_values_are_not_parsed() -> None:
    call = ToolCall("a", "f", BOMBS["objects"].decode())

    assert not call.is_readable
    with pytest.raises(APIResponseError, match="too many values"):
        _ = call.arguments


# --- tool calls -----------------------------------------------------------------------------------------------------


def entries(count: int) -> list[dict[str, Any]]:
    return [{"id": f"i{number}", "index": 0, "function": {"name": "f"}} for number in range(count)]


@table("count", [MAX_TOOL_CALLS, MAX_TOOL_CALLS + 1, 30_000])
def test_an_answer_of_more_than_a_thousand_tool_calls_is_an_error(count: int) -> None:
    message = {"content": None, "tool_calls": entries(count)}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    for found in both(lambda: Reply(body=whole, headers={"Content-Type": "application/json"}), "chat"):
        if count > MAX_TOOL_CALLS:
            assert type(found) is APIResponseError
            assert "tool calls" in str(found)
        else:
            assert len(found.tool_calls) == count


def test_the_limit_holds_for_the_chunks_of_any_codec() -> None:
    accumulator = Accumulator()
    for index in range(MAX_TOOL_CALLS):
        accumulator.add(Chunk(tool_calls=[ToolCallDelta(index=index, id="a", name="f")]))

    accumulator.add(Chunk(tool_calls=[ToolCallDelta(index=0, arguments="{}")]))
    with pytest.raises(APIResponseError, match="more than 1,000 tool calls"):
        accumulator.add(Chunk(tool_calls=[ToolCallDelta(index=MAX_TOOL_CALLS)]))


def check_cost(read: Callable[[int], Any], count: int) -> None:
    """That four times as much takes not ten times as long, in one of three times.

    Without the garbage collector, which looks at all that the process of the tests has.
    """

    def cpu(count: int) -> float:
        began = time.process_time()
        read(count)
        return time.process_time() - began

    gc.disable()
    try:
        limit = 10 * min(cpu(count) for _ in range(3))
        assert any(cpu(4 * count) < limit for _ in range(3))
    finally:
        gc.enable()


def test_tool_calls_cost_in_proportion_to_their_number() -> None:
    def read(count: int) -> None:
        data = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": entries(count)}}]}).encode()
        list(EventDecoder().feed(b"data: " + data + b"\n\n"))

    check_cost(read, 2_000)


@table(
    "pieces",
    [
        lambda count: ['{"q":"', *["x"] * count],
        lambda count: ['{"q":[', *["[]", ","] * count],
        lambda count: ['{"q":{}}', *['{"q":', "{}}"] * count],
        lambda count: ["{", *['"a', '":"}"', ","] * count],
    ],
    ids=["a long text", "lists inside", "again and again", "brackets in texts"],
)
def test_pieces_of_arguments_cost_in_proportion_to_their_number(pieces: Callable[[int], list[str]]) -> None:
    def read(count: int) -> None:
        arguments = CallArguments()
        for piece in pieces(count):
            arguments.add(piece)

    check_cost(read, 4_000)


def test_reasoning_items_cost_in_proportion_to_their_number() -> None:
    def read(count: int) -> None:
        decoder = find_provider("openai-responses").load_codec().stream_decoder("text/event-stream")
        for number in range(count):
            item = {"type": "reasoning", "id": f"r{number}", "summary": [{"type": "summary_text", "text": "x"}]}
            event = {"type": "response.output_item.done", "output_index": number, "item": item}
            list(decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))

    check_cost(read, 1_000)
