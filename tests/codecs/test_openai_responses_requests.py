"""The Responses API: requests, option by option and message by message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import decode, whole_reply
from responses_wire import event
from tables import table

from llmclients.codecs.base import Context
from llmclients.codecs.openai_responses.codec import OpenAIResponsesCodec
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy
from llmclients.errors import APIResponseError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall, as_messages
from llmclients.types.request import ChatRequest

CODEC = OpenAIResponsesCodec()
PNG = b"\x89PNG\r\n\x1a\n"


def encoded(
    messages: Any = "Hi", *, codec_options: dict[str, Any] | None = None, stream: bool = False, **options: Any
) -> Any:
    context = Context(model="m", options=CODEC.options(**codec_options or {}), stream=stream)
    body = CODEC.encode(ChatRequest.from_messages(messages, **options), context).body
    payload = json.loads(body)
    assert json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() == body
    return payload


HI = {"model": "m", "input": [{"type": "message", "role": "user", "content": "Hi"}], "store": False}
ENCRYPTED, LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}


@table(
    "options, codec_options, more",
    [
        ({}, {}, {}),
        ({"temperature": 0}, {}, {"temperature": 0}),
        ({"top_p": 0.5}, {}, {"top_p": 0.5}),
        ({"max_tokens": 5}, {}, {"max_output_tokens": 5}),
        ({"logprobs": True}, {}, {"include": [LOGPROBS]}),
        ({"logprobs": False}, {}, {}),
        ({"top_logprobs": 0}, {}, {"top_logprobs": 0, "include": [LOGPROBS]}),
        ({"top_logprobs": 2, "logprobs": False}, {}, {"top_logprobs": 2}),
        ({"reasoning_effort": "low"}, {}, {"reasoning": {"effort": "low"}, "include": [ENCRYPTED]}),
        ({}, {"summary": "auto"}, {"reasoning": {"summary": "auto"}, "include": [ENCRYPTED]}),
        ({}, {"encrypted_reasoning": True}, {"include": [ENCRYPTED]}),
        ({"reasoning_effort": "low"}, {"encrypted_reasoning": False}, {"reasoning": {"effort": "low"}}),
        ({"reasoning_effort": "low"}, {"store": True}, {"reasoning": {"effort": "low"}, "store": True}),
        ({}, {"store": True, "encrypted_reasoning": True}, {"include": [ENCRYPTED], "store": True}),
        ({}, {"previous_response_id": "r"}, {"previous_response_id": "r"}),
        ({}, {"truncation": "auto"}, {"truncation": "auto"}),
        ({"verbosity": "low"}, {}, {"text": {"verbosity": "low"}}),
        ({"response_format": "json"}, {}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"type": "object", "title": "A b"}, "verbosity": "high"},
            {},
            {
                "text": {
                    "format": {"type": "json_schema", "name": "A_b", "schema": {"type": "object", "title": "A b"}},
                    "verbosity": "high",
                }
            },
        ),
        ({"tools": [{"name": "f"}]}, {}, {"tools": [TOOL]}),
        ({"tools": [{"name": "f", "strict": True}]}, {}, {"tools": [TOOL | {"strict": True, "parameters": CLOSED}]}),
        ({"tools": [{"name": "f"}], "tool_choice": "none"}, {}, {"tools": [TOOL], "tool_choice": "none"}),
        (
            {"tools": [{"name": "f"}], "tool_choice": "f", "parallel_tool_calls": False},
            {},
            {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
        ),
        ({"extra": {"store": True, "include": []}}, {}, {"store": True, "include": []}),
    ],
    ids=repr,
)
def test_what_is_set_is_sent_and_nothing_else(
    options: dict[str, Any], codec_options: dict[str, Any], more: Any
) -> None:
    assert encoded(codec_options=codec_options, **options) == HI | {"stream": False} | more
    assert encoded(codec_options=codec_options, stream=True, **options) == HI | more | {"stream": True}


@table("name", ["stop", "seed", "presence_penalty", "frequency_penalty"])
def test_what_the_wire_has_no_field_for_is_rejected(name: str) -> None:
    with pytest.raises(UnsupportedOptionError, match="its wire has no field for it") as caught:
        settings().request(as_messages("Hi"), "m", {name: "END" if name == "stop" else 1})

    assert caught.value.argument == name


def settings() -> ClientSettings:
    arguments: dict[str, Any] = dict.fromkeys(("model", "model_path", "headers", "timeout", "proxy"))
    arguments |= {"retry": RetryPolicy(), "fallback": (), "trust_env": False, "verify": True}
    return ClientSettings.from_arguments(
        "openai-responses", api_key="k", base_url="http://127.0.0.1:1", max_response_bytes=1000, **arguments
    )


@table(
    "part, words",
    [
        (AudioPart(b"RIFF\0\0\0\0WAVE"), "audio parts"),
        (ImagePart(b"BM", media_type="image/bmp"), "image/bmp"),
        (FilePart(b"x" * 50_000_001, media_type="text/plain"), "of 50000001 bytes"),
    ],
    ids=["audio", "bitmap", "large"],
)
def test_a_part_that_the_wire_does_not_take_is_rejected(part: Any, words: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=words):
        settings().request([Message("user", [part])], "m", {})


@table(
    "part, sent",
    [
        (TextPart(text="x"), {"type": "input_text", "text": "x"}),
        (ImagePart("https://a/b"), {"type": "input_image", "image_url": "https://a/b", "detail": "auto"}),
        (
            ImagePart(PNG, detail="high"),
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"},
        ),
        (FilePart("https://a/b.pdf", name="b"), {"type": "input_file", "file_url": "https://a/b.pdf"}),
        (
            FilePart(b"%PDF-"),
            {"type": "input_file", "filename": "file.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        ),
        (FilePart(b"a"), {"type": "input_file", "filename": "file.txt", "file_data": "data:text/plain;base64,YQ=="}),
        (
            FilePart(b"a", name="a.py"),
            {"type": "input_file", "filename": "a.py", "file_data": "data:text/plain;base64,YQ=="},
        ),
    ],
    ids=repr,
)
def test_parts(part: Any, sent: dict[str, Any]) -> None:
    for role, where in (("user", "content"), ("tool", "output")):
        message = Message(role, [part], tool_call_id="c" if role == "tool" else None)  # type: ignore[arg-type]
        assert encoded([message])["input"][0][where] == [sent]


@table(
    "message, words",
    [
        (Message("tool", "4"), "needs the tool_call_id"),
        (Message("assistant", [ImagePart(PNG)]), "has text only on this wire, no image"),
        (Message("user", [AudioPart(b"RIFF\0\0\0\0WAVE")]), "there is no audio"),
        (Message("assistant", "x", provider_data={"openai-responses": {}}), "is not a list of items"),
    ],
)
def test_a_message_that_the_wire_cannot_carry_is_rejected(message: Message, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"messages\[1\]: .*{words}") as caught:
        encoded(["Hi", message])

    assert caught.value.argument == "messages"


def test_an_answer_goes_back_as_it_came() -> None:
    items = [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "g"}, {"type": "message"}]
    response = whole_reply(CODEC, json.dumps({"status": "completed", "output": items}).encode())

    assert encoded(["Hi", response.message])["input"][1:] == items
    assert encoded(["Hi", response.message.model_copy(update={"provider_data": None, "content": "x"})])["input"][1] == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "x"}],
    }


def test_encrypted_reasoning_of_a_stream_goes_back_as_its_item_ended_whatever_the_last_event_has_of_it() -> None:
    begun: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    ended = begun | {"encrypted_content": "gAAA=="}
    text = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hi"}]}
    added = event("response.output_item.added", output_index=0, item=begun | {"encrypted_content": "g"})
    whole = [event("response.output_item.done", output_index=at, item=item) for at, item in enumerate([ended, text])]
    for pieces, last in ((whole, []), (whole, [ended, text]), (whole, [begun, text]), ([], [ended, text])):
        end = event("response.completed", response={"status": "completed", "output": last})
        found = decode(CODEC.stream_decoder("text/event-stream"), [part.encode() for part in (added, *pieces, end)])

        assert encoded(["Hi", found.response.message])["input"][1:] == [ended, text]


def test_an_answer_without_anything_opaque_is_made_anew() -> None:
    message = Message("assistant", "I ask.", tool_calls=[ToolCall("c", "f", '{ "a":1}')], reasoning="Hm.")

    assert encoded(["Hi", message])["input"][1:] == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I ask."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{ "a":1}'},
    ]


def test_the_models_are_asked_for_and_read_as_elsewhere_at_openai() -> None:
    wire = CODEC.encode_models(Context(api_key="k"))

    assert (wire.method, wire.path, wire.body) == ("GET", "/models", b"")
    assert wire.headers == (("Accept", "application/json"), ("Authorization", "Bearer k"))
    assert CODEC.decode_models(b'{"data":[{"id":"b"},{"id":"a"}]}') == ["b", "a"]
    for body in (b"", b"{}", b'{"data":{}}', b'{"data":["a"]}', b'{"data":[{}]}'):
        with pytest.raises(APIResponseError):
            CODEC.decode_models(body)
