"""What the codec suite does not ask of every recording in `tests/wire/`: habits of our own wires."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import Recording, chunks_of, decode, every_split, plain, recordings

from llmclients.types.response import ChatResponse

RAW_TEXT = ("yqcloud", "yqcloud-legacy", "ai365vip")


def cases(kind: str, *, of: tuple[str, ...] | None = None) -> Any:
    found = [case for case in recordings(kind) if of is None or case.provider in of]
    return pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in found])


@cases("replies")
def test_a_whole_reply_where_a_stream_was_asked_for_comes_to_the_same(case: Recording) -> None:
    found = every_split(case.data, lambda pieces: decode(case.codec.stream_decoder("application/json"), pieces))

    case.check(found)
    assert found.done or case.fails


@cases("streams", of=RAW_TEXT)
def test_raw_text_arrives_read_by_read_and_then_stop(case: Recording) -> None:
    if "error" in case.expected:
        return
    text = case.expected["response"]["text"]
    chunks = chunks_of(case.codec.stream_decoder(""), *[character.encode() for character in text])

    assert "".join(chunk.text for chunk in chunks) == text
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


@cases("errors")
def test_an_error_body_has_nothing_partial(case: Recording) -> None:
    error = case.codec.decode_error(case.expected["status"], case.expected["headers"], case.data)

    assert error.partial is None
    assert {"class", "message", "retryable"} <= set(case.expected["error"])


@cases("streams")
def test_a_recording_says_all_that_the_suite_can_check(case: Recording) -> None:
    assert case.expected["response"] == plain(ChatResponse(**case.expected["response"])), "defaults are left out"
    assert {"class", "message", "retryable"} <= set(case.expected.get("error", ("class", "message", "retryable")))


def test_nothing_of_a_reply_is_lost_to_the_caller() -> None:
    (case,) = (case for case in recordings("streams") if str(case) == "openai/sample.sse")

    chunks = chunks_of(case.codec.stream_decoder("text/event-stream"), case.data)

    assert [chunk.raw.get("obfuscation") for chunk in chunks] == ["k3", "Zq9", "a", ""]
    response = decode(case.codec.stream_decoder("text/event-stream"), [case.data]).response
    assert response.raw == chunks[2].raw, "the event with the finish reason"
    assert type(response) is ChatResponse
