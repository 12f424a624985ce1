"""The presets, one by one: what each sends for one rich request, where to, and what it rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmclients import Client
from llmclients.codecs.base import Codec, Context
from llmclients.errors import UnsupportedOptionError
from llmclients.providers.presets import PRESETS
from llmclients.providers.registry import find_provider
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest

PNG = b"\x89PNG\r\n\x1a\n"
PNG_URL = "data:image/png;base64,iVBORw0KGgo="
OPTIONS: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.9,
    "max_tokens": 200,
    "stop": ["END"],
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "tools": [{"name": "weather", "parameters": {"type": "object"}}, {"name": "clock", "parameters": {}}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": "json",
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 2,
}
MESSAGES = [
    Message("system", "Be brief."),
    Message("user", "How warm is it in Oslo?"),
    Message("assistant", tool_calls=[ToolCall("call_1", "weather", '{"city":"Oslo"}')], reasoning="I must ask."),
    Message("tool", "4 degrees", name="weather", tool_call_id="call_1"),
]
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "clock", "parameters": {}}},
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
SHORT = "670bf1b29"  # what stands for call_1 where ids are short
SENT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How warm is it in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "4 degrees", "name": "weather", "tool_call_id": "call_1"},
    ],
    **OPTIONS,
    "tools": TOOLS,
    "response_format": {"type": "json_object"},
    "stream": True,
    "stream_options": {"include_usage": True},
}
"""What goes out where a server has no dialect of its own."""

LOGPROBS = {"logprobs", "top_logprobs"}
CHOICES = {"tool_choice", "parallel_tool_calls"}
IMAGES = {"image", "image-url"}
UNASKED = {"stream_options": None}  # usage comes without asking
NAMELESS = {"role": "tool", "content": "4 degrees", "tool_call_id": "call_1"}

# name: base URL, options rejected, parts taken, members of the payload that differ (None: not there)
TABLE: dict[str, tuple[str, set[str], set[str], dict[str, Any]]] = {
    "ollama-v1": ("http://localhost:11434/v1", CHOICES | LOGPROBS, {"image"}, {}),
    "llama.cpp": ("http://localhost:8080/v1", set(), IMAGES | {"audio"}, {}),
    "vllm": ("http://localhost:8000/v1", set(), IMAGES | {"audio"}, {}),
    "lmstudio": ("http://localhost:1234/v1", {"parallel_tool_calls"} | LOGPROBS, {"image"}, {}),
    "openrouter": ("https://openrouter.ai/api/v1", set(), IMAGES | {"audio", "file", "file-url"}, {}),
    "groq": (
        "https://api.groq.com/openai/v1",
        LOGPROBS,
        IMAGES,
        {**UNASKED, "messages": [*SENT["messages"][:3], NAMELESS]},
    ),
    "mistral": (
        "https://api.mistral.ai/v1",
        LOGPROBS,
        IMAGES,
        {
            **UNASKED,
            "seed": None,
            "random_seed": 7,
            "tool_choice": "any",
            "messages": [
                *SENT["messages"][:2],
                {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": SHORT}]},
                {"role": "tool", "content": "4 degrees", "name": "weather", "tool_call_id": SHORT},
            ],
        },
    ),
    "deepseek": (
        "https://api.deepseek.com",
        {"seed", "parallel_tool_calls", "reasoning_effort"},
        set(),
        {
            **UNASKED,
            "messages": [
                *SENT["messages"][:2],
                SENT["messages"][2] | {"reasoning_content": "I must ask."},
                SENT["messages"][3],
            ],
        },
    ),
    "together": ("https://api.together.xyz/v1", {"parallel_tool_calls"} | LOGPROBS, IMAGES, UNASKED),
    "xai": ("https://api.x.ai/v1", set(), IMAGES, UNASKED),
    "perplexity": ("https://api.perplexity.ai", {"seed", "tools"} | CHOICES | LOGPROBS, IMAGES, UNASKED),
    "fireworks": ("https://api.fireworks.ai/inference/v1", set(), IMAGES, UNASKED),
    "cerebras": ("https://api.cerebras.ai/v1", {"presence_penalty", "frequency_penalty"}, set(), UNASKED),
    "azure": (
        "https://res.openai.azure.com/openai/v1",
        set(),
        IMAGES | {"audio", "file"},
        {"max_tokens": None, "max_completion_tokens": 200},
    ),
}
PARTS = {
    "image": ImagePart(PNG),
    "image-url": ImagePart("https://x.example/a.png"),
    "audio": AudioPart(b"RIFF....WAVE"),
    "audio-url": AudioPart("https://x.example/a.wav"),
    "file": FilePart(b"%PDF-1", name="a.pdf"),
    "file-url": FilePart("https://x.example/a.pdf"),
}
SERVED = Reply(json={"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]})
STREAMED = Reply(
    headers={"content-type": "text/event-stream"},
    body='data: {"choices":[{"delta":{"content":"{}"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in (*PRESETS, find_provider("openai")):
        for variable in (*provider.key_variables, provider.base_url_variable):
            if variable:
                monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com/")


def client(preset: str, *replies: Reply, **arguments: Any) -> tuple[Client, MockTransport]:
    mock = MockTransport(replies or [SERVED])
    return Client(preset, transport=mock, **({"model": "m", "api_key": "k", "retry": None} | arguments)), mock


def codec_of(preset: str) -> Codec:
    return find_provider(preset).load_codec()


def test_the_table_has_every_preset() -> None:
    assert [provider.name for provider in PRESETS] == list(TABLE)


@pytest.mark.parametrize("preset", TABLE)
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


@pytest.mark.parametrize("preset", TABLE)
def test_a_whole_reply_is_asked_for_as_such(preset: str) -> None:
    llm, mock = client(preset)

    assert llm.chat("Hi").text == "{}"
    assert json.loads(mock.requests[0].body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,  # said, because some gateways stream unless it is
    }


@pytest.mark.parametrize("preset", TABLE)
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


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("preset", TABLE)
def test_the_parts_that_a_preset_takes(preset: str, kind: str) -> None:
    llm, mock = client(preset)
    messages = [Message("user", [TextPart(text="See."), PARTS[kind]])]

    if kind in TABLE[preset][2]:
        llm.chat(messages)
        assert len(json.loads(mock.requests[0].body)["messages"][0]["content"]) == 2
    else:
        with pytest.raises(UnsupportedOptionError, match=rf"messages\[0\]: {preset} cannot carry"):
            llm.chat(messages)
        assert mock.requests == []


@pytest.mark.parametrize("preset", ["openai", "vllm", "azure"])
@pytest.mark.parametrize(
    ("part", "words"),
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


@pytest.mark.parametrize("preset", [*TABLE, "openai", "local"])
def test_a_tool_chosen_by_name_is_the_only_one_where_it_cannot_be_named(preset: str) -> None:
    codec = codec_of(preset)
    if "tool_choice" not in codec.fields:
        return
    request = ChatRequest.from_messages("Hi", tools=OPTIONS["tools"], tool_choice="clock")
    payload = json.loads(codec.encode(request, Context(model="m", options=codec.options())).body)

    if preset in ("llama.cpp", "local"):
        assert (payload["tools"], payload["tool_choice"]) == (TOOLS[1:], "required")
    else:
        assert (payload["tools"], payload["tool_choice"]) == (TOOLS, NAMED)


@pytest.mark.parametrize("preset", ["groq", "mistral"])
def test_a_name_is_rejected_where_the_server_would_reject_it(preset: str) -> None:
    llm, mock = client(preset)

    with pytest.raises(UnsupportedOptionError, match=r"messages\[1\]: .* no name on a message of the role user"):
        llm.chat([Message("system", "S"), Message("user", "Hi", name="Ada")])
    assert mock.requests == []


@pytest.mark.parametrize("preset", sorted({*TABLE, "openai"} - {"groq", "mistral"}))
def test_elsewhere_it_goes_out(preset: str) -> None:
    llm, mock = client(preset)
    llm.chat(Message("user", "Hi", name="Ada"))

    assert json.loads(mock.requests[0].body)["messages"] == [{"role": "user", "content": "Hi", "name": "Ada"}]


@pytest.mark.parametrize(
    ("given", "sent"),
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


def test_deepseek_s_reasoning_goes_back_with_tool_calls_alone() -> None:
    llm, mock = client("deepseek")
    llm.chat(["Hi", Message("assistant", "Hello.", reasoning="A greeting."), "Bye"])

    assert json.loads(mock.requests[0].body)["messages"][1] == {"role": "assistant", "content": "Hello."}
