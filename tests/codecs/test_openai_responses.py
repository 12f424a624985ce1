"""The Responses API under generated streams, cut, truncated, corrupted and with every node of the wrong type."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import Outcome, cut_at, decode, plain, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from responses_wire import Answer, answers, event
from tables import table

from llmclients.codecs.openai_responses.codec import OpenAIResponsesCodec
from llmclients.errors import APIError, APIResponseError, APIStatusError, StreamInterruptedError
from llmclients.types.response import Chunk

CODEC = OpenAIResponsesCodec()

# --- generated streams ----------------------------------------------------------------------------------------------

HOW = st.sampled_from(["all", "done", "items", "end"])
PLACES = st.lists(st.integers(0, 4000), max_size=10)


def read(pieces: list[bytes]) -> Outcome:
    return decode(CODEC.stream_decoder("text/event-stream"), pieces)


def written(answer: Answer, how: str = "all", **options: Any) -> bytes:
    return "".join(event(event_type, **options, **members) for event_type, members in answer.events(how)).encode()


@given(answers(), HOW, PLACES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_stream_comes_to_what_the_reply_does_however_it_is_cut_and_told(
    answer: Answer, how: str, places: list[int], line_end: str, ascii_only: bool
) -> None:
    found = read(cut_at(written(answer, how, line_end=line_end, ascii_only=ascii_only), places))

    assert found.error is None, found.message
    assert found.done
    assert plain(found.response) == answer.expected
    assert plain(whole_reply(CODEC, json.dumps(answer.response).encode())) == answer.expected


@given(answers(), HOW, PLACES, st.data())
def test_a_stream_that_ends_early_is_never_a_success(
    answer: Answer, how: str, places: list[int], data: st.DataObject
) -> None:
    whole = written(answer, how)

    found = read(cut_at(whole[: data.draw(st.integers(0, len(whole) - 1))], places))

    assert found.error is StreamInterruptedError
    assert not found.done
    assert answer.expected.get("text", "").startswith(found.response.text)
    assert answer.expected.get("reasoning", "").startswith(found.response.reasoning or "")


@given(answers(), PLACES, st.data())
def test_a_corrupt_byte_is_read_or_rejected_but_never_crashes(
    answer: Answer, places: list[int], data: st.DataObject
) -> None:
    stream = written(answer)
    at = data.draw(st.integers(0, len(stream) - 1))
    corrupt = stream[:at] + bytes([data.draw(st.integers(0, 255))]) + stream[at + 1 :]

    whole = read([corrupt])

    assert read(cut_at(corrupt, places)) == whole
    assert whole.done == (whole.error is None)


def test_nothing_comes_before_the_answer_does_so_that_a_failure_there_can_be_tried_again() -> None:
    decoder = CODEC.stream_decoder("text/event-stream")
    response = {"response": {"id": "r", "model": "m"}}
    item = {"output_index": 0, "item": {"type": "message", "id": "a", "content": []}}
    before = [("response.created", response), ("response.in_progress", response), ("response.output_item.added", item)]

    assert [
        chunk for event_type, members in before for chunk in decoder.feed(event(event_type, **members).encode())
    ] == []
    (first,) = decoder.feed(event("response.output_text.delta", output_index=0, delta="Hi").encode())
    (second,) = decoder.feed(event("response.output_text.delta", output_index=0, delta="!").encode())

    assert (first.text, first.role, first.model, first.id) == ("Hi", "assistant", "m", "r")
    assert (second.text, second.role, second.model, second.id) == ("!", None, None, None)
    assert second.raw == {"type": "response.output_text.delta", "output_index": 0, "delta": "!"}


# --- every node of the wrong type -----------------------------------------------------------------------------------

LOGPROB = {"token": "F", "logprob": -1, "top_logprobs": [{"token": "F", "logprob": -0.5}]}
OUTPUT: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "S"}], "encrypted_content": "g"},
    {
        "type": "message",
        "id": "m",
        "content": [
            {"type": "output_text", "text": "F", "logprobs": [LOGPROB]},
            {"type": "refusal", "refusal": "R"},
        ],
    },
    {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"},
]
REPLY: dict[str, Any] = {
    "id": "resp_1",
    "status": "incomplete",
    "model": "m",
    "error": None,
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": OUTPUT,
    "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {}},
}
PLACE = {"output_index": 0, "item_id": "m", "content_index": 0, "summary_index": 0}
EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "model": "m"}},
    {"type": "response.output_text.delta", **PLACE, "delta": "F", "logprobs": [LOGPROB]},
    {"type": "response.output_text.done", **PLACE, "text": "F"},
    {"type": "response.refusal.done", **PLACE, "refusal": "R"},
    {"type": "response.reasoning_summary_text.delta", **PLACE, "delta": "S"},
    {"type": "response.reasoning_text.done", **PLACE, "text": "S"},
    {"type": "response.function_call_arguments.delta", **PLACE, "delta": "{"},
    {"type": "response.function_call_arguments.done", **PLACE, "arguments": "{}"},
    *({"type": "response.output_item.added", "output_index": 0, "item": item} for item in OUTPUT),
    *({"type": "response.output_item.done", "output_index": 0, "item": item} for item in OUTPUT),
    {"type": "response.incomplete", "response": REPLY},
    {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}},
    {"type": "error", "error": {"type": "t", "code": "server_error", "message": "m"}, "code": "c", "message": "m"},
]
OTHERS: list[Any] = [None, True, False, "", "0", "🌊", [], [None], ["x"], [[]], {}, {"x": 1}, 0, 1, 10**30, 1.5, 1e300]
END = event("response.completed", response={}).encode()


def variants(node: Any) -> Iterator[Any]:
    yield from OTHERS
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        for other in variants(value):
            changed = copy.copy(node)
            changed[name] = other
            yield changed
        if isinstance(node, dict):
            yield {key: kept for key, kept in node.items() if key != name}


@pytest.mark.long
@table("sample", EVENTS, ids=lambda sample: sample["type"])
def test_an_event_with_any_node_of_another_type_is_read_or_an_api_error(sample: dict[str, Any]) -> None:
    outcomes = set()
    before = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in EVENTS[:2])
    for payload in variants(sample):
        found = read([before + b"data: " + json.dumps(payload).encode() + b"\n\n" + END])
        outcomes.add(found.error)
        assert found.done == (found.error is None)
        json.dumps(found.response.model_dump(mode="json"))

    assert APIResponseError in outcomes


def test_a_reply_with_any_node_of_another_type_is_read_or_an_api_error() -> None:
    rejected = 0
    for payload in variants(REPLY):
        body = json.dumps(payload).encode()
        try:
            response = whole_reply(CODEC, body)
        except APIError:
            rejected += 1
        else:
            assert response.raw == json.loads(body)

    assert rejected


@given(st.binary(), st.integers(400, 599))
def test_an_error_body_can_be_anything(body: bytes, status: int) -> None:
    error = CODEC.decode_error(status, {}, body)

    assert isinstance(error, APIStatusError)
    assert error.status_code == status


def test_encrypted_reasoning_without_a_word_to_read_is_a_chunk_all_the_same() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA=="}
    event = {"type": "response.output_item.done", "output_index": 0, "item": item}
    decoder = CODEC.stream_decoder("text/event-stream")

    (chunk,) = decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n")

    assert chunk == Chunk(raw=event)
