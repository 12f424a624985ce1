"""What goes in and what comes out: bad input is named, good input is never changed, everything saves and loads."""

from __future__ import annotations

import copy
import json
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tables import table

from llmclients.conversation import AsyncConversation, Conversation
from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall, as_messages
from llmclients.types.request import ChatRequest
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_usage,
)
from llmclients.types.response_format import ResponseFormat
from llmclients.types.tools import Tool

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def generator() -> Any:
    yield "Hi"


# --- bad input ------------------------------------------------------------------------------------------------------

BAD_MESSAGES = [
    pytest.param([], "messages is empty", id="no messages"),
    pytest.param((), "messages is empty", id="an empty tuple"),
    pytest.param("", r"messages\[0\]: the user message has no content", id="empty text"),
    pytest.param(None, "not NoneType", id="None"),
    pytest.param(5, "not int", id="a number"),
    pytest.param(b"Hi", "not bytes", id="bytes"),
    pytest.param(bytearray(b"Hi"), "not bytearray", id="a bytearray"),
    pytest.param(generator(), "not generator", id="a generator"),
    pytest.param({"Hi"}, "not set", id="a set"),
    pytest.param(iter(["Hi"]), "not list_iterator", id="an iterator"),
    pytest.param(range(2), r"messages\[0\]: expected text, a Message or a dict, not int", id="a range"),
    pytest.param([5], r"messages\[0\]: expected text", id="a number in the list"),
    pytest.param(["Hi", None], r"messages\[1\]: expected text", id="None in the list"),
    pytest.param(["Hi", b"Hi"], r"messages\[1\]: expected text", id="bytes in the list"),
    pytest.param(
        ["Look:", TextPart(text="Hi")],
        r"messages\[1\]: expected text, a Message or a dict, not TextPart: for parts, Message\('user', \['…', TextPart",
        id="a part in the list",
    ),
    pytest.param([["user", "Hi"]], r"messages\[0\]: expected text", id="a list in the list"),
    pytest.param(["Hi", ""], r"messages\[1\]: the user message has no content", id="empty text in the list"),
    pytest.param({}, "role: Field required", id="an empty dict"),
    pytest.param({1: 2}, r"messages\[0\]: ", id="a dict of numbers"),
    pytest.param({"content": "Hi"}, "role: Field required", id="no role"),
    pytest.param({"role": "user"}, "the user message has no content", id="no content"),
    pytest.param({"role": "robot", "content": "Hi"}, "role: Input should be 'system'", id="an unknown role"),
    pytest.param({"role": "User", "content": "Hi"}, "role: ", id="a role in capitals"),
    pytest.param({"role": None, "content": "Hi"}, "role: ", id="None as role"),
    pytest.param({"role": 5, "content": "Hi"}, "role: ", id="a number as role"),
    pytest.param(user(None), "has no content", id="None as content"),
    pytest.param(user(""), "has no content", id="empty content"),
    pytest.param(user([]), "has no content", id="no parts"),
    pytest.param(user([{"text": ""}]), "has no content", id="empty parts"),
    pytest.param({"role": "system", "content": ""}, "the system message has no content", id="empty system text"),
    pytest.param({"role": "tool", "content": None}, "the tool message has no content", id="an empty tool result"),
    pytest.param(
        {"role": "assistant", "content": None}, "assistant message has no content", id="nothing said or called"
    ),
    pytest.param(user(5), "content: must be text or a list of parts, not int", id="a number as content"),
    pytest.param(user(b"Hi"), "not bytes", id="bytes as content"),
    pytest.param(user({"text": "Hi"}), "not dict", id="a dict as content"),
    pytest.param(user([""]), "has no content", id="empty text as a part"),
    pytest.param(user(["\ud800"]), "lone surrogate", id="a lone surrogate as a part"),
    pytest.param(
        user([None]), "a part must be text, an ImagePart or another part, or a dict, not NoneType", id="None as a part"
    ),
    pytest.param(user([{"text": ""}, {"text": ""}]), "has no content", id="several empty parts"),
    pytest.param(user([{"type": "image_url"}]), "needs either a url or data", id="an image of nothing"),
    pytest.param(
        user([{"text": "a"}, {"type": "input_audio"}]), "no part of type 'input_audio'", id="audio of nothing"
    ),
    pytest.param(user([{"type": "video"}]), "there is no part of type 'video'", id="an unknown part"),
    pytest.param(user([{"type": "text"}]), "text: Field required", id="a part without text"),
    pytest.param(user([{"type": "text", "text": 5}]), "text: ", id="a part whose text is a number"),
    pytest.param(user([{"type": "text", "text": "a", "x": 1}]), "x: Extra inputs", id="an unknown member of a part"),
    pytest.param(user([{1: 2}]), r"messages\[0\]: ", id="a part of numbers"),
    pytest.param(user("Hi", nme="Ada"), "nme: Extra inputs are not permitted", id="an unknown member"),
    pytest.param(user("Hi", name=5), "name: ", id="a number as name"),
    pytest.param("a\ud800", "lone surrogate at position 1", id="a lone surrogate"),
    pytest.param(user([{"text": "\udfff"}]), "lone surrogate", id="a lone surrogate in a part"),
    pytest.param(user("Hi", name="\ud800"), "name: text has a lone surrogate", id="a lone surrogate in a name"),
    pytest.param(
        {"role": "tool", "content": "r", "tool_call_id": "\ud800"}, "tool_call_id: ", id="a lone surrogate in an id"
    ),
    pytest.param({"role": "assistant", "tool_calls": 5}, "tool_calls: ", id="tool calls that are a number"),
    pytest.param({"role": "assistant", "tool_calls": [{"id": "a"}]}, "Field required", id="a tool call without a name"),
    pytest.param({"role": "assistant", "tool_calls": []}, "has no content", id="no tool calls"),
    pytest.param(
        {"role": "assistant", "tool_calls": [{"id": "a", "name": "f", "arguments": [1]}]},
        "arguments_text: ",
        id="arguments that are neither text nor an object",
    ),
]


