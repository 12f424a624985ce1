"""The official SDK as the oracle: it sends what we send, and reads what we read."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import httpx2
import pytest
from helpers import decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model
from tables import table

from llmclients.codecs.anthropic.codec import AnthropicCodec
from llmclients.codecs.anthropic.request import closed_schema
from llmclients.codecs.base import Context
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse
from llmclients.types.strict_schema import strict_schema

from .anthropic_wire import (
    CONTENT,
    MODEL,
    NAMES,
    OBJECTS,
    STOP_REASONS,
    TEXT,
    USAGE,
    Block,
    conversations,
    cut,
    message,
    reply,
    sdk,
    streams,
)
from .later import later

if TYPE_CHECKING:
    import anthropic
else:
    anthropic = later("anthropic")

CODEC = AnthropicCodec()


# --- what is sent ---------------------------------------------------------------------------------------------------


def our_content(blocks_or_text: str | list[Block]) -> Any:
    """Content as this library has it."""
    if isinstance(blocks_or_text, str):
        return blocks_or_text
    return [part(block) for block in blocks_or_text]


def part(block: Block) -> Block:
    if block["type"] == "text":
        return block
    part_type, source = {"image": "image", "document": "file"}[block["type"]], block["source"]
    name = {"name": block["title"]} if "title" in block else {}
    if source["type"] == "url":
        return {"type": part_type, "url": source["url"], **name}
    data = source["data"] if source["type"] == "base64" else base64.b64encode(source["data"].encode()).decode()
    return {"type": part_type, "data": data, "media_type": source["media_type"], **name}


def messages_of(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation as this library has it: results are messages, thinking is provider_data."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        blocks = turn["content"]
        if isinstance(blocks, str):
            messages.append({"role": turn["role"], "content": blocks})
            continue
        block_types = {block["type"] for block in blocks}
        if turn["role"] == "assistant":
            texts = [block for block in blocks if block["type"] == "text"]
            calls = [
                {"id": block["id"], "name": block["name"], "arguments": json.dumps(block["input"])}
                for block in blocks
                if block["type"] == "tool_use"
            ]
            more: dict[str, Any] = {"tool_calls": calls} if calls else {}
            if block_types & {"thinking", "redacted_thinking"}:
                more["provider_data"] = {"anthropic": blocks}
            messages.append({"role": "assistant", "content": texts or "", **more})
            continue
        rest = [block for block in blocks if block["type"] != "tool_result"]
        for block in blocks:
            if block["type"] == "tool_result":
                failed = {"is_error": block["is_error"]} if "is_error" in block else {}
                content = our_content(block.get("content", ""))
                messages.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content, **failed})
        if rest:
            messages.append({"role": "user", "content": our_content(rest)})
    return messages


CHOICES = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same request twice: the SDK's arguments, and ours."""
    turns = draw(conversations())
    blocks = [block for turn in turns if isinstance(turn["content"], list) for block in turn["content"]]
    for number, block in enumerate(block for block in blocks if block["type"] == "tool_use"):
        block["id"] += f"-{number}"  # the API refuses ids that come twice
    theirs: dict[str, Any] = {"model": MODEL, "messages": turns, "max_tokens": draw(st.integers(1025, 9000))}
    ours: dict[str, Any] = {"messages": messages_of(turns), "max_tokens": theirs["max_tokens"]}
    if draw(st.booleans()):
        theirs["system"] = draw(TEXT)
        ours["messages"].insert(
            0, {"role": draw(st.sampled_from(["system", "developer"])), "content": theirs["system"]}
        )
    if draw(st.booleans()):
        stops = draw(st.lists(TEXT, min_size=1, max_size=3))
        theirs["stop_sequences"], ours["stop"] = stops, stops[0] if len(stops) == 1 else stops
    # The newest SDK has no arguments for these two any more.
    sampling = draw(st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 1), "top_p": st.floats(0, 1)}))
    theirs["extra_body"] = sampling
    ours |= sampling
    if names := draw(st.lists(NAMES, unique=True, max_size=2)):
        tools = [{"name": name, "input_schema": {"type": "object", "properties": draw(OBJECTS)}} for name in names]
        if draw(st.booleans()):
            properties = {key: {"type": "string"} for key in tools[0]["input_schema"]["properties"]}
            closed = {"type": "object", "properties": properties, "additionalProperties": False}
            tools[0] |= {"description": draw(TEXT), "strict": True, "input_schema": closed}
        theirs["tools"], ours["tools"] = tools, tools
        choice = draw(st.sampled_from([None, *CHOICES, names[0]]))
        if choice is not None:
            ours["tool_choice"] = choice
            theirs["tool_choice"] = CHOICES.get(choice, {"type": "tool", "name": choice})
            if choice != "none" and draw(st.booleans()):
                ours["parallel_tool_calls"] = False
                theirs["tool_choice"] = theirs["tool_choice"] | {"disable_parallel_tool_use": True}
    if draw(st.booleans()):
        ours["reasoning_effort"] = "low"
        theirs["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if draw(st.booleans()):
        schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
        ours["response_format"] = schema
        theirs["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    theirs["stream"] = draw(st.booleans())
    return theirs, ours


def sent_by_sdk(arguments: dict[str, Any], **client: Any) -> httpx2.Request:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if arguments.get("stream"):
            return reply(b"", "text/event-stream")
        return reply(
            json.dumps(message([], "end_turn", {"input_tokens": 1, "output_tokens": 1})).encode(), "application/json"
        )

    sdk(answer, **client).messages.create(**arguments, timeout=9)
    return seen[0]


@given(requests())
def test_the_sdk_sends_the_same_request(request: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = request
    context = Context(model=MODEL, stream=bool(theirs.get("stream")), options=CODEC.options(), api_key="sk-ant-key")

    wire = CODEC.encode(ChatRequest.from_messages(ours.pop("messages"), **ours), context)

    expected = sent_by_sdk(theirs)
    assert json.loads(wire.body) == json.loads(expected.content)
    assert (wire.method, wire.path) == (expected.method, expected.url.raw_path.decode())
    headers = dict(wire.headers)
    assert headers["Content-Type"] == expected.headers["content-type"]
    assert headers["Accept"] == expected.headers["accept"]


def test_betas_and_the_page_of_models_are_asked_for_as_the_sdk_does() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return reply(b'{"data":[],"has_more":false,"first_id":null,"last_id":null}', "application/json")

    client = sdk(answer, auth_token="the-token")
    client.models.list(limit=1000)
    client.beta.messages.create(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}], betas=["a", "b"]
    )

    models = CODEC.encode_models(Context())
    assert (models.method, models.path) == (seen[0].method, seen[0].url.raw_path.decode())
    assert seen[0].headers["authorization"] == "Bearer the-token"
    wire = CODEC.encode(ChatRequest.from_messages("x"), Context(model=MODEL, options=CODEC.options(betas=["a", "b"])))
    assert dict(wire.headers)["anthropic-beta"] == seen[1].headers["anthropic-beta"]


TYPES: list[Any] = [
    str,
    int,
    bool | None,
    Literal["a", "b"],
    list[int],
    Annotated[int, Field(ge=0, lt=9, description="A number.")],
    Annotated[str, Field(pattern="^a", max_length=9)],
    Annotated[list[str], Field(min_length=1)],
    Annotated[list[str], Field(min_length=2, max_length=4)],
    Annotated[str, Field(default="x")],
    list[create_model("Inner", a=(int | str, ...))],
    create_model("Other", __doc__="About.", b=(float, ...)) | None,
]


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(TYPES), max_size=4))
def test_the_sdk_makes_the_same_schema_of_a_type(fields: dict[str, Any]) -> None:
    schema = create_model("M", **{name: (type_, ...) for name, type_ in fields.items()}).model_json_schema()

    for one in (schema, strict_schema(schema)):
        assert closed_schema(one) == anthropic.transform_schema(one)


