"""Ollama's own SDK: what it sends, our codec sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.base import Context
from llmclients.codecs.ollama.codec import OllamaCodec, OllamaOptions
from llmclients.config.environment import address_url
from llmclients.types.content import ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest
from oracles.answers import Answers

from .later import later

if TYPE_CHECKING:
    import ollama
else:
    ollama = later("ollama")

CODEC = OllamaCodec()


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def client(answers: Answers) -> ollama.Client:
    headers = {"Authorization": "Bearer ol-test"}
    return ollama.Client("http://localhost:11434", transport=answers.transport, headers=headers)


# --- requests -------------------------------------------------------------------------------------------------------

# Each strategy makes the same thing twice: for us, and for the SDK.

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-9, 9) | words | st.lists(st.integers(0, 3), max_size=2)
arguments = st.dictionaries(words, values, max_size=3)
images = st.binary(max_size=9).map(lambda data: b"\x89PNG\r\n\x1a\n" + data)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], list[ollama.Message]]:
    ours: list[Message] = []
    theirs: list[ollama.Message] = []
    for role in draw(st.lists(st.sampled_from(["system", "user", "images", "assistant", "tools"]), max_size=6)):
        if role == "images":
            text, found = draw(words | st.none()), draw(st.lists(images, min_size=1, max_size=2))
            parts = [ImagePart(data) for data in found]
            ours.append(Message("user", parts if text is None else [TextPart(text=text), *parts]))
            theirs.append(
                ollama.Message(role="user", content=text, images=[ollama.Image(value=data) for data in found])
            )
        elif role == "tools":
            calls = draw(
                st.lists(st.tuples(words, names, arguments), min_size=1, max_size=2, unique_by=lambda call: call[0])
            )
            text, thought = draw(words | st.none()), draw(words | st.none())
            ours.append(Message("assistant", text, reasoning=thought, tool_calls=[ToolCall(*call) for call in calls]))
            asked = [{"function": {"name": name, "arguments": found}} for _, name, found in calls]
            theirs.append(ollama.Message(role="assistant", content=text, thinking=thought, tool_calls=asked))
            for id, name, _ in calls:
                result = draw(words)
                ours.append(Message("tool", result, tool_call_id=id))
                theirs.append(ollama.Message(role="tool", content=result, tool_name=name))
        else:
            text = draw(words)
            ours.append(Message(role, text))  # type: ignore[arg-type]
            theirs.append(ollama.Message(role=role, content=text))
    return [*ours, Message("user", "?")], [*theirs, ollama.Message(role="user", content="?")]


fractions = st.sampled_from([0, 0.25, 1, 1.0])
sampling = st.fixed_dictionaries(
    {},
    optional={
        "temperature": fractions,
        "top_p": fractions,
        "max_tokens": st.integers(1, 9999),
        "stop": st.lists(words, min_size=1, max_size=5),
        "seed": st.integers(0, 2**31),
        "presence_penalty": fractions,
        "frequency_penalty": fractions,
        "top_k": st.integers(0, 500),
        "num_ctx": st.integers(1, 2**20),
    },
)
beside = st.fixed_dictionaries(
    {},
    optional={
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 20),
        "keep_alive": st.sampled_from(["5m", "-1", 0, 30, 2.5]),
    },
)
schemas = st.dictionaries(names, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=2).map(
    lambda properties: {"type": "object", "properties": properties, "required": sorted(properties)}
)
tools = st.lists(st.tuples(names, words | st.none(), schemas), max_size=2, unique_by=lambda tool: tool[0])
RENAMED = {"max_tokens": "num_predict"}
THINK = {"none": False, "on": True, "low": "low", "medium": "medium", "high": "high", "max": "max"}


@st.composite
def options(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    inside, outside = draw(sampling), draw(beside)
    theirs: dict[str, Any] = dict(outside)
    if inside:
        theirs["options"] = ollama.Options(**{RENAMED.get(name, name): value for name, value in inside.items()})
    ours = inside | outside
    if draw(st.booleans()):
        ours["reasoning_effort"] = draw(st.sampled_from(sorted(THINK)))
        theirs["think"] = THINK[ours["reasoning_effort"]]
    if draw(st.booleans()):
        schema = draw(st.none() | schemas)
        ours["response_format"] = schema or "json"
        theirs["format"] = schema or "json"
    if found := draw(tools):
        ours["tools"] = [{"name": name, "description": about, "parameters": schema} for name, about, schema in found]
        theirs["tools"] = [
            ollama.Tool(function=ollama.Tool.Function(name=name, description=about, parameters=schema))
            for name, about, schema in found
        ]
    return ours, theirs


def as_the_sdk_has_it(body: bytes) -> dict[str, Any]:
    """Our body without what the SDK leaves out: empty content, and the ids of calls, which it does not know yet."""
    payload: dict[str, Any] = json.loads(body)
    for message in payload["messages"]:
        message.pop("tool_call_id", None)
        if message["content"] == "":
            del message["content"]
        for call in message.get("tool_calls", ()):
            del call["id"]
    payload.setdefault("tools", [])  # it says that there are none
    return payload


@given(conversations(), options(), st.booleans())
def test_the_request_is_the_sdk_s(
    client: ollama.Client,
    answers: Answers,
    conversation: tuple[list[Message], list[ollama.Message]],
    asked: tuple[dict[str, Any], dict[str, Any]],
    stream: bool,
) -> None:
    answers.give([b"{}"], status=400)
    with pytest.raises(ollama.ResponseError):  # we want the request only
        list(client.chat("m", conversation[1], stream=stream, **asked[1]))
    codec_options = {name: value for name, value in asked[0].items() if name in OllamaOptions.model_fields}
    shared = {name: value for name, value in asked[0].items() if name not in codec_options}

    ours = CODEC.encode(
        ChatRequest.from_messages(conversation[0], **shared),
        Context(model="m", stream=stream, api_key="ol-test", options=OllamaOptions(**codec_options)),
    )

    assert as_the_sdk_has_it(ours.body) == json.loads(answers.request.content)
    assert (ours.method, f"http://localhost:11434{ours.path}") == (answers.request.method, str(answers.request.url))
    for name, value in ours.headers:
        assert answers.request.headers[name] == value


def test_the_models_are_asked_for_as_the_sdk_asks(client: ollama.Client, answers: Answers) -> None:
    body = b'{"models":[{"name":"qwen3:8b","model":"qwen3:8b"},{"name":"b","model":"b"}]}'
    answers.give([body])

    theirs = client.list()

    ours = CODEC.encode_models(Context())
    assert (ours.method, f"http://localhost:11434{ours.path}") == (answers.request.method, str(answers.request.url))
    assert CODEC.decode_models(body) == [model.model for model in theirs.models]


hosts = st.sampled_from(["example.com", "1.2.3.4", "[0001:002:003:0004::1]"])
ports = st.sampled_from(["", ":80", ":443", ":56789"])


@given(st.sampled_from(["", "http://", "https://"]), hosts, ports, st.sampled_from(["", "/", "/path", "/path/"]))
def test_its_variable_is_read_as_the_sdk_reads_it(scheme: str, host: str, port: str, path: str) -> None:
    from ollama._client import _parse_host

    value = scheme + host + port + path

    ours, theirs = httpx.URL(address_url(value, 11434)), httpx.URL(_parse_host(value))

    assert (ours.scheme, ours.host, ours.port, ours.path.rstrip("/")) == (
        theirs.scheme,
        theirs.host,
        theirs.port,
        theirs.path.rstrip("/"),
    )
