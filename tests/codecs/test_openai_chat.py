"""Chat completions under generated streams, cut, truncated, corrupted and with every node of the wrong type."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from helpers import Outcome, argument_pieces, chunks_of, cut_at, decode, every_split, plain, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.base import Codec
from llmclients.codecs.errors import error_message
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.codecs.openai_chat.reply import EventDecoder, decode_reply
from llmclients.codecs.openai_chat.ylokh import YlokhCodec
from llmclients.errors import APIError, APIResponseError, APIStatusError, StreamInterruptedError
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

# --- generated streams ----------------------------------------------------------------------------------------------

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('\u2028\u2029\x85\r\n🌊👩‍🚀河:{}[]"\\')), max_size=12
)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
    lambda word: word.strip() not in ("", "null")
)


@dataclass
class Generated:
    """A complete stream, and what it comes to."""

    data: bytes
    expected: dict[str, Any]

    @property
    def last_incomplete(self) -> int:
        """The longest beginning that is not the whole. Of the end mark, the line end may be missing without harm."""
        return self.data.rindex(b"]")


@st.composite
def streams(draw: st.DrawFn) -> Generated:
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    ascii_only, lead = draw(st.booleans()), draw(st.sampled_from(["data: ", "data:"]))
    noise = st.sampled_from(["", "", f": keep-alive{line_end * 2}", f":{line_end}", f"id: 1{line_end}", line_end])
    deltas: list[dict[str, Any]] = []
    texts = draw(st.lists(TEXTS, max_size=6))
    thoughts = draw(st.lists(TEXTS, max_size=3))
    reasoning_name = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    deltas += [{"content": None, reasoning_name: thought} for thought in thoughts]
    deltas += [{"content": text} for text in texts]
    calls = draw(st.lists(st.tuples(WORDS, WORDS, argument_pieces()), max_size=3, unique_by=lambda call: call[0]))
    for index, (call_id, name, pieces) in enumerate(calls):
        deltas.append({"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
    deltas = draw(st.permutations(deltas)) if not calls else deltas
    texts = [delta["content"] or "" for delta in deltas if "content" in delta]
    thoughts = [delta[reasoning_name] for delta in deltas if reasoning_name in delta]

    usage = {"prompt_tokens": draw(st.integers(0, 10**9)), "completion_tokens": draw(st.integers(0, 10**9))}
    where = draw(st.sampled_from(["nowhere", "with the finish", "alone", "everywhere"]))
    word = draw(st.sampled_from(["stop", "length", "tool_calls"] if calls else ["stop", "length", "content_filter"]))
    payloads = [{"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    payloads.append({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": word}]})
    if where == "alone":
        payloads.append({"id": "c1", "choices": []})
    if where == "everywhere":
        for payload in payloads:
            payload["usage"] = {"prompt_tokens": 0}
    if where != "nowhere":
        payloads[-1]["usage"] = usage

    data = draw(noise)
    for payload in payloads:
        data += lead + json.dumps(payload, ensure_ascii=ascii_only) + line_end * 2 + draw(noise)
    data += "data: [DONE]" + line_end * 2

    expected: dict[str, Any] = {"id": "c1", "finish_reason": "tool_calls" if calls and word == "stop" else word}
    if "".join(texts):
        expected["text"] = "".join(texts)
    if "".join(thoughts):
        expected["reasoning"] = "".join(thoughts)
    if calls:
        expected["tool_calls"] = [
            {"id": call_id, "name": name, "arguments": "".join(pieces) or "{}"} for call_id, name, pieces in calls
        ]
    if where != "nowhere":
        expected["usage"] = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    return Generated(data.encode(), expected)


PLACES = st.lists(st.integers(0, 3000), max_size=10)
CODECS = [OpenAICodec(), YlokhCodec()]


def read(codec: Codec, pieces: list[bytes]) -> Outcome:
    return decode(codec.stream_decoder("text/event-stream"), pieces)


@given(streams(), PLACES, st.sampled_from(CODECS))
def test_a_stream_folds_to_what_was_said_however_it_is_cut(stream: Generated, places: list[int], codec: Codec) -> None:
    found = read(codec, cut_at(stream.data, places))

    assert found.error is None, found.message
    assert found.done
    assert plain(found.response) == stream.expected


@given(streams(), PLACES, st.data(), st.sampled_from(CODECS))
def test_a_stream_that_ends_early_is_never_a_success(
    stream: Generated, places: list[int], data: st.DataObject, codec: Codec
) -> None:
    end = data.draw(st.integers(0, stream.last_incomplete))

    found = read(codec, cut_at(stream.data[:end], places))

    assert found.error is StreamInterruptedError
    assert found.retryable
    assert not found.done
    assert stream.expected.get("text", "").startswith(found.response.text)
    assert stream.expected.get("reasoning", "").startswith(found.response.reasoning or "")


@given(streams(), PLACES, st.data(), st.sampled_from(CODECS))
def test_a_corrupt_byte_is_read_or_rejected_but_never_crashes(
    stream: Generated, places: list[int], data: st.DataObject, codec: Codec
) -> None:
    at = data.draw(st.integers(0, len(stream.data) - 1))
    byte = data.draw(st.integers(0, 255))
    corrupt = stream.data[:at] + bytes([byte]) + stream.data[at + 1 :]

    whole = read(codec, [corrupt])  # `decode` lets nothing but an APIError pass

    assert read(codec, cut_at(corrupt, places)) == whole
    assert whole.done == (whole.error is None)


@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"data: ", b"[DONE]", b"\n\n", b"{", b"}", b'"choices"'])),
        max_size=12,
    ),
    PLACES,
)
def test_garbage_is_never_a_success(pieces: list[bytes], places: list[int]) -> None:
    data = b"".join(pieces)

    found = read(OpenAICodec(), cut_at(data, places))

    assert found.error in (StreamInterruptedError, APIResponseError)
    assert found == read(OpenAICodec(), [data])


# --- every node of the wrong type -----------------------------------------------------------------------------------

CHUNK: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "Four",
                "refusal": None,
                "reasoning": "2",
                "reasoning_content": "2",
                "tool_calls": [
                    {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            "logprobs": {
                "content": [{"token": "a", "logprob": -1.5, "top_logprobs": [{"token": "b", "logprob": -2}]}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
IN_PARTS = copy.deepcopy(CHUNK)
IN_PARTS["choices"][0]["delta"]["content"] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
    {"type": "text", "text": "Four"},
    "teen",
]
REPLY = copy.deepcopy(CHUNK)
REPLY["choices"][0]["message"] = REPLY["choices"][0].pop("delta")
ERROR: dict[str, Any] = {
    "error": {"message": "m", "type": "server_error", "param": None, "code": "c", "status_code": 500},
    "object": "error",
    "message": {"detail": [{"loc": ["body"], "msg": "wrong"}]},
    "error_message": "m",
    "error_type": "t",
    "detail": "d",
}
NUMBERS: list[Any] = [0, 1, -1, 10**30, 1.5, 1e300]
OTHERS: list[Any] = [None, True, False, "", "0", "🌊", [], [None], ["x"], [[]], {}, {"x": 1}, {"message": []}, *NUMBERS]


def places_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        yield from places_in(value, (*path, name))


def with_value(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(node)
    changed[path[0]] = with_value(node[path[0]], path[1:], value)
    return changed


def without(node: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(node)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    del parent[path[-1]]
    return changed


def variants(node: dict[str, Any], below: tuple[Any, ...] = ()) -> Iterator[Any]:
    """The node with each place in it, or in what is `below` a place of it, of another type or left out."""
    for path in places_in(node):
        if path[: len(below)] != below:
            continue
        yield from (with_value(node, path, other) for other in OTHERS)
        if path:
            yield without(node, path)


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


FINISH = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def test_the_walk_reaches_every_node() -> None:
    assert sum(1 for _ in places_in(CHUNK)) == 46
    assert len(list(variants(CHUNK))) == 46 * len(OTHERS) + 45


@pytest.mark.long
@table(
    "sample, below",
    [(CHUNK, ()), (IN_PARTS, ("choices", 0, "delta", "content")), (ERROR, ())],
    ids=["chunk", "in parts", "error"],
)
def test_a_chunk_with_any_node_of_another_type_is_read_or_an_api_error(
    sample: dict[str, Any], below: tuple[Any, ...]
) -> None:
    outcomes = set()
    for payload in variants(sample, below):
        found = read(OpenAICodec(), [event(payload) + FINISH + b"data: [DONE]\n\n"])
        outcomes.add(found.error)
        assert found.done == (found.error is None)
        json.dumps(found.response.model_dump(mode="json"))
        assert ChatResponse.model_validate(found.response.model_dump()) == found.response

    assert APIResponseError in outcomes
    assert None in outcomes


@table("sample", [REPLY, ERROR], ids=["reply", "error"])
def test_a_reply_with_any_node_of_another_type_is_read_or_an_api_error(sample: dict[str, Any]) -> None:
    rejected = 0
    for payload in variants(sample):
        body = json.dumps(payload).encode()
        try:
            response = whole_reply(OpenAICodec(), body)
        except APIError:
            rejected += 1
        else:
            assert response.raw == json.loads(body)
            assert (
                ChatResponse.model_validate(response.model_dump()) == response
            )  # decoding checks what validation would

    assert rejected


def test_an_error_body_of_any_shape_becomes_an_error_of_its_status() -> None:
    for payload in [*variants(ERROR), *OTHERS, [ERROR], [[ERROR]]]:
        error = OpenAICodec().decode_error(500, {}, json.dumps(payload).encode())
        assert type(error).__name__ == "InternalServerError"
        assert str(error).startswith("HTTP 500")
        assert "\n" not in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["error", "message", "detail"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_the_words_of_any_json_are_text(payload: Any) -> None:
    assert isinstance(error_message(payload), str)


@given(st.binary(), st.integers(400, 599))
def test_an_error_body_can_be_anything(body: bytes, status: int) -> None:
    for codec in (OpenAICodec(), YlokhCodec()):
        error = codec.decode_error(status, {}, body)
        assert isinstance(error, APIStatusError)
        assert error.status_code == status


@table("end", [b"", b"1"], ids=["cut", "closed"])
@table("depth", [300, 10_000, 200_000])
def test_json_nested_too_deeply_is_rejected(depth: int, end: bytes) -> None:
    nested = b'{"error":' * depth + (end + b"}" * depth if end else b"")

    assert OpenAICodec().decode_error(400, {}, nested).status_code == 400
    assert read(OpenAICodec(), [b"data: " + nested + b"\n\n"]).error is APIResponseError
    with pytest.raises(APIResponseError):
        decode_reply(nested)


def test_errors_nested_in_errors_give_their_words() -> None:
    payload: Any = {"message": "deep"}
    for _ in range(150):
        payload = {"error": payload}

    assert OpenAICodec().decode_error(400, {}, json.dumps(payload).encode()).args == ("HTTP 400: deep",)


# --- what does not fit a recording ----------------------------------------------------------------------------------

TEXT = event({"choices": [{"index": 0, "delta": {"content": "Four"}}]})


def test_where_done_is_not_sent_the_end_after_a_finish_reason_is_complete() -> None:
    found = every_split(TEXT + FINISH, lambda pieces: decode(EventDecoder(done_required=False), pieces))

    assert plain(found.response) == {"text": "Four", "finish_reason": "stop"}
    assert found.done
    assert found.error is None


def test_where_done_is_not_sent_the_end_without_a_finish_reason_is_a_break() -> None:
    found = every_split(TEXT, lambda pieces: decode(EventDecoder(done_required=False), pieces))

    assert found.error is StreamInterruptedError


def test_where_done_is_not_sent_it_is_understood() -> None:
    found = decode(EventDecoder(done_required=False), [TEXT + FINISH + b"data: [DONE]\n\n"])

    assert found.done


def test_where_no_finish_reason_is_needed_done_brings_one() -> None:
    calls = event({"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}}]})
    for data, reason in [(TEXT, "stop"), (calls, "tool_calls"), (b"", "stop")]:
        chunks = chunks_of(EventDecoder(finish_reason_required=False), data + b"data: [DONE]\n\n")
        assert chunks[-1].finish_reason == reason
        assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_after_done_not_even_an_endless_line_is_an_error() -> None:
    decoder = EventDecoder()
    list(decoder.feed(TEXT + FINISH + b"data: [DONE]\n\n"))
    assert decoder.done

    for _ in range(5):
        assert list(decoder.feed(b"x" * 4 * 1024 * 1024)) == []
    assert list(decoder.finish()) == []


def test_an_event_larger_than_the_limit_ends_the_stream() -> None:
    found = read(OpenAICodec(), [TEXT, b"data: "] + [b" " * 1024 * 1024] * 9)

    assert found.error is not None
    assert found.error.__name__ == "ResponseTooLargeError"
    assert found.response.text == "Four"


def test_a_piece_of_a_call_names_it_once() -> None:
    deltas = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}},
    ]
    events = [event({"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}) for delta in deltas]

    chunks = chunks_of(EventDecoder(), *events, FINISH, b"data: [DONE]\n\n")

    assert [list(chunk.tool_calls) for chunk in chunks] == [
        [ToolCallDelta(index=0, id="a", name="f", arguments="{")],
        [ToolCallDelta(index=0, arguments="}")],
        [],
    ]


TEXT_EVENT: dict[str, Any] = {
    "id": "c1",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Four"}, "finish_reason": None}],
    "usage": None,
}
WITH_ERRORS: list[dict[str, Any]] = [
    {**TEXT_EVENT, "error": None},
    {**TEXT_EVENT, "choices": [{"delta": {"content": "Four"}, "error": None}]},
]
CHOICES_OF_OTHER_TYPES: list[Any] = ["delta", [[0]], ["delta"], [{"delta": "content"}]]


def chunk_or_error(read: Callable[..., Chunk | None], *args: Any) -> Any:
    try:
        return read(*args)
    except APIError as error:
        return type(error), str(error)


@table("event_type", ["message", "error"])
@table("sample", [TEXT_EVENT, *WITH_ERRORS, CHUNK, ERROR])
def test_the_short_way_of_an_event_of_text_comes_to_what_the_long_way_does(
    sample: dict[str, Any], event_type: str
) -> None:
    for payload in [*variants(sample), *({**TEXT_EVENT, "choices": value} for value in CHOICES_OF_OTHER_TYPES)]:
        data = json.dumps(payload).encode()

        short = chunk_or_error(EventDecoder()._chunk, data, event_type)

        assert short == chunk_or_error(EventDecoder()._other_chunk, payload, data, event_type), payload


@table("first", [b"", b": begin\n\n"], ids=["at the start", "later"])
@table("end", [b"\n", b"\r\n"], ids=repr)
@table("size", [1, 9 * 1024 * 1024])
def test_what_follows_done_in_the_same_read_means_nothing(first: bytes, end: bytes, size: int) -> None:
    decoder = EventDecoder()
    list(decoder.feed(first))
    rest = b"data: {" + end * 2 + b"data: " + b"x" * size + end * 2

    chunks = list(decoder.feed((TEXT + FINISH + b"data: [DONE]\n\n").replace(b"\n", end) + rest))

    assert [(chunk.text, chunk.finish_reason) for chunk in chunks] == [("Four", None), ("", "stop")]
    assert decoder.done


def test_chunks_come_one_at_a_time() -> None:
    decoder = EventDecoder()
    list(decoder.feed(b": begin\n\n"))

    chunks = decoder.feed(TEXT + FINISH + b"data: {\n\n")

    assert next(chunks).text == "Four"
    assert next(chunks).finish_reason == "stop"
    with pytest.raises(APIResponseError, match="not JSON"):
        next(chunks)


def test_a_chunk_keeps_the_provider_s_own_event() -> None:
    payload = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Four"}}],
        "x": 1,
    }

    (chunk,) = EventDecoder().feed(event(payload))

    assert chunk.raw == payload
    assert (chunk.text, chunk.role, chunk.id, chunk.model) == ("Four", "assistant", "c1", "m")
