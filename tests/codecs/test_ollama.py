"""Ollama's wire beyond its recordings: what is rejected, log probabilities, OLLAMA_HOST, the end, any cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import Outcome, cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.base import Context
from llmclients.codecs.ollama.codec import OllamaCodec, OllamaOptions
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    APIResponseError,
    ConfigurationError,
    InvalidRequestError,
    StreamInterruptedError,
    UnsupportedOptionError,
)
from llmclients.types.messages import ToolCall, as_messages
from llmclients.types.request import ChatRequest
from llmclients.types.response import TokenLogprob

CODEC = OllamaCodec()


def encoded(messages: Any = "Hi", **options: Any) -> dict[str, Any]:
    context = Context(model="m", options=OllamaOptions())
    body: dict[str, Any] = json.loads(CODEC.encode(ChatRequest.from_messages(messages, **options), context).body)
    return body


def settings(**arguments: Any) -> ClientSettings:
    defaults: dict[str, Any] = dict.fromkeys(
        ("model", "api_key", "base_url", "model_path", "headers", "timeout", "proxy")
    )
    defaults |= {"retry": RetryPolicy(), "fallback": (), "trust_env": False, "verify": True, "max_response_bytes": 1000}
    return ClientSettings.from_arguments("ollama", **(defaults | {"model": "m"} | arguments))


def line(message: dict[str, Any] | None = None, **members: Any) -> bytes:
    message = {"role": "assistant", "content": ""} | (message or {})
    return json.dumps({"model": "m", "created_at": "t", "message": message, "done": False} | members).encode() + b"\n"


DONE = line(done=True, done_reason="stop")


# --- rejected before anything is sent -------------------------------------------------------------------------------

TOOL = {"name": "f", "parameters": {"type": "object", "properties": {}}}


@table(
    "option, value",
    [("tool_choice", "auto"), ("tool_choice", "none"), ("tool_choice", "f"), ("parallel_tool_calls", False), ("n", 2)],
)
def test_an_option_without_a_field_is_rejected_by_name(option: str, value: Any) -> None:
    with pytest.raises(UnsupportedOptionError, match=option) as raised:
        settings().request(as_messages("Hi"), None, {option: value, "tools": [TOOL]})

    assert raised.value.argument == option


def test_an_image_by_its_address_is_rejected() -> None:
    image = {"type": "image", "url": "https://example.org/a.png"}

    with pytest.raises(UnsupportedOptionError, match="give its bytes"):
        settings().request(as_messages([{"role": "user", "content": [image]}]), None, {})


@table("effort", ["minimal", "true", "", "Low"])
def test_another_value_of_the_effort_is_rejected(effort: str) -> None:
    with pytest.raises(InvalidRequestError, match="none, on, low, medium, high, max") as raised:
        encoded(reasoning_effort=effort)

    assert raised.value.argument == "reasoning_effort"


@table("call_id", [None, "b"])
def test_a_result_of_an_unknown_function_is_rejected(call_id: str | None) -> None:
    call = ToolCall(id="a", name="f", arguments="{}")
    messages = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "4"},
    ]

    with pytest.raises(InvalidRequestError, match=r"messages\[1\].*name of the function") as raised:
        encoded(messages)

    assert raised.value.argument == "messages"


@table("arguments", ['{"city":', "[1]"])
def test_arguments_that_are_no_object_are_rejected(arguments: str) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments)

    with pytest.raises(InvalidRequestError, match=r"messages\[0\].*arguments of the call of f") as raised:
        encoded([{"role": "assistant", "tool_calls": [call]}])

    assert raised.value.argument == "messages"


# --- models ---------------------------------------------------------------------------------------------------------


def test_the_models_are_the_tags() -> None:
    wire = CODEC.encode_models(Context())

    assert (wire.method, wire.path, wire.body) == ("GET", "/api/tags", b"")
    assert wire.headers == (("Accept", "application/json"),)
    assert CODEC.decode_models(b'{"models":[{"name":"qwen3:8b","size":1},{"name":"b"}]}') == ["qwen3:8b", "b"]
    assert CODEC.decode_models(b'{"models":[]}') == []


@table("body", [b"{}", b'{"models":null}', b'{"models":[{"id":"a"}]}', b'{"models":["a"]}', b"[]"])
def test_another_answer_is_no_list_of_models(body: bytes) -> None:
    with pytest.raises(APIResponseError):
        CODEC.decode_models(body)


# --- where it is ----------------------------------------------------------------------------------------------------


@table(
    "value, url",
    [
        ("box", "http://box:11434"),
        ("box:80", "http://box:80"),
        (":80", "http://127.0.0.1:80"),
        ("box/", "http://box:11434"),
        ("box/ollama", "http://box:11434/ollama"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("http://0.0.0.0:5000/", "http://127.0.0.1:5000"),
        ("[::]:5000", "http://[::1]:5000"),
        ("::", "http://[::1]:11434"),
        ("fe80::1", "http://[fe80::1]:11434"),
        ("[fe80::1]", "http://[fe80::1]:11434"),
        ("http://box", "http://box"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("https://ollama.com", "https://ollama.com"),
        (" box ", "http://box:11434"),
        ("", "http://localhost:11434"),
        (None, "http://localhost:11434"),
    ],
)
def test_its_own_variable_may_be_an_address(value: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    if value is not None:
        monkeypatch.setenv("OLLAMA_HOST", value)

    found = settings()

    assert found.base_url == url
    assert found.is_default_endpoint is (not value)


@table("value", ["box:port", "ftp://box", "a b", "user:secret@box", "http://box?x=1", "box:0"])
def test_what_is_no_address_is_rejected_by_the_variable_s_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", value)

    with pytest.raises(ConfigurationError, match="OLLAMA_HOST") as raised:
        settings()

    assert raised.value.argument == "OLLAMA_HOST"
    assert "secret" not in str(raised.value)


def test_an_argument_is_a_url_all_the_same() -> None:
    with pytest.raises(ConfigurationError, match="base_url must begin with http"):
        settings(base_url="box:80")


# --- log probabilities ----------------------------------------------------------------------------------------------

LOGPROBS = [
    {
        "token": "Fo",
        "logprob": -0.5,
        "bytes": [70, 111],
        "top_logprobs": [{"token": "Fo", "logprob": -0.5}, {"token": "Fi", "logprob": -2}],
    },
    {"token": "ur", "logprob": 0},
]
EXPECTED = [
    TokenLogprob(
        token="Fo", logprob=-0.5, top=[TokenLogprob(token="Fo", logprob=-0.5), TokenLogprob(token="Fi", logprob=-2)]
    ),
    TokenLogprob(token="ur", logprob=0),
]


def test_log_probabilities_come_with_their_text() -> None:
    (chunk,) = CODEC.stream_decoder("").feed(line({"content": "Four"}, logprobs=LOGPROBS))

    assert (chunk.text, chunk.logprobs) == ("Four", EXPECTED)
    assert whole_reply(CODEC, line({"content": "Four"}, logprobs=LOGPROBS, done=True)).logprobs == EXPECTED
    assert whole_reply(CODEC, line({"content": "Four"}, done=True)).logprobs is None


# --- the end, and any cut -------------------------------------------------------------------------------------------


def test_what_follows_the_end_means_nothing() -> None:
    decoder = CODEC.stream_decoder("application/x-ndjson")

    assert [chunk.text for chunk in decoder.feed(line({"content": "A"}) + DONE + b"garbage\n")] == ["A", ""]
    assert decoder.done
    assert list(decoder.feed(line({"content": "more"}))) == []
    assert list(decoder.finish()) == []


def test_a_reply_that_is_not_done_has_no_finish_reason() -> None:
    response = whole_reply(CODEC, line({"content": "A"}, prompt_eval_count=1, eval_count=2))

    assert (response.text, response.finish_reason, response.usage) == ("A", None, None)


def test_half_a_reply_where_a_stream_was_asked_for_is_a_cut() -> None:
    reply = line({"content": "A"}, done=True)

    assert decode(CODEC.stream_decoder("application/json"), [reply[:40]]).error is StreamInterruptedError
    with pytest.raises(APIResponseError, match="not JSON"):
        whole_reply(CODEC, reply[:40])


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
names = st.text("fghxyz", min_size=1, max_size=3)
calls = st.tuples(
    st.sampled_from([None, "", "a", "call_0", "call_1"]), names, st.dictionaries(words, words, max_size=2)
)
pieces = st.tuples(words, words | st.none(), st.lists(calls, max_size=2))


@given(st.lists(pieces, max_size=5), st.sampled_from([b"\n", b""]), st.data())
def test_any_cut_gives_the_same_answer(answer: list[Any], line_end: bytes, data: Any) -> None:
    whole = b""
    for text, thinking, asked in answer:
        entries = [
            {**({} if id is None else {"id": id}), "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in asked
        ]
        message = {"content": text, "thinking": thinking} | ({"tool_calls": entries} if entries else {})
        whole += line({name: value for name, value in message.items() if value is not None})
    whole += DONE.rstrip() + line_end
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))

    found: Outcome = decode(CODEC.stream_decoder("application/x-ndjson"), cut_at(whole, cuts))

    assert found.error is None, found.message
    response = found.response
    every_call: list[Any] = []
    for _, _, asked in answer:  # a call that an earlier line had, by its id, is not another
        every_call += [call for call in asked if not call[0] or call not in every_call]
    assert response.text == "".join(text for text, _, _ in answer)
    assert (response.reasoning or "") == "".join(thinking or "" for _, thinking, _ in answer)
    assert [(call.name, call.arguments) for call in response.tool_calls] == [call[1:] for call in every_call]
    ids = [call.id for call in response.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert response.finish_reason == ("tool_calls" if every_call else "stop")