# --- what is read ---------------------------------------------------------------------------------------------------

REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def check(response: ChatResponse, expected: anthropic.types.Message) -> None:
    blocks = [block.to_dict() for block in expected.content]
    assert response.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    thinking = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    assert response.reasoning == (thinking or None)
    calls = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == calls
    assert (response.id, response.model) == (expected.id, expected.model)
    assert expected.stop_reason is not None
    reason = REASONS[expected.stop_reason]
    assert response.finish_reason == ("tool_calls" if calls and reason == "stop" else reason)
    usage, found = expected.usage, response.usage
    assert found is not None
    read = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (found.input_tokens, found.output_tokens) == (read, usage.output_tokens)
    assert (found.total_tokens, found.cached_tokens) == (read + usage.output_tokens, usage.cache_read_input_tokens)
    assert found.cache_write_tokens == usage.cache_creation_input_tokens
    details = usage.output_tokens_details
    assert found.reasoning_tokens == (details.thinking_tokens if details else None)
    opaque = any(block["type"] in ("thinking", "redacted_thinking") for block in blocks)
    assert response.provider_data == ({"anthropic": blocks} if opaque else None)


@given(CONTENT, STOP_REASONS, USAGE)
def test_the_sdk_reads_the_same_reply(content: list[Block], stop_reason: str, usage: dict[str, Any]) -> None:
    body = json.dumps(message(content, stop_reason, usage), ensure_ascii=False).encode()

    expected = sdk(lambda _: reply(body, "application/json")).messages.create(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}]
    )

    check(whole_reply(CODEC, body), expected)


@given(st.data(), streams())
def test_the_sdk_reads_the_same_stream_however_it_is_cut(data: st.DataObject, body: bytes) -> None:
    pieces = data.draw(cut(body))

    with sdk(lambda _: reply(iter(pieces), "text/event-stream")).messages.stream(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ) as stream:
        expected = stream.get_final_message()
    found = decode(CODEC.stream_decoder("text/event-stream"), pieces)

    assert found.error is None, found.message
    assert found.done
    check(found.response, expected)


@given(st.data(), streams())
def test_a_stream_cut_short_is_never_whole(data: st.DataObject, body: bytes) -> None:
    end = data.draw(st.integers(0, len(body) - 2))
    pieces = data.draw(cut(body[:end]))

    found = decode(CODEC.stream_decoder("text/event-stream"), pieces)

    assert found == decode(CODEC.stream_decoder("text/event-stream"), [body[:end]])
    assert not found.done
    assert found.error is not None
    assert found.error.__name__ == "StreamInterruptedError"


@table("error_type", ["overloaded_error", "rate_limit_error"])
def test_both_raise_what_an_error_event_says(error_type: str) -> None:
    body = f'event: error\ndata: {{"type":"error","error":{{"type":"{error_type}","message":"Later."}}}}\n\n'.encode()
    client = sdk(lambda _: reply(body, "text/event-stream"))

    with pytest.raises(anthropic.APIStatusError, match=r"Later\."):
        list(
            client.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}], stream=True)
        )
    assert "Later." in decode(CODEC.stream_decoder("text/event-stream"), [body]).message
