"""The official SDK as the oracle of the Responses API: what it sends and reads is what our codec must. No network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from helpers import cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from responses_wire import IDS, TEXTS, Answer, answers, event
from tables import table

from llmclients.codecs.base import Context
from llmclients.codecs.openai_responses.codec import OpenAIResponsesCodec
from llmclients.errors import APIStatusError
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse

from .later import later

if TYPE_CHECKING:
    import openai
else:
    openai = later("openai")

CODEC = OpenAIResponsesCodec()
EMPTY = {"id": "r", "object": "response", "status": "completed", "output": []}


def sdk(answer: Callable[[httpx2.Request], httpx2.Response]) -> openai.OpenAI:
    client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="sk-test", base_url="http://mock/v1", max_retries=0, http_client=client)


# --- what goes out --------------------------------------------------------------------------------------------------

WORDS = TEXTS.filter(bool)
PNG, PDF = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0="
SCHEMA = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(IDS, st.just({}), max_size=3)})
EFFORT = st.sampled_from(["minimal", "low", "high"])


@st.composite
def parts(draw: st.DrawFn) -> tuple[Any, Any]:
    """A message's content as we take it, and as the SDK does."""
    if draw(st.booleans()):
        text = draw(WORDS)
        return text, text
    ours: list[Any] = []
    theirs: list[Any] = []
    for kind in draw(st.lists(st.sampled_from(["text", "image", "url", "file"]), min_size=1, max_size=3)):
        if kind == "text":
            text = draw(WORDS)
            ours.append({"type": "text", "text": text})
            theirs.append({"type": "input_text", "text": text})
        elif kind == "file":
            ours.append({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}})
            theirs.append({"type": "input_file", "filename": "a.pdf", "file_data": PDF})
        else:
            url = PNG if kind == "image" else "https://example.com/a.png"
            ours.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
            theirs.append({"type": "input_image", "image_url": url, "detail": "low"})
    return ours, theirs


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Messages, and the SDK's `input`."""
    ours: list[Any] = []
    theirs: list[Any] = []
    for role in draw(
        st.lists(st.sampled_from(["system", "developer", "user", "assistant", "calls"]), min_size=1, max_size=5)
    ):
        if role in ("assistant", "calls"):
            text = draw(WORDS if role == "assistant" else TEXTS)
            message: dict[str, Any] = {"role": "assistant", "content": text or None}
            if text:
                content = [{"type": "output_text", "text": text}]
                theirs.append({"type": "message", "role": "assistant", "content": content})
            ours.append(message)
            calls = draw(st.lists(st.tuples(IDS, IDS, WORDS), min_size=1, max_size=2)) if role == "calls" else []
            if calls:
                message["tool_calls"] = [{"id": call, "name": name, "arguments": said} for call, name, said in calls]
            for call, name, said in calls:
                theirs.append({"type": "function_call", "call_id": call, "name": name, "arguments": said})
            for call, name, _ in calls:
                mine, output = draw(parts())
                ours.append({"role": "tool", "name": name, "tool_call_id": call, "content": mine})
                theirs.append({"type": "function_call_output", "call_id": call, "output": output})
        else:
            mine, content = draw(parts())
            ours.append({"role": role, "content": mine})
            theirs.append({"type": "message", "role": role, "content": content})
    return ours, theirs


