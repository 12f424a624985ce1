"""Every recording in `tests/wire/`, encoded or decoded, however it is cut."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from helpers import Outcome, Recording, chunks_of, cut_at, decode, every_split, plain, recordings

from llmclients import errors
from llmclients.codecs.base import Context
from llmclients.errors import APIError, APIStatusError
from llmclients.models import ChatRequest, ChatResponse

RAW_TEXT = ("yqcloud", "yqcloud-legacy", "ai365vip")
AFTER_DONE = (
    b"\n",
    b"data: [DONE]\n\n",
    b'data: {"error":{"message":"too late"}}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"more"}}]}\n\n',
    b"\xff\xfe garbage \x00",
)


def cases(kind: str, *, of: tuple[str, ...] | None = None) -> Any:
    found = [case for case in recordings(kind) if of is None or case.provider in of]
    return pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in found])


def check_error(error: APIError | Outcome, expected: Mapping[str, Any], *, whole_message: bool = False) -> None:
    kind = error.error if isinstance(error, Outcome) else type(error)
    assert kind is getattr(errors, expected["class"])
    message = error.message if isinstance(error, Outcome) else str(error)
    if whole_message:
        assert message == expected["message"]
    else:
        assert expected["message"] in message
    assert error.retryable is expected["retryable"]
    status = error.status if isinstance(error, Outcome) else getattr(error, "status_code", None)
    assert status == expected.get("status")


@pytest.mark.parametrize("kind", ["requests", "replies", "streams", "errors"])
def test_there_are_recordings_of_each_kind(kind: str) -> None:
    providers = {case.provider for case in recordings(kind)}

    events = {"ylokh", "openai", "openai-responses", "anthropic", "cohere", "gemini", "ollama"}
    assert providers == {*events, *(() if kind == "replies" else RAW_TEXT)}


@cases("requests")
def test_a_request_goes_out_byte_for_byte(case: Recording) -> None:
    asked = case.expected
    request = ChatRequest.of(asked["messages"], **asked.get("options", {}))
    context = Context(
        model=asked["model"],
        stream=asked["stream"],
        api_key=asked.get("api_key"),
        own_service=asked.get("own_service", True),
        options=case.codec.options(**asked.get("codec_options", {})),
        state=asked.get("state", {}),
        unix_time=1767225600.0,
        random=random.Random(1),
    )
    before = request.model_copy(deep=True)

    wire = case.codec.encode(request, context)

    assert wire.body == case.data
    assert wire.path == asked["path"]
    assert wire.method == asked["method"]
    assert [list(header) for header in wire.headers] == asked["headers"]
    assert request == before


@cases("replies")
def test_a_whole_reply_is_read(case: Recording) -> None:
    try:
        response = case.codec.decode(case.data)
    except APIError as error:
        check_error(error, case.expected["error"])
    else:
        assert plain(response) == case.expected["response"]
        assert isinstance(response.raw, dict)


@cases("replies")
def test_a_whole_reply_where_a_stream_was_asked_for_comes_to_the_same(case: Recording) -> None:
    found = every_split(case.data, lambda pieces: decode(case.codec.stream_decoder("application/json"), pieces))

    if "error" in case.expected:
        check_error(found, case.expected["error"])
    else:
        assert plain(found.response) == case.expected["response"]
        assert found.done


def ends_by_itself(case: Recording) -> bool:
    """Whether a stream has an end mark, so that it is done before its body ends."""
    decoder = case.codec.stream_decoder(case.expected["content_type"])
    try:
        list(decoder.feed(case.data))
    except APIError:
        return False
    return decoder.done


@cases("streams")
def test_a_stream_comes_to_the_same_however_it_is_cut(case: Recording) -> None:
    content_type = case.expected["content_type"]
    found = every_split(
        case.data,
        lambda pieces: decode(case.codec.stream_decoder(content_type), pieces),
        trailing=AFTER_DONE if ends_by_itself(case) else (),
    )

    assert plain(found.response) == case.expected["response"]
    if "error" in case.expected:
        check_error(found, case.expected["error"])
        assert not found.done
    else:
        assert found.error is None, found.message
        assert found.done


@cases("streams")
def test_an_empty_read_changes_nothing(case: Recording) -> None:
    content_type = case.expected["content_type"]
    middle = cut_at(case.data, [len(case.data) // 2])

    found = decode(case.codec.stream_decoder(content_type), [b"", *middle[:1], b"", *middle[1:], b""])

    assert found == decode(case.codec.stream_decoder(content_type), [case.data])


@pytest.mark.parametrize("case", [case for case in recordings("streams") if "chunks" in case.expected], ids=str)
def test_a_stream_has_one_chunk_for_each_event(case: Recording) -> None:
    chunks = chunks_of(case.codec.stream_decoder(case.expected["content_type"]), case.data)

    assert [chunk.text for chunk in chunks] == case.expected["chunks"]
    assert all(isinstance(chunk.raw, dict) for chunk in chunks)


@cases("streams", of=RAW_TEXT)
def test_raw_text_arrives_read_by_read_and_then_stop(case: Recording) -> None:
    if "error" in case.expected:
        return
    text = case.expected["response"]["text"]
    chunks = chunks_of(case.codec.stream_decoder(""), *[character.encode() for character in text])

    assert "".join(chunk.text for chunk in chunks) == text
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


@cases("errors")
def test_an_error_body_becomes_the_error_of_its_status(case: Recording) -> None:
    error = case.codec.decode_error(case.expected["status"], case.expected["headers"], case.data)

    check_error(error, case.expected["error"] | {"status": case.expected["status"]}, whole_message=True)
    assert isinstance(error, APIStatusError)
    assert error.headers == case.expected["headers"]
    assert error.partial is None


def test_nothing_of_a_reply_is_lost_to_the_caller() -> None:
    (case,) = (case for case in recordings("streams") if str(case) == "openai/sample.sse")

    chunks = chunks_of(case.codec.stream_decoder("text/event-stream"), case.data)

    assert [chunk.raw.get("obfuscation") for chunk in chunks] == ["k3", "Zq9", "a", ""]
    response = decode(case.codec.stream_decoder("text/event-stream"), [case.data]).response
    assert response.raw == chunks[2].raw, "the event with the finish reason"
    assert type(response) is ChatResponse
