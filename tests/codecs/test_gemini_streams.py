"""Gemini's streams and replies, generated, cut, truncated, corrupted and with every node of the wrong type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from helpers import Outcome, chunks_of, cut_at, decode, plain, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table
from test_openai_chat import OTHERS, TEXTS, WORDS, variants

from llmclients.codecs.framing import MAX_EVENT_BYTES
from llmclients.codecs.gemini.codec import GeminiCodec
from llmclients.errors import APIError, APIResponseError, ResponseTooLargeError, StreamInterruptedError

CODEC = GeminiCodec()
PLACES = st.lists(st.integers(0, 2000), max_size=8)


def read(pieces: list[bytes]) -> Outcome:
    return decode(CODEC.stream_decoder("text/event-stream"), pieces)


def event(payload: Any, line_end: str = "\r\n") -> bytes:
    return b"data: " + json.dumps(payload).encode() + (line_end * 2).encode()


def answer(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **members}]}


# --- generated streams ----------------------------------------------------------------------------------------------


@dataclass
class Generated:
    """A complete stream, and what it comes to."""

    data: bytes
    expected: dict[str, Any]
    last_incomplete: int
    """The longest beginning that is not the whole. With CRLF the last line feed is missing without harm."""


@st.composite
def streams(draw: st.DrawFn) -> Generated:
    line_end = draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r"]))
    noise = st.sampled_from(["", "", "", f": ping{line_end * 2}", f"event: x{line_end}", line_end])
    thoughts, texts = draw(st.lists(TEXTS, max_size=3)), draw(st.lists(TEXTS, max_size=6))
    calls = draw(st.lists(st.tuples(WORDS, st.dictionaries(TEXTS, TEXTS, max_size=2)), max_size=3))
    signature = draw(st.sampled_from([None, "c2ln"]))
    payloads = [answer({"text": text, "thought": True}) for text in thoughts]
    payloads += [answer({"text": text}) for text in texts]
    payloads += [answer({"functionCall": {"name": name, "args": arguments}}) for name, arguments in calls]
    payloads.append(answer({"text": "", **({"thoughtSignature": signature} if signature else {})}, finishReason="STOP"))
    for count, payload in enumerate(payloads):
        payload["usageMetadata"] = {"promptTokenCount": 3, "candidatesTokenCount": count}
    ascii_only = draw(st.booleans())
    data = "".join(
        f"{draw(noise)}data: {json.dumps(payload, ensure_ascii=ascii_only)}{line_end * 2}" for payload in payloads
    ).encode()
    expected: dict[str, Any] = {"finish_reason": "tool_calls" if calls else "stop"}
    expected["usage"] = {"input_tokens": 3, "output_tokens": len(payloads) - 1}
    whole = {"text": "".join(texts), "reasoning": "".join(thoughts)}
    expected |= {name: text for name, text in whole.items() if text}
    if calls:
        expected["tool_calls"] = [
            {"id": f"llmclients_{place}", "name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
            for place, (name, arguments) in enumerate(calls)
        ]
    if signature:
        parts: list[dict[str, Any]] = [{"text": whole["reasoning"], "thought": True}] if whole["reasoning"] else []
        parts += [{"text": whole["text"]}] if whole["text"] else []
        parts += [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
        expected["provider_data"] = {"gemini": [*parts, {"text": "", "thoughtSignature": signature}]}
    return Generated(data, expected, data.rindex(b"}"))  # the line end after it may be missing


@given(streams(), PLACES)
def test_a_stream_comes_to_what_was_said_however_it_is_cut(stream: Generated, places: list[int]) -> None:
    found = read(cut_at(stream.data, places))

    assert found.error is None, found.message
    assert found.done
    assert plain(found.response) == stream.expected


@given(streams(), PLACES, st.data())
def test_a_stream_that_ends_early_is_never_a_success(stream: Generated, places: list[int], data: st.DataObject) -> None:
    end = data.draw(st.integers(0, stream.last_incomplete))

    found = read(cut_at(stream.data[:end], places))

    assert found.error is StreamInterruptedError
    assert found.retryable
    assert not found.done
    assert stream.expected.get("text", "").startswith(found.response.text)


@given(streams(), PLACES, st.data())
def test_a_corrupt_byte_is_read_or_rejected_but_never_crashes(
    stream: Generated, places: list[int], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(stream.data) - 1))
    byte = data.draw(st.sampled_from(list(b'\r\n:{}[]" dx\x00\xff')))
    corrupt = stream.data[:at] + bytes([byte]) + stream.data[at + 1 :]

    whole = read([corrupt])  # `decode` lets nothing but an APIError pass

    assert read(cut_at(corrupt, places)) == whole
    assert whole.done == (whole.error is None)


@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from([b"data: ", b"\r\n\r\n", b"{", b"[", b'{"error":{}}', b'"candidates"']),
        max_size=12,
    ),
    PLACES,
)
def test_garbage_is_never_a_success(pieces: list[bytes], places: list[int]) -> None:
    data = b"".join(pieces)

    found = read(cut_at(data, places))

    assert found.error is not None
    assert found == read([data])


# --- the end of a stream --------------------------------------------------------------------------------------------

FINISH = event(answer({"text": "Four"}, finishReason="STOP"))


def test_a_stream_is_done_only_at_the_end_of_its_body() -> None:
    decoder = CODEC.stream_decoder("text/event-stream")

    assert [chunk.finish_reason for chunk in decoder.feed(FINISH)] == ["stop"]
    assert not decoder.done, "an error may come yet"
    assert list(decoder.finish()) == []
    assert decoder.done


def test_each_event_has_its_chunk_as_soon_as_it_is_there() -> None:
    decoder = CODEC.stream_decoder("text/event-stream")
    chunks = decoder.feed(event(answer({"text": "a"})) + event(answer({"text": "b"})) + event({"error": "no"}))

    assert [next(chunks).text, next(chunks).text] == ["a", "b"]
    with pytest.raises(APIError, match="the provider reported an error: no"):
        next(chunks)


def test_a_chunk_tells_role_model_id_usage_and_its_event() -> None:
    payload = answer({"text": "a"}) | {"usageMetadata": {"totalTokenCount": 3}, "modelVersion": "m", "responseId": "r"}

    first, _ = chunks_of(CODEC.stream_decoder(""), event(payload), FINISH)

    assert first.model_dump(exclude_defaults=True) == {
        "text": "a",
        "role": "assistant",
        "model": "m",
        "id": "r",
        "usage": {"total_tokens": 3},
        "raw": payload,
    }
    assert first.usage == first.usage.__class__(total_tokens=3)


@table("piece", [b"data: " + b"x" * 10**6 + b"\n", b"{" + b"x" * 10**6 + b"\n"], ids=["data", "bare"])
def test_an_event_has_a_limit(piece: bytes) -> None:
    decoder = CODEC.stream_decoder("text/event-stream")
    needed = MAX_EVENT_BYTES // 10**6

    for _ in range(needed):
        assert list(decoder.feed(piece)) == []
    with pytest.raises(ResponseTooLargeError):
        list(decoder.feed(piece))


# --- every node of the wrong type -----------------------------------------------------------------------------------

SAMPLE: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm", "thought": True, "thoughtSignature": "c2ln"},
                    {"text": "Four"},
                    {"functionCall": {"id": "x", "name": "f", "args": {"a": 1}}},
                ],
            },
            "index": 0,
            "finishReason": "STOP",
            "logprobsResult": {
                "topCandidates": [{"candidates": [{"token": "Four", "logProbability": -1.5}]}],
                "chosenCandidates": [{"token": "Four", "logProbability": -1.5}],
            },
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {
        "promptTokenCount": 1,
        "toolUsePromptTokenCount": 1,
        "candidatesTokenCount": 1,
        "thoughtsTokenCount": 1,
        "totalTokenCount": 4,
        "cachedContentTokenCount": 1,
    },
    "modelVersion": "m",
    "responseId": "r",
}
ERROR: dict[str, Any] = {
    "error": {
        "code": 429,
        "message": "m",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"reason": "r", "retryDelay": "3s", "violations": [{"quotaId": "PerDay"}]}],
    }
}


@pytest.mark.long
@table("sample", [SAMPLE, ERROR], ids=["answer", "error"])
def test_an_object_with_any_node_of_another_type_is_read_or_an_api_error(sample: dict[str, Any]) -> None:
    outcomes = set()
    for payload in variants(sample):
        found = read([event(payload) + FINISH])
        outcomes.add(found.error)
        assert found.done == (found.error is None)
        json.dumps(found.response.model_dump(mode="json"))
        try:
            whole = whole_reply(CODEC, json.dumps(payload).encode())
        except APIError:
            pass
        else:
            assert whole.raw == (payload[0] if isinstance(payload, list) else payload)

    assert {APIResponseError, None} <= outcomes


def test_an_error_body_of_any_shape_becomes_an_error_of_its_status() -> None:
    for payload in [*variants(ERROR), *OTHERS, [ERROR], [[ERROR]]]:
        error = CODEC.decode_error(500, {}, json.dumps(payload).encode())
        assert type(error).__name__ in ("InternalServerError", "AuthenticationError")
        assert error.status_code == 500


@table("end", [b"", b"1"], ids=["cut", "closed"])
@table("opening", [b'{"error":', b'{"candidates":', b"["])
def test_json_nested_too_deeply_is_rejected(opening: bytes, end: bytes) -> None:
    depth = 100_000
    nested = opening * depth + (end + (b"]" if opening == b"[" else b"}") * depth if end else b"")

    assert CODEC.decode_error(400, {}, nested).status_code == 400
    assert read([b"data: " + nested + b"\n\n"]).error is APIResponseError
    assert read([FINISH + nested]).error is StreamInterruptedError
    with pytest.raises(APIResponseError):
        whole_reply(CODEC, nested)


def test_text_after_a_finish_reason_is_part_of_what_goes_back() -> None:
    signed = {"text": "a", "thoughtSignature": "S"}
    late = answer({"text": "b"}) | {"usageMetadata": {"totalTokenCount": 2}}

    found = read([event(answer(signed, finishReason="STOP")) + event(late)]).response

    assert found.text == "ab"
    assert found.provider_data == {"gemini": [signed, {"text": "b"}]}


def test_a_list_of_models_with_a_method_list_of_another_type_is_rejected() -> None:
    with pytest.raises(APIResponseError, match="supportedGenerationMethods is int"):
        CODEC.decode_models(b'{"models":[{"name":"models/x","supportedGenerationMethods":1}]}')


def test_an_answer_with_a_finish_reason_and_a_signature_in_each_object_costs_no_square() -> None:
    """Each chunk would have had all parts so far: 5,000 of them took a quarter of a minute."""
    count = 2_000
    parts = [{"text": "x", "thoughtSignature": f"s{number}"} for number in range(count)]
    objects = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]} for part in parts
    ]
    body = "".join(f"data: {json.dumps(payload)}\n\n" for payload in objects).encode()

    chunks = chunks_of(CODEC.stream_decoder("text/event-stream"), body)

    assert sum(len(chunk.provider_data["gemini"]) for chunk in chunks if chunk.provider_data) < 10 * count
    assert chunks[-1].provider_data == {"gemini": parts}