def test_messages_that_cannot_be_sent_are_refused_by_name(subtests: pytest.Subtests) -> None:
    for case in BAD_MESSAGES:
        messages, words = case.values
        with subtests.test(case.id):
            with pytest.raises(InvalidRequestError, match=words) as caught:
                ChatRequest.from_messages(messages)

            assert caught.value.argument == "messages"
            assert caught.value.__cause__ is None


NAN, INF = float("nan"), float("inf")
BAD_OPTIONS = [
    *[("temperature", value) for value in (-0.1, NAN, INF, -INF, True, "1", [], 1j)],
    *[("top_p", value) for value in (-0.1, 1.1, NAN, False, "1")],
    *[("max_tokens", value) for value in (0, -1, 1.0, True, "5", NAN)],
    *[("stop", value) for value in (5, [5], [None], b"END", "\ud800", ["a", "\udfff"])],
    *[("seed", value) for value in (1.5, True, "7", NAN)],
    *[("presence_penalty", value) for value in (NAN, INF, True, "0")],
    *[("frequency_penalty", value) for value in (NAN, -INF, False, [])],
    *[("reasoning_effort", value) for value in (5, True, b"low", "\ud800")],
    *[("model", value) for value in (5, b"m", ["m"], "\ud800")],
    *[("extra", value) for value in (5, [], "x", {1: 2}, [("a", 1)])],
    ("tools", "f"),
    ("nonsense", 1),
    ("stream", True),
]


def test_an_option_that_means_nothing_is_refused_by_name(subtests: pytest.Subtests) -> None:
    for option, value in BAD_OPTIONS:
        with subtests.test(option, value=repr(value)):
            with pytest.raises(InvalidRequestError, match=f"ChatRequest: .*{option}") as caught:
                ChatRequest.from_messages("Hi", **{option: value})

            assert caught.value.argument == option


MODELS: list[type[Model]] = [
    Message,
    TextPart,
    ToolCall,
    ChatRequest,
    Chunk,
    ChatResponse,
    Usage,
    ToolCallDelta,
    Conversation,
]
GARBAGE: list[str | bytes] = [
    "",
    "{",
    "[]",
    "null",
    "5",
    '"x"',
    '{"nonsense": 1}',
    '{"role": 5}',
    b"\xff",
    b'{"a":"\xff"}',
]


def test_garbage_is_never_pydantic_s_own_error(subtests: pytest.Subtests) -> None:
    for kind, text in product(MODELS, GARBAGE):
        with (
            subtests.test(repr(text), kind=kind.__name__),
            pytest.raises(InvalidRequestError, match=kind.__name__),
        ):
            kind.model_validate_json(text)


@table("value", [None, 5, "x", [], {"nonsense": 1}, object()])
def test_neither_is_it_for_a_python_value(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="ChatRequest"):
        ChatRequest.model_validate(value)


def test_nor_deep_inside_another_model() -> None:
    data = {"provider": "yqcloud", "messages": [{"role": "robot", "content": "Hi"}]}

    for load in (Conversation.model_validate, lambda value: Conversation.model_validate_json(json.dumps(value))):
        with pytest.raises(InvalidRequestError, match="role: ") as caught:
            load(data)
        assert caught.value.argument == "role"


