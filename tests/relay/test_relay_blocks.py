"""Answers as blocks, whatever order their pieces come in: nothing lost, nothing twice, one block open at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.calls.accumulator import Accumulator
from llmclients.errors import APIResponseError
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}
META = ReplyMeta("msg_0", 7, "asked")


def events_of(name: str, chunks: list[Chunk]) -> list[dict[str, Any]]:
    encoder = CODEC[name].stream_encoder(RelayedCall([]), META)
    data = b"".join([*map(encoder.feed, chunks), encoder.finish()]).decode()
    return [json.loads(event.partition("\ndata: ")[2]) for event in data.split("\n\n") if event]


def read_anthropic(events: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str, str]]]:
    """Reasoning, text and calls, after checking that each block is ended before the next begins."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events[1:-2]:
        type_ = event["type"]
        assert is_open is (type_ != "content_block_start")
        if type_ == "content_block_start":
            blocks.append(event["content_block"] | {"deltas": ""})
        assert event["index"] == len(blocks) - 1
        if type_ == "content_block_delta":
            blocks[-1]["deltas"] += next(value for name, value in event["delta"].items() if name != "type")
        is_open = type_ != "content_block_stop"
    assert not is_open
    texts = {type_: "".join(one["deltas"] for one in blocks if one["type"] == type_) for type_ in ("thinking", "text")}
    calls = [(one["id"], one["name"], one["deltas"] or "{}") for one in blocks if one["type"] == "tool_use"]
    return texts["thinking"], texts["text"], calls


def read_responses(events: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str, str]]]:
    """Reasoning, text and calls, after checking that the pieces are what the items are."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    pieces: dict[str, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            pieces[event["item_id"]] = pieces.get(event["item_id"], "") + event["delta"]
    items = events[-1]["response"]["output"]
    assert items == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    texts = {"reasoning": "", "message": ""}
    calls = []
    for item in items:
        if item["type"] == "function_call":
            calls.append((item["call_id"], item["name"], item["arguments"]))
            assert pieces[item["id"]] == item["arguments"]
        else:
            (part,) = item.get("summary") or item["content"]
            texts[item["type"]] += part["text"]
            assert pieces[item["id"]] == part["text"]
    return texts["reasoning"], texts["message"], calls


READERS = {"anthropic": read_anthropic, "openai-responses": read_responses}

ARGUMENTS = st.sampled_from(["", "{}", '{"a": 1}', '{"a": "}{"}', '{"é": [1, {"b": null}]}'])


@st.composite
def answers(draw: st.DrawFn) -> list[Chunk]:
    """An answer with calls whose pieces are mixed, as some servers send them."""
    chunks = [Chunk(text=draw(st.sampled_from("ab"))) for _ in range(draw(st.integers(0, 2)))]
    chunks += [Chunk(reasoning="r"), Chunk(text="c")] if draw(st.booleans()) else []
    streams = []
    for index in range(draw(st.integers(0, 3))):
        arguments = draw(ARGUMENTS)
        cut = draw(st.integers(0, len(arguments)))
        named = draw(st.sampled_from(["whole", "name later", "id later"]))
        first = ToolCallDelta(index=index, id=f"i{index}", name=f"f{index}", arguments=arguments[:cut])
        pieces = [first, ToolCallDelta(index=index, arguments=arguments[cut:])]
        if named != "whole":
            lacking = "name" if named == "name later" else "id"
            pieces[1] = pieces[1].model_copy(update={lacking: getattr(first, lacking)})
            pieces[0] = first.model_copy(update={lacking: None})
        streams.append(pieces)
    order = draw(st.permutations([index for index, pieces in enumerate(streams) for _ in pieces]))
    chunks += [Chunk(tool_calls=[streams[index].pop(0)]) for index in order]
    return [*chunks, Chunk(finish_reason="stop")]


def accumulated(chunks: list[Chunk]) -> ChatResponse:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.response()


@given(answers(), st.sampled_from(list(READERS)))
def test_mixed_pieces_come_out_as_one_block_after_another(chunks: list[Chunk], name: str) -> None:
    reasoning, text, calls = READERS[name](events_of(name, chunks))
    whole = accumulated(chunks)
    assert (reasoning, text) == (whole.reasoning or "", whole.text)
    assert sorted(calls) == [(call.id, call.name, call.arguments_text) for call in whole.tool_calls]


def test_the_first_call_streams_while_the_others_wait() -> None:
    encoder = CODEC["anthropic"].stream_encoder(RelayedCall([]), META)
    first, second = (ToolCallDelta(index=index, id=str(index), name="f", arguments='{"a":') for index in range(2))
    assert b"content_block_start" in encoder.feed(Chunk(tool_calls=[first]))
    assert encoder.feed(Chunk(tool_calls=[second])) == b""
    assert b'"1}"' in encoder.feed(Chunk(tool_calls=[ToolCallDelta(index=0, arguments="1}")]))
    assert encoder.feed(Chunk(tool_calls=[ToolCallDelta(index=1, arguments="2}")])) == b""
    assert encoder.finish().count(b"content_block_start") == 2  # the event's name, and its type


@pytest.mark.parametrize("name", READERS)
def test_a_call_that_goes_on_after_its_end_is_an_error(name: str) -> None:
    encoder = CODEC[name].stream_encoder(RelayedCall([]), META)
    encoder.feed(Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="f", arguments="{}")]))
    encoder.feed(Chunk(text="So."))
    encoder.feed(Chunk(tool_calls=[ToolCallDelta(index=0)]))  # nothing more
    with pytest.raises(APIResponseError, match="after its end"):
        encoder.feed(Chunk(tool_calls=[ToolCallDelta(index=0, arguments="{}")]))
