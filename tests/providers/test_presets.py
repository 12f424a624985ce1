"""The presets, one by one: what each sends for one rich request, where to, and what it rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tables import table

from llmclients.codecs.base import Context
from llmclients.errors import UnsupportedOptionError
from llmclients.providers.hosts import HOSTS
from llmclients.providers.presets import PRESETS
from llmclients.transports.mock import Reply
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest

from .preset_clients import client, codec_of, own_environment
from .preset_table import CHOICES, MESSAGES, OPTIONS, SENT, SHORT, TABLE, TOOLS

__all__ = ["own_environment"]  # a fixture of every test here

PNG = b"\x89PNG\r\n\x1a\n"
PARTS = {
    "image": ImagePart(PNG),
    "image-url": ImagePart("https://x.example/a.png"),
    "audio": AudioPart(b"RIFF....WAVE"),
    "audio-url": AudioPart("https://x.example/a.wav"),
    "file": FilePart(b"%PDF-1", name="a.pdf"),
    "file-url": FilePart("https://x.example/a.pdf"),
}
STREAMED = Reply(
    headers={"content-type": "text/event-stream"},
    body='data: {"choices":[{"delta":{"content":"{}"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


def test_the_table_has_every_preset() -> None:
    assert [provider.name for provider in (*PRESETS, *HOSTS)] == list(TABLE)


@table("preset", TABLE)
def test_a_rich_request_goes_out_in_the_preset_s_dialect(preset: str) -> None:
    base_url, rejected, _, changes = TABLE[preset]
    options = {name: value for name, value in OPTIONS.items() if name not in rejected}
    llm, mock = client(preset, STREAMED)

    list(llm.stream(MESSAGES, **options))

    (request,) = mock.requests
    expected = {name: value for name, value in (SENT | changes).items() if name not in rejected and value is not None}
    assert json.loads(request.body) == expected
    assert request.url == f"{base_url}/chat/completions"
    headers = {name.lower(): value for name, value in request.headers}
    key = {"api-key": "k"} if preset == "azure" else {"authorization": "Bearer k"}
    assert headers == {"content-type": "application/json", "accept": "application/json", **key}


def test_a_whole_reply_is_asked_for_as_such() -> None:
    for preset in TABLE:
        llm, mock = client(preset)

        assert llm.chat("Hi").text == "{}"
        assert json.loads(mock.requests[0].body) == {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": False,  # said, because some gateways stream unless it is
        }, preset


@table("preset", TABLE)
def test_what_the_server_does_not_heed_is_rejected_by_name(preset: str) -> None:
    rejected = TABLE[preset][1]
    llm, mock = client(preset)
    for option in sorted(rejected):
        needs_tools = {"tools": OPTIONS["tools"]} if option in CHOICES and "tools" not in rejected else {}
        with pytest.raises(UnsupportedOptionError, match=f"{preset} cannot carry the option '{option}'") as caught:
            llm.chat("Hi", **{option: OPTIONS[option]}, **needs_tools)
        assert caught.value.argument == option

    assert codec_of(preset).fields == OPTIONS.keys() - rejected
    assert mock.requests == []


@table("kind", PARTS)
def test_the_parts_that_a_preset_takes(kind: str) -> None:
    messages = [Message("user", [TextPart(text="See."), PARTS[kind]])]
    for preset, row in TABLE.items():
        llm, mock = client(preset)
        if kind in row[2]:
            llm.chat(messages)
            assert len(json.loads(mock.requests[0].body)["messages"][0]["content"]) == 2, preset
        else:
            with pytest.raises(UnsupportedOptionError, match=rf"messages\[0\]: {preset} cannot carry"):
                llm.chat(messages)
            assert mock.requests == []


@table(
    "given, sent",
    [
        ({"logprobs": True}, {"logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": 5}),
        ({"top_logprobs": 5}, {"logprobs": 5}),
        ({"logprobs": True, "top_logprobs": 0}, {"logprobs": 1}),
        ({"logprobs": False}, {}),
    ],
)
def test_together_is_told_of_how_many_tokens_the_log_probabilities_are_wanted(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    llm, mock = client("together")
    llm.chat("Hi", **given)

    body = json.loads(mock.requests[0].body)
    assert {name: value for name, value in body.items() if name not in ("model", "messages", "stream")} == sent


@table("preset", ["openai", "vllm", "azure"])
@table(
    "part, words",
    [
        (ImagePart(b"BM...."), "image/bmp: it takes image/gif, image/jpeg, image/png, image/webp"),
        (AudioPart(b"fLaC...."), "audio/flac: it takes audio/mp3, audio/mpeg, "),
        (ImagePart(PNG + bytes(50 * 1024 * 1024)), "an image of 52428808 bytes: it takes 52428800"),
    ],
    ids=["bmp", "flac", "too large"],
)
def test_of_what_type_and_size_a_part_may_be(preset: str, part: Any, words: str) -> None:
    llm, mock = client(preset)

    with pytest.raises(UnsupportedOptionError, match=words):
        llm.chat(Message("user", [part]))
    assert mock.requests == []


NAMED = {"type": "function", "function": {"name": "clock"}}


def test_a_tool_chosen_by_name_is_the_only_one_where_it_cannot_be_named() -> None:
    request = ChatRequest.from_messages("Hi", tools=OPTIONS["tools"], tool_choice="clock")
    for preset in (*TABLE, "openai"):
        codec = codec_of(preset)
        if "tool_choice" not in codec.fields:
            continue
        payload = json.loads(codec.encode(request, Context(model="m", options=codec.options())).body)

        sent = (TOOLS[1:], "required") if preset == "llama.cpp" else (TOOLS, NAMED)
        assert (payload["tools"], payload["tool_choice"]) == sent, preset


NAMELESS = ["databricks", "groq", "mistral", "sambanova", "zai"]


@table("preset", NAMELESS)
def test_a_name_is_rejected_where_the_server_would_reject_it(preset: str) -> None:
    llm, mock = client(preset)

    with pytest.raises(UnsupportedOptionError, match=r"messages\[1\]: .* no name on a message of the role user"):
        llm.chat([Message("system", "S"), Message("user", "Hi", name="Ada")])
    assert mock.requests == []


def test_elsewhere_it_goes_out() -> None:
    for preset in {*TABLE, "openai"}.difference(NAMELESS):
        llm, mock = client(preset)
        llm.chat(Message("user", "Hi", name="Ada"))

        sent = json.loads(mock.requests[0].body)["messages"]
        assert sent == [{"role": "user", "content": "Hi", "name": "Ada"}], preset


@table(
    "given, sent",
    [("abcDEF123", "abcDEF123"), ("call_1", SHORT), ("", "7d64c5272"), ("abcDEF12", None), ("abcDEF1é3", None)],
)
def test_mistral_s_ids_are_nine_letters_and_digits(given: str, sent: str | None) -> None:
    messages = [Message("assistant", tool_calls=[ToolCall(given, "f", "{}")]), Message("tool", "1", tool_call_id=given)]
    codec = codec_of("mistral")

    call, result = json.loads(
        codec.encode(ChatRequest.from_messages(messages), Context(model="m", options=codec.options())).body
    )["messages"]

    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert sent is None or result["tool_call_id"] == sent
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()
    assert result["tool_call_id"].isascii()


def test_deepseek_is_told_how_hard_to_think() -> None:
    llm, mock = client("deepseek")
    llm.chat("Hi", reasoning_effort="max", extra={"thinking": {"type": "enabled"}})

    body = json.loads(mock.requests[0].body)
    assert (body["reasoning_effort"], body["thinking"]) == ("max", {"type": "enabled"})


def test_deepseek_s_reasoning_goes_back_with_tool_calls_alone() -> None:
    llm, mock = client("deepseek")
    llm.chat(["Hi", Message("assistant", "Hello.", reasoning="A greeting."), "Bye"])

    assert json.loads(mock.requests[0].body)["messages"][1] == {"role": "assistant", "content": "Hello."}