def test_an_error_does_not_repeat_the_values() -> None:
    secret = "sk-do-not-show"

    for bad in (user(secret, x=secret), {"role": secret, "content": secret}, user([{"text": secret, "type": "image"}])):
        with pytest.raises(InvalidRequestError) as caught:
            ChatRequest.from_messages(bad)
        assert secret not in str(caught.value)


def test_a_request_needs_messages_also_when_it_is_made_directly() -> None:
    with pytest.raises(InvalidRequestError, match="messages: ") as caught:
        ChatRequest(messages=[])

    assert caught.value.argument == "messages"


# --- good input -----------------------------------------------------------------------------------------------------


@table(
    "messages, expected",
    [
        ("Hi", [Message("user", "Hi")]),
        (Message("system", "S"), [Message("system", "S")]),
        (user("Hi"), [Message("user", "Hi")]),
        (
            ["Hi", Message("assistant", "Yes?"), user("Q")],
            [Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Q")],
        ),
        (("a", "b"), [Message("user", "a"), Message("user", "b")]),
        (user([{"text": "a"}, TextPart(text="b")]), [Message("user", [TextPart(text="a"), TextPart(text="b")])]),
        (
            user(["a ", TextPart(text="b"), ImagePart("https://c.example/d.png")]),
            [Message("user", [TextPart(text="a "), TextPart(text="b"), ImagePart(url="https://c.example/d.png")])],
        ),
        (user(({"text": "a"},)), [Message("user", [TextPart(text="a")])]),
        (user("  \n"), [Message("user", "  \n")]),
        ({"role": "assistant", "content": ""}, [Message("assistant", "")]),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            [Message("assistant", None, tool_calls=[ToolCall(id="a", name="f", arguments="{}")])],
        ),
        ({"role": "tool", "content": "r", "tool_call_id": "a"}, [Message("tool", "r", None, None, "a")]),
    ],
)
def test_what_a_caller_may_pass_as_messages(messages: Any, expected: list[Message]) -> None:
    assert as_messages(messages) == expected


def test_the_caller_s_own_list_is_neither_changed_nor_kept() -> None:
    message = Message("assistant", [TextPart(text="A1")])
    part = {"type": "text", "text": "Q2"}
    original = [user("Q1", name="Ada"), message, user([part]), "Q3"]
    before = copy.deepcopy(original)
    extra: dict[str, Any] = {"x": {"y": [1]}}

    request = ChatRequest.from_messages(original, stop=["END"], extra=extra)
    request.messages.append(Message("user", "more"))
    request.messages[0].content = "changed"
    request.messages[1].content[0].text = "changed"  # type: ignore[union-attr, index]
    request.messages[2].content[0].text = "changed"  # type: ignore[union-attr, index]

    assert original == before
    assert message.text == "A1"
    assert part == {"type": "text", "text": "Q2"}
    assert extra == {"x": {"y": [1]}}


@table("value", [0, 1, 2, 0.0, 0.7, 2.0])
def test_a_number_stays_what_it_was(value: float) -> None:
    temperature = ChatRequest.from_messages("Hi", temperature=value).temperature

    assert repr(temperature) == repr(value)


def test_positional_and_named_fields_are_the_same() -> None:
    calls = [ToolCall(id="a", name="f", arguments="{}")]

    assert Message("assistant", "x", "n", calls, "i") == Message(
        role="assistant", content="x", name="n", tool_calls=calls, tool_call_id="i"
    )
    with pytest.raises(TypeError, match="Message takes at most 8 values, not 9"):
        Message("user", "x", None, None, None, None, None, None, "y")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Message("user", role="user")  # type: ignore[misc]


def test_text_is_what_str_gives() -> None:
    assert str(Message("user", [TextPart(text="a "), TextPart(text="b")])) == "a b"
    assert Message("assistant", None).text == ""
    assert str(Chunk(text="new", reasoning="thought")) == "new"
    assert str(ChatResponse(text="whole")) == "whole"


def test_a_response_is_a_message_to_go_on_with() -> None:
    call = ToolCall(id="a", name="f", arguments="{}")

    assert ChatResponse(text="Nile").message == Message("assistant", "Nile")
    assert ChatResponse(tool_calls=[call]).message == Message("assistant", None, tool_calls=[call])
    assert ChatResponse(text="I ask.", tool_calls=[call]).message == Message("assistant", "I ask.", tool_calls=[call])
    assert as_messages(ChatResponse(text="").message) == [Message("assistant", "")]


