"""Cohere's own SDK: what it sends, our codec sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.base import Context
from llmclients.codecs.cohere.codec import CohereCodec, CohereOptions
from llmclients.types.content import ImagePart, Part, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest
from oracles.answers import Answers

from .later import later

if TYPE_CHECKING:
    import cohere
else:
    cohere = later("cohere")

CODEC = CohereCodec()


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def client(answers: Answers) -> cohere.ClientV2:
    transport = httpx.Client(transport=answers.transport)
    return cohere.ClientV2("co-test", base_url="https://api.cohere.com", httpx_client=transport)


# --- requests -------------------------------------------------------------------------------------------------------

# Each strategy makes the same thing twice: for us, and for the SDK.

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-9, 9) | words | st.lists(st.integers(0, 3), max_size=2)
arguments = st.dictionaries(words, values, max_size=3).map(json.dumps)
images = st.tuples(
    st.sampled_from(["https://example.org/a.png", b"\x89PNG\r\n\x1a\n1"]), st.sampled_from([None, "low"])
)


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[Part], list[Any]]:
    ours: list[Part] = []
    theirs: list[Any] = []
    for part in draw(st.lists(words | images, min_size=1, max_size=3)):
        if isinstance(part, str):
            ours.append(TextPart(text=part))
            theirs.append(cohere.TextContent(text=part))
        else:
            image = ImagePart(part[0], detail=part[1])
            ours.append(image)
            detail = {} if part[1] is None else {"detail": part[1]}
            url = cohere.ImageUrl(url=image.any_url, **detail)
            theirs.append(cohere.ImageUrlContent(image_url=url))
    return ours, theirs


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[Message], list[Any]]:
    """A round of calls and their results."""
    calls = draw(st.lists(st.tuples(words, names, arguments), min_size=1, max_size=2))
    plan, text = draw(words | st.none()), draw(words | st.none())
    ours = [Message("assistant", text, reasoning=plan, tool_calls=[ToolCall(*call) for call in calls])]
    asked = [
        cohere.ToolCallV2(id=id, function=cohere.ToolCallV2Function(name=name, arguments=args))
        for id, name, args in calls
    ]
    members = {name: value for name, value in (("content", text), ("tool_plan", plan)) if value is not None}
    theirs: list[Any] = [cohere.AssistantChatMessageV2(tool_calls=asked, **members)]  # a None would be sent as null
    for id, name, _ in calls:
        result = draw(words)
        ours.append(Message("tool", result, name=name, tool_call_id=id))
        document = {"type": "document", "document": {"data": result}}  # as Cohere's guide to tools has it
        theirs.append({"role": "tool", "tool_call_id": id, "content": [document]})
    return ours, theirs


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], list[Any]]:
    ours: list[Message] = []
    theirs: list[Any] = []
    for kind in draw(
        st.lists(st.sampled_from(["system", "user", "parts", "assistant", "thinking", "tools"]), max_size=5)
    ):
        if kind == "parts":
            mine, other = draw(parts())
            ours.append(Message("user", mine))
            theirs.append(cohere.UserChatMessageV2(content=other))
        elif kind == "tools":
            some, others = draw(rounds())
            ours += some
            theirs += others
        elif kind == "thinking":
            thought, text = draw(words), draw(words)
            ours.append(Message("assistant", text, reasoning=thought))
            blocks = [
                cohere.ThinkingAssistantMessageV2ContentOneItem(thinking=thought),
                cohere.TextAssistantMessageV2ContentOneItem(text=text),
            ]
            theirs.append(cohere.AssistantChatMessageV2(content=blocks))
        else:
            text = draw(words)
            ours.append(Message(kind, text))  # type: ignore[arg-type]
            classes: Mapping[str, Any] = {
                "system": cohere.SystemChatMessageV2,
                "user": cohere.UserChatMessageV2,
                "assistant": cohere.AssistantChatMessageV2,
            }
            theirs.append(classes[kind](content=text))
    return [*ours, Message("user", "?")], [*theirs, cohere.UserChatMessageV2(content="?")]


fractions = st.sampled_from([0, 0.25, 1, 1.0])
plain_options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": fractions,
        "top_p": st.sampled_from([0.01, 0.5, 0.99]),
        "max_tokens": st.integers(1, 9999),
        "stop": st.lists(words, min_size=1, max_size=5),
        "seed": st.integers(0, 2**63),
        "presence_penalty": fractions,
        "frequency_penalty": fractions,
        "logprobs": st.booleans(),
        "top_k": st.integers(0, 500),
        "thinking_budget": st.integers(1, 31000),
        "safety_mode": st.sampled_from(["CONTEXTUAL", "STRICT", "OFF"]),
    },
)
schemas = st.dictionaries(names, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=2).map(
    lambda properties: {"type": "object", "properties": properties, "required": sorted(properties)}
)
tools = st.lists(st.tuples(names, words | st.none(), schemas), min_size=1, max_size=2, unique_by=lambda tool: tool[0])
RENAMED = {"top_p": "p", "stop": "stop_sequences", "top_k": "k"}


@st.composite
def options(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    ours = draw(plain_options)
    theirs = {RENAMED.get(name, name): value for name, value in ours.items()}
    if "thinking_budget" in theirs:
        theirs["thinking"] = cohere.Thinking(type="enabled", token_budget=theirs.pop("thinking_budget"))
    elif draw(st.booleans()):
        ours["reasoning_effort"] = "none"
        theirs["thinking"] = cohere.Thinking(type="disabled")
    if draw(st.booleans()):
        found, strict = draw(tools), draw(st.sampled_from([None, True, False]))
        if strict and not all(schema["required"] for _, _, schema in found):
            strict = False  # a strict tool needs a required parameter
        choice = draw(st.sampled_from([None, "auto", "none", "required"]))
        ours |= {"tool_choice": choice}
        ours["tools"] = [
            {"name": name, "description": about, "parameters": schema, "strict": strict}
            for name, about, schema in found
        ]
        theirs["tools"] = [
            cohere.ToolV2(
                function=cohere.ToolV2Function(
                    name=name, parameters=schema, **({} if about is None else {"description": about})
                )
            )
            for name, about, schema in found
        ]
        theirs |= {} if strict is None else {"strict_tools": strict}
        theirs |= {"tool_choice": choice.upper()} if choice in ("none", "required") else {}
    elif draw(st.booleans()):
        schema = draw(st.none() | schemas)
        ours["response_format"] = schema or "json"
        theirs["response_format"] = cohere.JsonObjectResponseFormatV2(
            **({} if schema is None else {"json_schema": schema})
        )
    return ours, theirs


@given(conversations(), options(), st.booleans())
def test_the_request_is_the_sdk_s(
    client: cohere.ClientV2,
    answers: Answers,
    conversation: tuple[list[Message], list[Any]],
    asked: tuple[dict[str, Any], dict[str, Any]],
    stream: bool,
) -> None:
    answers.give([b"{}"], status=400)
    call = client.chat_stream if stream else client.chat
    with pytest.raises(cohere.BadRequestError):  # we want the request only
        list(call(model="m", messages=conversation[1], request_options={"max_retries": 0}, **asked[1]))
    codec_options = {name: value for name, value in asked[0].items() if name in CohereOptions.model_fields}
    shared = {name: value for name, value in asked[0].items() if name not in codec_options}

    ours = CODEC.encode(
        ChatRequest.from_messages(conversation[0], **shared),
        Context(model="m", stream=stream, api_key="co-test", options=CohereOptions(**codec_options)),
    )

    assert json.loads(ours.body) == json.loads(answers.request.content)
    assert (ours.method, f"https://api.cohere.com{ours.path}") == (answers.request.method, str(answers.request.url))
    for name in ("authorization", "content-type"):
        assert {key.lower(): value for key, value in ours.headers}[name] == answers.request.headers[name]


def test_the_models_are_asked_for_as_the_sdk_asks(client: cohere.ClientV2, answers: Answers) -> None:
    body = b'{"models":[{"name":"command-a-03-2025","endpoints":["chat"]},{"name":"b"}]}'
    answers.give([body])

    theirs = client.models.list(page_size=1000, endpoint="chat")

    ours = CODEC.encode_models(Context(api_key="co-test"))
    assert (ours.method, httpx.URL(f"https://api.cohere.com{ours.path}")) == (
        answers.request.method,
        answers.request.url,
    )
    assert CODEC.decode_models(body) == [model.name for model in theirs.models]