@st.composite
def options(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Options, the codec's own, and the SDK's arguments."""
    ours: dict[str, Any] = {}
    own: dict[str, Any] = {}
    theirs: dict[str, Any] = {"store": False}
    given_ = draw(st.sets(st.sampled_from(["temperature", "top_p", "top_logprobs", "parallel", "max", "tools"])))
    given_ |= draw(st.sets(st.sampled_from(["format", "effort", "store", "verbosity", "truncation", "previous"])))
    if "temperature" in given_:
        ours["temperature"] = theirs["temperature"] = draw(st.floats(0, 2))
    if "top_p" in given_:
        ours["top_p"] = theirs["top_p"] = draw(st.floats(0, 1))
    if "max" in given_:
        ours["max_tokens"] = theirs["max_output_tokens"] = draw(st.integers(1, 10**6))
    if "store" in given_:
        own["store"] = theirs["store"] = True
    if "previous" in given_:
        own["previous_response_id"] = theirs["previous_response_id"] = draw(IDS)
    if "truncation" in given_:
        own["truncation"] = theirs["truncation"] = "auto"
    text: dict[str, Any] = {}
    if "format" in given_:
        schema, name, strict = draw(SCHEMA), draw(IDS), draw(st.booleans())
        if strict:
            properties = {key: {"type": "string"} for key in schema["properties"]}
            schema |= {"properties": properties, "required": list(properties), "additionalProperties": False}
        inner = {"name": name, "schema": schema, "strict": strict}
        ours["response_format"] = {"type": "json_schema", "json_schema": inner}
        text["format"] = {"type": "json_schema", **inner}
    if "verbosity" in given_:
        ours["verbosity"] = text["verbosity"] = "high"
    include = []
    if "effort" in given_:
        ours["reasoning_effort"] = draw(EFFORT)
        theirs["reasoning"] = {"effort": ours["reasoning_effort"]}
        include += [] if "store" in given_ else ["reasoning.encrypted_content"]
    if "top_logprobs" in given_:
        ours["top_logprobs"] = theirs["top_logprobs"] = draw(st.integers(0, 20))
        include.append("message.output_text.logprobs")
    if "tools" in given_:
        names = draw(st.lists(IDS.filter(lambda name: not name[0].isdigit()), min_size=1, max_size=3, unique=True))
        tools = [{"name": name, "description": draw(WORDS), "parameters": draw(SCHEMA)} for name in names]
        ours["tools"] = tools
        theirs["tools"] = [{"type": "function", "strict": False, **tool} for tool in tools]
        ours["tool_choice"] = choice = draw(st.sampled_from(["auto", "none", "required", names[0]]))
        theirs["tool_choice"] = {"type": "function", "name": choice} if choice == names[0] else choice
        if "parallel" in given_:
            ours["parallel_tool_calls"] = theirs["parallel_tool_calls"] = draw(st.booleans())
    return ours, own, theirs | ({"text": text} if text else {}) | ({"include": include} if include else {})


def sent_by_us(messages: Any, *, own: dict[str, Any], stream: bool, **given_: Any) -> tuple[Any, dict[str, str]]:
    context = Context(model="m", stream=stream, api_key="sk-test", options=CODEC.options(**own))
    wire = CODEC.encode(ChatRequest.from_messages(messages, **given_), context)
    assert (wire.method, wire.path) == ("POST", "/responses")
    return json.loads(wire.body), {name.lower(): value for name, value in wire.headers}


@given(conversations(), options(), st.booleans())
def test_the_same_request_goes_out(conversation: Any, given_: Any, stream: bool) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=EMPTY)

    (messages, items), (ours, own, theirs) = conversation, given_
    sdk(answer).responses.create(model="m", input=items, stream=stream, **theirs)

    body, headers = sent_by_us(messages, own=own, stream=stream, **ours)
    (request,) = seen
    assert body == json.loads(request.content)
    assert (request.method, request.url.path) == ("POST", "/v1/responses")
    for name in ("authorization", "content-type", "accept"):
        assert headers[name] == request.headers[name]


class Inner(BaseModel):
    """What is inside."""

    value: float | None = None
    kind: str = Field(description="which one")


class Answered(BaseModel):
    """An answer."""

    title: str
    inner: Inner
    more: list[Inner]


def test_a_pydantic_model_asks_for_the_same_format() -> None:
    seen: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return httpx2.Response(200, json=EMPTY)

    sdk(answer).responses.parse(model="m", input="Hi", text_format=Answered)

    body, _ = sent_by_us("Hi", own={}, stream=False, response_format=Answered)
    assert body["text"] == seen[0]["text"]


# --- what comes in --------------------------------------------------------------------------------------------------


def check(ours: ChatResponse, theirs: Any) -> None:
    """Both have read the same."""
    refusals = any(part.type == "refusal" for item in theirs.output if item.type == "message" for part in item.content)
    if not refusals:
        assert ours.text == theirs.output_text
    calls = [item for item in theirs.output if item.type == "function_call"]
    assert [(call.id, call.name, call.arguments_text) for call in ours.tool_calls] == [
        (call.call_id, call.name, call.arguments or "{}") for call in calls
    ]
    thoughts = [part.text for item in theirs.output if item.type == "reasoning" for part in item.summary]
    assert (ours.reasoning or "") == "\n\n".join(filter(None, thoughts))
    assert (ours.model, ours.id) == (theirs.model, theirs.id)
    assert (ours.finish_reason == "length") == (theirs.status == "incomplete")
    assert ours.usage is not None
    assert ours.usage.model_dump() == {
        "input_tokens": theirs.usage.input_tokens,
        "output_tokens": theirs.usage.output_tokens,
        "total_tokens": theirs.usage.total_tokens,
        "reasoning_tokens": theirs.usage.output_tokens_details.reasoning_tokens,
        "cached_tokens": theirs.usage.input_tokens_details.cached_tokens,
        "cache_write_tokens": getattr(theirs.usage.input_tokens_details, "cache_write_tokens", None),
    }


@given(answers())
def test_the_same_is_read_from_a_reply(answer: Answer) -> None:
    body = json.dumps(answer.response, ensure_ascii=False).encode()
    client = sdk(lambda request: httpx2.Response(200, content=body, headers={"content-type": "application/json"}))

    check(whole_reply(CODEC, body), client.responses.create(model="m", input="Hi"))


@given(answers(), st.lists(st.integers(0, 6000), max_size=8))
def test_the_same_is_read_from_a_stream_however_it_is_cut(answer: Answer, places: list[int]) -> None:
    numbered = enumerate(answer.events())
    data = "".join(event(kind, sequence_number=number, **members) for number, (kind, members) in numbered).encode()
    pieces = cut_at(data, places)
    client = sdk(
        lambda request: httpx2.Response(200, content=iter(pieces), headers={"content-type": "text/event-stream"})
    )

    found = decode(CODEC.stream_decoder("text/event-stream"), pieces)
    with client.responses.stream(model="m", input="Hi") as stream:
        events = list(stream)

    assert found.done
    check(found.response, events[-1].response)
    deltas = [each.delta for each in events if each.type in ("response.output_text.delta", "response.refusal.delta")]
    assert found.response.text == "".join(deltas)


@table("named", [True, False])
@table("code", ["server_error", "insufficient_quota", "odd"])
def test_what_it_takes_for_an_error_in_a_stream_is_one(code: str, named: bool) -> None:
    data = json.dumps({"type": "error", "error": {"code": code, "message": "Oh."}})
    body = (f"event: error\ndata: {data}\n\n" if named else f"data: {data}\n\n").encode()
    client = sdk(lambda request: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"}))

    with pytest.raises(openai.APIError, match="Oh"):
        list(client.responses.create(model="m", input="Hi", stream=True))

    error = decode(CODEC.stream_decoder("text/event-stream"), [body]).error
    assert error is not None
    assert issubclass(error, APIStatusError)


@table("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_an_error_status_is_an_error_of_the_same_name(status: int) -> None:
    body = b'{"error":{"message":"Oh.","type":"t","param":null,"code":null}}'
    client = sdk(lambda request: httpx2.Response(status, content=body))

    with pytest.raises(openai.APIStatusError) as theirs:
        client.responses.create(model="m", input="Hi")

    ours = CODEC.decode_error(status, {}, body)
    assert type(ours).__name__ == type(theirs.value).__name__
    assert ours.status_code == theirs.value.status_code