def test_lists_are_not_shared_between_models() -> None:
    first, second = ChatResponse(), ChatResponse()
    first.tool_calls.append(ToolCall(id="a", name="f", arguments="{}"))

    assert second.tool_calls == []
    assert ChatResponse().tool_calls == []


# --- saving and loading ---------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"))
NAMES = st.none() | TEXT
CALLS = st.builds(ToolCall, id=TEXT, name=TEXT, arguments_text=TEXT)
DATA = st.binary(min_size=1, max_size=20)
PARTS = st.one_of(
    st.builds(TextPart, text=TEXT),
    st.builds(ImagePart, data=DATA, media_type=st.just("image/png"), detail=st.sampled_from([None, "auto", "low"])),
    st.builds(AudioPart, data=DATA, media_type=st.just("audio/wav")),
    st.builds(
        FilePart,
        url=st.just("https://a.example/b"),
        media_type=st.sampled_from(["text/plain", "text/csv; header=x", "x-a/b+c"]),
        name=NAMES,
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    content=st.none() | TEXT | st.lists(PARTS, max_size=3),
    name=NAMES,
    tool_calls=st.none() | st.lists(CALLS, max_size=2),
    tool_call_id=NAMES,
    is_error=st.sampled_from([None, False, True]),
    reasoning=NAMES,
    provider_data=st.none() | OBJECTS,
)
NAME_OF_A_TOOL = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:-]{0,9}", fullmatch=True).filter(
    lambda name: name not in ("auto", "none", "required")
)
TOOLS = st.builds(Tool, NAME_OF_A_TOOL, NAMES, OBJECTS, st.none() | st.booleans())
FORMATS = st.builds(ResponseFormat, name=TEXT, json_schema=st.none() | OBJECTS, description=NAMES, strict=st.booleans())
NUMBERS = st.none() | st.integers(0, 10**6) | st.floats(0, 10**6)
REQUESTS = st.builds(
    ChatRequest,
    messages=st.lists(MESSAGES, min_size=1, max_size=3),
    model=NAMES,
    temperature=NUMBERS,
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 10**9),
    stop=st.none() | TEXT | st.lists(TEXT, max_size=3),
    seed=st.none() | st.integers(-(2**40), 2**40),
    presence_penalty=NUMBERS,
    frequency_penalty=NUMBERS,
    tools=st.lists(TOOLS, min_size=1, max_size=2, unique_by=lambda tool: tool.name),
    tool_choice=st.sampled_from([None, "auto", "none", "required"]),
    parallel_tool_calls=st.none() | st.booleans(),
    response_format=st.none() | FORMATS,
    reasoning_effort=NAMES,
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    extra=st.none() | OBJECTS,
)
COUNTS = st.none() | st.integers(0, 2**60)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
REASONS = st.sampled_from([None, "stop", "length", "tool_calls", "content_filter", "error"])
RESPONSES = st.builds(
    ChatResponse,
    text=TEXT,
    reasoning=NAMES,
    tool_calls=st.lists(CALLS, max_size=2),
    finish_reason=REASONS,
    usage=st.none() | USAGES,
    model=NAMES,
    provider=NAMES,
    id=NAMES,
    request_id=NAMES,
    parsed=JSON,
    raw=JSON,
    logprobs=st.none() | st.lists(st.builds(TokenLogprob, token=TEXT, logprob=st.floats(-9, 0)), max_size=2),
    provider_data=st.none() | OBJECTS,
    intermediate_messages=st.lists(MESSAGES, max_size=1),
)
CONVERSATIONS = st.builds(
    Conversation, provider=TEXT, model=NAMES, system=NAMES, messages=st.lists(MESSAGES, max_size=3), state=OBJECTS
)


@given(st.one_of(MESSAGES, REQUESTS, RESPONSES, CONVERSATIONS, USAGES))
def test_everything_saves_as_json_and_loads_again(value: Model) -> None:
    kind = type(value)

    assert kind.model_validate_json(value.model_dump_json()) == value
    assert kind.model_validate(json.loads(json.dumps(value.model_dump(mode="json")))) == value
    assert kind.model_validate_json(value.model_dump_json(exclude_defaults=True)) == value


@given(TEXT, TEXT)
def test_a_plain_request_is_the_one_that_validation_makes(text: str, model: str) -> None:
    assume(text)

    request, validated = (
        ChatRequest.from_messages(text, model=model),
        ChatRequest(messages=[Message("user", text)], model=model),
    )

    assert request == validated
    assert request.model_fields_set == validated.model_fields_set
    assert request.messages[0].model_fields_set == validated.messages[0].model_fields_set
    assert request.model_dump_json() == validated.model_dump_json()


