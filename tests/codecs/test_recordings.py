"""What the codec suite does not ask of every recording in `tests/wire/`: habits of our own wires."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from helpers import Outcome, Recording, chunks_of, decode, every_split, plain, recordings

from llmclients.types.response import ChatResponse

RAW_TEXT = ("yqcloud", "yqcloud-legacy", "ai365vip")


@pytest.mark.long
def test_a_whole_reply_where_a_stream_was_asked_for_comes_to_the_same(subtests: pytest.Subtests) -> None:
    def outcome(case: Recording, pieces: Sequence[bytes]) -> Outcome:
        return decode(case.codec.stream_decoder("application/json"), pieces)

    for case in recordings("replies"):
        with subtests.test(str(case)):
            found = every_split(case.data, partial(outcome, case), thorough=False)

            case.check(found)
            assert found.done or case.fails


def test_raw_text_arrives_read_by_read_and_then_stop(subtests: pytest.Subtests) -> None:
    for case in recordings("streams"):
        if case.provider not in RAW_TEXT or "error" in case.expected:
            continue
        with subtests.test(str(case)):
            text = case.expected["response"]["text"]
            chunks = chunks_of(case.codec.stream_decoder(""), *[character.encode() for character in text])

            assert "".join(chunk.text for chunk in chunks) == text
            assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


def test_an_error_body_has_nothing_partial(subtests: pytest.Subtests) -> None:
    for case in recordings("errors"):
        with subtests.test(str(case)):
            error = case.codec.decode_error(case.expected["status"], case.expected["headers"], case.data)

            assert error.partial is None
            assert {"class", "message", "retryable"} <= set(case.expected["error"])


def test_a_recording_says_all_that_the_suite_can_check(subtests: pytest.Subtests) -> None:
    for case in recordings("streams"):
        with subtests.test(str(case)):
            response = case.expected["response"]
            assert response == plain(ChatResponse(**response)), "defaults are left out"
            if case.fails:
                assert {"class", "message", "retryable"} <= set(case.expected["error"])


def test_nothing_of_a_reply_is_lost_to_the_caller() -> None:
    (case,) = (case for case in recordings("streams") if str(case) == "openai/sample.sse")

    chunks = chunks_of(case.codec.stream_decoder("text/event-stream"), case.data)

    assert [chunk.raw.get("obfuscation") for chunk in chunks] == ["k3", "Zq9", "a", ""]
    response = decode(case.codec.stream_decoder("text/event-stream"), [case.data]).response
    assert response.raw == chunks[2].raw, "the event with the finish reason"
    assert type(response) is ChatResponse
