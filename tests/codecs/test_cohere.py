"""Cohere's wire beyond its recordings: what is rejected before sending, log probabilities, waits, any cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import Outcome, argument_pieces, chunks_of, cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.base import Context
from llmclients.codecs.cohere.codec import CohereCodec, CohereOptions
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy
from llmclients.errors import APIResponseError, ConfigurationError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.messages import as_messages
from llmclients.types.request import ChatRequest
from llmclients.types.response import TokenLogprob

CODEC = CohereCodec()
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {}}}


def encoded(messages: Any = "Hi", *, codec_options: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    context = Context(model="m", options=CohereOptions(**codec_options or {}))
    body: dict[str, Any] = json.loads(CODEC.encode(ChatRequest.from_messages(messages, **options), context).body)
    return body


def settings(provider: str = "cohere", **arguments: Any) -> ClientSettings:
    defaults: dict[str, Any] = dict.fromkeys(
        ("model", "api_key", "base_url", "model_path", "headers", "timeout", "proxy")
    )
    defaults |= {"retry": RetryPolicy(), "fallback": (), "trust_env": False, "verify": True, "max_response_bytes": 1000}
    return ClientSettings.from_arguments(provider, **(defaults | {"model": "m", "api_key": "k"} | arguments))


def event(payload: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps(payload).encode()


def content(index: int = 0, *, event_type: str = "content-delta", **values: Any) -> bytes:
    return event({"type": event_type, "index": index, "delta": {"message": {"content": values}}})


def end(**values: Any) -> bytes:
    return event({"type": "message-end", "delta": {"finish_reason": "COMPLETE"} | values})


# --- rejected before anything is sent -------------------------------------------------------------------------------

PNG = {"type": "image", "data": "iVBORw0KGgo="}
REJECTED: list[tuple[type[ConfigurationError], str, str, Any, dict[str, Any], dict[str, Any]]] = [
    (UnsupportedOptionError, "tool_choice", "to call one tool, 'f'", "Hi", {"tools": [TOOL], "tool_choice": "f"}, {}),
    (
        UnsupportedOptionError,
        "response_format",
        "together with tools",
        "Hi",
        {"tools": [TOOL], "response_format": "json"},
        {},
    ),
    (
        InvalidRequestError,
        "tools",
        "one `strict`",
        "Hi",
        {"tools": [TOOL | {"strict": True}, TOOL | {"name": "g", "strict": False}]},
        {},
    ),
    (InvalidRequestError, "reasoning_effort", "not 'extreme'", "Hi", {"reasoning_effort": "extreme"}, {}),
    (
        InvalidRequestError,
        "thinking_budget",
        "contradicts",
        "Hi",
        {"reasoning_effort": "none"},
        {"thinking_budget": 5},
    ),
    (InvalidRequestError, "messages", r"messages\[0\].*tool_call_id", [{"role": "tool", "content": "4"}], {}, {}),
    *(
        (
            InvalidRequestError,
            "messages",
            rf"messages\[0\].*image parts.*{role}",
            [{"role": role, "content": [PNG], "tool_call_id": "a"}],
            {},
            {},
        )
        for role in ("system", "developer", "assistant", "tool")
    ),
    (
        InvalidRequestError,
        "messages",
        r"messages\[0\].*image parts",
        [{"role": "assistant", "content": [PNG], "reasoning": "Hm."}],
        {},
        {},
    ),
]


@table("error_class, argument, text, messages, options, codec_options", REJECTED)
def test_what_the_wire_cannot_say_is_rejected(
    error_class: type[ConfigurationError],
    argument: str,
    text: str,
    messages: Any,
    options: dict[str, Any],
    codec_options: dict[str, Any],
) -> None:
    with pytest.raises(error_class, match=text) as raised:
        encoded(messages, codec_options=codec_options, **options)

    assert raised.value.argument == argument


@table("option, value", [("top_logprobs", 2), ("parallel_tool_calls", False), ("thinking_budget", 0), ("k", 1)])
def test_an_option_without_a_field_is_rejected_by_name(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        settings().request(as_messages("Hi"), None, {option: value, "tools": [TOOL]})


def test_neither_audio_nor_files_go_in() -> None:
    audio = {"type": "audio", "data": "UklGRiQAAABXQVZF", "media_type": "audio/wav"}

    with pytest.raises(UnsupportedOptionError, match="cohere cannot carry audio parts"):
        settings().request(as_messages([{"role": "user", "content": [audio]}]), None, {})


# --- models ---------------------------------------------------------------------------------------------------------


def test_the_models_are_asked_for_a_thousand_at_a_time() -> None:
    wire = CODEC.encode_models(Context(api_key="k"))

    assert (wire.method, wire.path, wire.body) == ("GET", "/v1/models?page_size=1000&endpoint=chat", b"")
    assert wire.headers == (("Accept", "application/json"), ("Authorization", "Bearer k"))
    assert CODEC.decode_models(b'{"models":[{"name":"a","endpoints":["chat"]},{"name":"b"}],"next_page_token":""}') == [
        "a",
        "b",
    ]


@table("body", [b"{}", b'{"models":{}}', b'{"models":[{"id":"a"}]}', b'{"models":["a"]}', b"[]"])
def test_another_answer_is_no_list_of_models(body: bytes) -> None:
    with pytest.raises(APIResponseError):
        CODEC.decode_models(body)


# --- how long to wait -----------------------------------------------------------------------------------------------

DATE = {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}  # 1767225600


@table(
    "status, headers, seconds",
    [
        (429, DATE | {"x-ratelimit-reset": "1767225612"}, 12.0),
        (429, DATE | {"x-ratelimit-reset": "1767225600"}, None),
        (429, DATE | {"x-ratelimit-reset": "1767225000"}, None),
        (429, DATE | {"x-ratelimit-reset": "soon"}, None),
        (429, {"x-ratelimit-reset": "1767225612"}, None),
        (429, {"x-ratelimit-reset": "1767225612", "date": "yesterday"}, None),
        (429, DATE | {"x-ratelimit-reset": "9" * 400}, None),
        (429, DATE | {"x-ratelimit-reset": "1767225612", "retry-after": "3"}, None),  # read for every provider alike
        (429, DATE | {"x-ratelimit-reset": "1767225612", "retry-after-ms": "3"}, None),
        (503, DATE | {"x-ratelimit-reset": "1767225612"}, None),
        (429, {}, None),
    ],
)
def test_a_rate_limit_says_when_it_ends(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert CODEC.decode_error(status, headers, b'{"message":"slow down"}').retry_after == seconds


# --- log probabilities ----------------------------------------------------------------------------------------------


def test_log_probabilities_of_a_reply() -> None:
    items = [
        {"text": "Fo", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "ur", "token_ids": [2, 3], "logprobs": [-1, -2.5]},
    ]
    reply = {
        "id": "c",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Four"}]},
        "logprobs": items,
    }

    response = whole_reply(CODEC, json.dumps(reply).encode())

    assert response.logprobs == [TokenLogprob(token="Fo", logprob=-0.5), TokenLogprob(token="ur", logprob=-3.5)]


def test_log_probabilities_of_a_stream_come_with_their_text() -> None:
    item = {"text": "Four", "token_ids": [1], "logprobs": [-0.5]}
    piece = {"type": "content-delta", "delta": {"message": {"content": {"text": "Four"}}}, "logprobs": item}

    chunks = chunks_of(CODEC.stream_decoder(""), event(piece), end())

    assert [list(chunk.logprobs) for chunk in chunks] == [[TokenLogprob(token="Four", logprob=-0.5)], []]


# --- the end, and any cut -------------------------------------------------------------------------------------------


def test_the_answer_is_done_at_message_end() -> None:
    decoder = CODEC.stream_decoder("text/event-stream")

    assert [chunk.text for chunk in decoder.feed(content(text="A") + end())] == ["A", ""]
    assert decoder.done
    assert list(decoder.feed(b"data: [DONE]\n\n" + content(text="more"))) == []
    assert list(decoder.finish()) == []


def test_a_reply_in_place_of_a_stream_is_one_chunk() -> None:
    reply = b'{"id":"c","finish_reason":"COMPLETE","message":{"content":[{"type":"text","text":"A"}]}}'

    (chunk,) = chunks_of(CODEC.stream_decoder("application/json"), reply)

    assert (chunk.text, chunk.finish_reason, chunk.id) == ("A", "stop", "c")


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, str, str, list[tuple[str, str, str]]]:
    """A stream, and its text, thinking and calls."""
    events, text, thinking = [event({"type": "message-start", "id": "c"})], "", ""
    for index, thinks in enumerate(draw(st.lists(st.booleans(), max_size=3))):
        block_type = "thinking" if thinks else "text"
        events.append(content(index, event_type="content-start", **{"type": block_type, block_type: ""}))
        for piece in draw(st.lists(words, max_size=3)):
            events.append(content(index, **{block_type: piece}))
            text, thinking = text + (not thinks) * piece, thinking + thinks * piece
        events.append(event({"type": "content-end", "index": index}))
    calls = draw(st.lists(st.tuples(words, words, argument_pieces()), max_size=3))
    for index, (id, name, pieces) in enumerate(calls, start=5):
        call = {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(event({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}}))
        for piece in pieces:
            more = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            events.append(event({"type": "tool-call-delta", "index": index, "delta": more}))
    found = [(id or f"call_{index}", name, "".join(pieces) or "{}") for index, (id, name, pieces) in enumerate(calls)]
    return b"".join([*events, end()]), text, thinking, found


@given(streams(), st.data())
def test_any_cut_gives_the_same_answer(stream: tuple[bytes, str, str, list[tuple[str, str, str]]], data: Any) -> None:
    whole, text, thinking, calls = stream
    pieces = cut_at(whole, data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))

    found: Outcome = decode(CODEC.stream_decoder("text/event-stream"), pieces)

    assert found.error is None, found.message
    response = found.response
    reason = "tool_calls" if calls else "stop"
    assert (response.text, response.reasoning or "", response.finish_reason) == (text, thinking, reason)
    assert [(call.id, call.name, call.arguments_text) for call in response.tool_calls] == calls
