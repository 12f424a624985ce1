"""Against OpenAI's own SDK: the same arguments make the same request."""

from __future__ import annotations

import base64
import json
from enum import Enum
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from tables import table

from llmclients import Client
from llmclients.codecs.base import Context
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.request import ChatRequest
from llmclients.types.tools import Tool
from oracles.openai_sdk import CODEC, EMPTY, NAMES, THE_SDK, WORDS, create, maybe

from .later import later

if TYPE_CHECKING:
    import openai
else:
    openai = later("openai")


def sent(messages: Any = "Hi", *, stream: bool = False, **options: Any) -> dict[str, Any]:
    """The body of our request."""
    request = ChatRequest.from_messages(messages, **options)
    body: dict[str, Any] = json.loads(CODEC.encode(request, Context(model="m", stream=stream)).body)
    return body


# --- requests -------------------------------------------------------------------------------------------------------

BASE64 = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(b"\0" + data).decode())
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(NAMES, st.just({"type": "string"}), max_size=2)},
    optional={"required": st.lists(NAMES, max_size=2), "additionalProperties": st.just(False)},
)


def fit_for(more: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What claims to be strict must be: here that is said before anything is sent, there by the server."""
    if not more.get("strict"):
        return schema
    return schema | {"required": list(schema["properties"]), "additionalProperties": False}


def part(kind: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **members})


URLS = st.one_of(
    NAMES.map("https://x.example/{}.png".format),
    st.builds("data:image/{};base64,{}".format, st.sampled_from(["png", "jpeg", "webp", "gif"]), BASE64),
)
PARTS = st.one_of(
    part("text", text=WORDS),
    part(
        "image_url",
        image_url=maybe(detail=st.sampled_from(["auto", "low", "high"])).flatmap(
            lambda detail: URLS.map(lambda url: {"url": url, **detail})
        ),
    ),
    part("input_audio", input_audio=st.fixed_dictionaries({"data": BASE64, "format": st.sampled_from(["wav", "mp3"])})),
    part(
        "file",
        file=st.fixed_dictionaries(
            {"filename": WORDS, "file_data": BASE64.map("data:application/pdf;base64,{}".format)}
        ),
    ),
)
CALLS = st.lists(
    st.builds(
        lambda call_id, name, arguments: {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        },
        WORDS,
        NAMES,
        st.dictionaries(WORDS, st.integers() | WORDS, max_size=2),
    ),
    min_size=1,
    max_size=3,
)
NAMED = maybe(name=NAMES)
MESSAGES = st.one_of(
    st.builds(
        lambda role, content, name: {"role": role, "content": content, **name},
        st.sampled_from(["system", "developer", "user", "assistant"]),
        WORDS,
        NAMED,
    ),
    st.builds(
        lambda parts, name: {"role": "user", "content": parts, **name}, st.lists(PARTS, min_size=1, max_size=4), NAMED
    ),
    st.builds(
        lambda content, calls: {"role": "assistant", "content": content, "tool_calls": calls},
        st.none() | WORDS,
        CALLS,
    ),
    st.builds(
        lambda content, call_id: {"role": "tool", "content": content, "tool_call_id": call_id},
        WORDS | st.lists(part("text", text=WORDS), min_size=1, max_size=2),
        WORDS,
    ),
)
TOOLS = st.lists(
    st.builds(
        lambda name, schema, more: {
            "type": "function",
            "function": {"name": name, "parameters": fit_for(more, schema), **more},
        },
        NAMES,
        SCHEMAS,
        maybe(description=WORDS, strict=st.booleans()),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool["function"]["name"],
)


@st.composite
def with_tools(draw: st.DrawFn) -> dict[str, Any]:
    tools = draw(TOOLS)
    named = [{"type": "function", "function": {"name": tool["function"]["name"]}} for tool in tools]
    choices = st.sampled_from(["auto", "none", "required", *named])
    return {"tools": tools, **draw(maybe(tool_choice=choices, parallel_tool_calls=st.booleans()))}


FORMATS = st.just({"type": "json_object"}) | st.builds(
    lambda name, schema, more: {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": fit_for(more, schema), **more},
    },
    NAMES,
    SCHEMAS,
    maybe(description=WORDS, strict=st.booleans()),
)
SAMPLING = maybe(
    temperature=st.floats(0, 2) | st.integers(0, 2),
    top_p=st.floats(0, 1),
    stop=WORDS | st.lists(WORDS, min_size=1, max_size=4),
    seed=st.integers(-(2**53), 2**53),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    reasoning_effort=st.sampled_from(["none", "minimal", "low", "medium", "high"]),
    logprobs=st.booleans(),
    top_logprobs=st.integers(0, 20),
    response_format=FORMATS,
)
EXTRA = st.none() | st.dictionaries(st.sampled_from(["user", "n", "metadata"]), st.integers() | WORDS, min_size=1)


@given(
    st.lists(MESSAGES, min_size=1, max_size=5),
    SAMPLING,
    st.just({}) | with_tools(),
    st.none() | st.integers(1, 10**6),
    EXTRA,
    st.booleans(),
)
def test_the_same_arguments_make_the_same_body(
    messages: list[dict[str, Any]],
    sampling: dict[str, Any],
    tools: dict[str, Any],
    most: int | None,
    extra: dict[str, Any] | None,
    stream: bool,
) -> None:
    theirs: dict[str, Any] = {"messages": messages, **sampling, **tools, "stream": stream, "extra_body": extra}
    if most is not None:
        theirs["max_completion_tokens"] = most
    if stream:
        theirs |= {"stream_options": {"include_usage": True}}

    ours = sent(messages, stream=stream, max_tokens=most, extra=extra, **sampling, **tools)

    assert ours == THE_SDK.sent(create, **theirs)


@table("stream", [False, True])
def test_and_the_same_headers_to_the_same_address(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    THE_SDK.answer = lambda: httpx2.Response(200, text=EMPTY, headers={"content-type": "application/json"})
    create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=stream)
    theirs = THE_SDK.heard.pop()
    mock = MockTransport([Reply(body=EMPTY, headers={"content-type": "application/json"})])
    client = Client("openai/m", api_key="sk-test", transport=mock)
    if stream:
        list(client.stream("Hi"))
    else:
        client.chat("Hi")

    (ours,) = mock.requests
    headers = {name.lower(): value for name, value in ours.headers}
    assert (ours.method, ours.url) == (theirs.method, str(theirs.url))
    for name in ("authorization", "content-type", "accept"):
        assert headers[name] == theirs.headers[name]


def test_azure_s_older_address_is_the_sdk_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    endpoint, version = "https://res.openai.azure.com", "2024-10-21"
    heard: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        heard.append(request)
        return httpx2.Response(200, text=EMPTY, headers={"content-type": "application/json"})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    azure = openai.AzureOpenAI(azure_endpoint=endpoint, api_version=version, api_key="k", http_client=http)
    messages: Any = [{"role": "user", "content": "Hi"}]
    azure.chat.completions.create(model="m", messages=messages, max_completion_tokens=5, stream=False)
    mock = MockTransport([Reply(body=EMPTY)])
    Client("azure/m", api_key="k", base_url=endpoint, transport=mock).chat("Hi", max_tokens=5, api_version=version)

    ours, theirs = mock.requests[0], heard[0]
    assert (ours.method, ours.url) == (theirs.method, str(theirs.url))
    assert dict(ours.headers)["api-key"] == theirs.headers["api-key"]
    assert json.loads(ours.body) == json.loads(theirs.content)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Wheel(BaseModel):
    """A wheel."""

    inches: float = Field(description="Across.")


class Car(BaseModel):
    """A car, as the advertisement has it."""

    name: str
    colour: Colour = Field(description="Of the paint.")
    front: Wheel = Field(description="One of two.")
    wheels: list[Wheel]
    price: int | None = None
    spare: Wheel | None = Field(default=None, description="In the boot.")
    tags: list[str]


class Tree(BaseModel):
    leaf: str
    branches: list[Tree]


class Plain(BaseModel):
    answer: int


MODELS = [Car, Tree, Plain]


@table("model", MODELS)
def test_a_model_as_the_form_of_an_answer_makes_the_same_body(model: type[BaseModel]) -> None:
    example = {"name": "a", "colour": "red", "front": {"inches": 1}, "wheels": [], "price": 1, "spare": None}
    body = json.dumps(example | {"tags": [], "leaf": "", "branches": [], "answer": 1})
    THE_SDK.answer = lambda: httpx2.Response(200, text=EMPTY.replace('"{}"', json.dumps(body)))
    messages: Any = [{"role": "user", "content": "Hi"}]
    completion = THE_SDK.client.chat.completions.parse(model="m", messages=messages, response_format=model)

    assert sent(response_format=model) == json.loads(THE_SDK.heard.pop().content)
    parsed = ChatRequest.from_messages("Hi", response_format=model).response_format.parse(body)  # type: ignore[union-attr]
    assert parsed == completion.choices[0].message.parsed


@table("model", MODELS)
def test_a_model_as_a_tool_makes_the_same_body(model: type[BaseModel]) -> None:
    theirs = openai.pydantic_function_tool(model)
    ours = Tool.coerce(model).model_copy(update={"strict": True})
    body = THE_SDK.sent(create, messages=[{"role": "user", "content": "Hi"}], tools=[theirs], stream=False)

    assert sent(tools=[theirs]) == body
    assert sent(tools=[ours]) == body