def test_a_conversation_saved_by_one_client_loads_for_the_other() -> None:
    saved = Conversation(provider="yqcloud", system="S", messages=[Message("user", "Hi")], state={"userId": "#/chat/1"})

    loaded = AsyncConversation.model_validate_json(saved.model_dump_json())

    assert loaded.model_dump() == saved.model_dump()


def test_a_saved_message_is_what_a_caller_would_write() -> None:
    message = Message("assistant", None, tool_calls=[ToolCall(id="a", name="f", arguments="{}")])

    assert json.loads(message.model_dump_json(exclude_none=True)) == {
        "role": "assistant",
        "tool_calls": [{"id": "a", "name": "f", "arguments": "{}"}],
    }
    assert Message.model_validate({"role": "assistant", "tool_calls": [CALL]}) == message


def test_a_response_in_a_message_s_place_says_what_of_it_is_one() -> None:
    with pytest.raises(InvalidRequestError, match=r"not ChatResponse: its message is \.message"):
        as_messages(["Hi", ChatResponse(text="Hi")])  # type: ignore[list-item]
    with pytest.raises(InvalidRequestError, match=r"not Chunk: its text is \.text"):
        as_messages(make_chunk(text="Hi"))  # type: ignore[arg-type]


def test_a_copy_of_a_call_takes_arguments_as_the_constructor_does() -> None:
    call = ToolCall("a", "f", {"city": "Oslo"})

    for arguments in ({"city": "Rome"}, '{"city": "Rome"}'):
        copied = call.model_copy(update={"arguments": arguments})
        assert copied == ToolCall("a", "f", '{"city": "Rome"}')
    assert call.model_copy(update={"id": "b"}) == ToolCall("b", "f", {"city": "Oslo"})


def test_a_number_that_is_none_is_told_once() -> None:
    for value, says in (("hot", "a valid number"), (float("nan"), "a finite number")):
        with pytest.raises(InvalidRequestError) as caught:
            ChatRequest([Message("user", "Hi")], temperature=value)
        assert str(caught.value) == f"ChatRequest: temperature: Input should be {says}"


# --- chunks ---------------------------------------------------------------------------------------------------------

CHUNK_FIELDS: list[dict[str, Any]] = [
    {},
    {"text": "a"},
    {"role": "assistant", "reasoning": "r"},
    {"tool_calls": [ToolCallDelta(index=1, id="a", name="f", arguments="{")]},
    {"finish_reason": "stop", "usage": Usage(input_tokens=1), "model": "m", "id": "c1", "raw": {"x": [1]}},
]


@table("fields", CHUNK_FIELDS, ids=repr)
def test_a_chunk_made_fast_is_the_chunk_that_validation_makes(fields: dict[str, Any]) -> None:
    fast, validated = make_chunk(**fields), Chunk(**fields)

    assert fast == validated
    assert type(fast) is Chunk
    assert fast.model_dump() == validated.model_dump()
    assert fast.model_dump_json() == validated.model_dump_json()
    assert repr(fast) == repr(validated)
    assert fast.model_copy(deep=True) == validated
    assert copy.deepcopy(fast) == validated
    assert Chunk.model_validate(fast) == validated
    assert fast.restarted is False


def test_chunks_made_fast_share_nothing_that_changes() -> None:
    first, second = make_chunk("a"), make_chunk("b")

    first.model_copy(update={"text": "c"})

    assert first != second
    assert (first.text, second.text) == ("a", "b")
    assert make_chunk() == Chunk()


@table("counts", [(), (1, 2), (3, 4, 7, 2, 1), (None, None, 5, None, 0)], ids=repr)
def test_counts_made_fast_are_those_that_validation_makes(counts: tuple[int | None, ...]) -> None:
    fast, validated = make_usage(*counts), Usage(*counts)

    assert fast == validated
    assert type(fast) is Usage
    assert fast.model_dump() == validated.model_dump()
    assert fast.model_dump_json() == validated.model_dump_json()
    assert repr(fast) == repr(validated)
    assert copy.deepcopy(fast) == validated
    assert Usage.model_validate(fast) == validated


def test_counts_made_fast_share_nothing_that_changes() -> None:
    first, second = make_usage(1), make_usage(1)

    first.input_tokens = 2

    assert (first, second) == (Usage(input_tokens=2), Usage(input_tokens=1))
    assert make_usage() == Usage()


def test_a_chunk_does_not_change() -> None:
    for chunk in (make_chunk("a"), Chunk(text="a")):
        with pytest.raises(Exception, match="frozen"):
            chunk.text = "b"  # type: ignore[misc]
        assert chunk.text == "a"
