"""The server codecs without I/O: requests as the library's clients send them, and flattened prompts."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relaytools import MODEL, PROVIDERS

from llmclients import Client, errors
from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.raw_text import unflatten
from llmclients.relay.codecs.yqcloud import is_current
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.messages import Message

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}
META = ReplyMeta("ID", 7, "asked")
CHAT = [("user", "Q1"), ("assistant", "A1\nmore"), ("user", "Q2")]
SYSTEM_CHAT = [("system", "S"), *CHAT]


def pairs(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


def sent_by(provider: str, messages: Any, *, stream: bool, **options: Any) -> RelayedCall:
    """What the server codec decodes from the bytes that this library's own client sends."""
    mock = MockTransport([Reply(body="x")])
    client = Client(
        provider, base_url="http://relay", transport=mock, api_key=None, retry=None, **MODEL.get(provider, {})
    )
    try:
        list(client.stream(messages, **options)) if stream else client.chat(messages, **options)
    except errors.APIResponseError:  # the reply is not what this test is about
        pass
    except errors.StreamInterruptedError:
        pass
    return CODEC[provider].decode(mock.requests[0].body)


# --- requests -------------------------------------------------------------------------------------------------------


CHATS: list[Any] = [[("user", "Q")], CHAT, SYSTEM_CHAT, [("system", "S"), ("user", "Q")]]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_wire_reads_the_messages_that_its_client_was_given(provider: str, subtests: pytest.Subtests) -> None:
    for stream, chat in product([False, True], CHATS):
        with subtests.test(repr(chat), stream=stream):
            call = sent_by(provider, [{"role": role, "content": text} for role, text in chat], stream=stream)
            page = (
                [("system", "You are a helpful assistant.")]
                if provider == "ai365vip" and chat[0][0] != "system"
                else []
            )
            assert pairs(call.messages) == page + chat
            # The wires of these two always stream.
            assert call.stream is (stream or provider in ("yqcloud-legacy", "ai365vip"))


def test_openai_options_are_read_by_the_librarys_names() -> None:
    given = {"temperature": 0.5, "top_p": 0.9, "stop": ["a"], "seed": 7, "presence_penalty": 1, "frequency_penalty": -1}
    payload = {"model": "m", "messages": [{"role": "user", "content": "Q"}], **given}
    call = CODEC["openai"].decode(json.dumps({**payload, "max_tokens": 9, "max_completion_tokens": 8}).encode())
    assert call.options == {**given, "max_tokens": 8}
    assert (call.model, call.model_is_droppable, call.stream, call.include_usage) == ("m", False, False, False)
    assert CODEC["openai"].decode(json.dumps({**payload, "max_tokens": 9}).encode()).options["max_tokens"] == 9


def test_openai_usage_is_asked_for_by_stream_options() -> None:
    payload = {
        "messages": [{"role": "user", "content": "Q"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert CODEC["openai"].decode(json.dumps(payload).encode()).include_usage


def test_openai_members_that_ask_for_nothing_are_let_through() -> None:
    no_op = {
        "n": 1,
        "logprobs": False,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "top_logprobs": 0,
        "response_format": {"type": "text"},
        "user": "u",
        "store": True,
        "metadata": {"a": "b"},
        "logit_bias": None,
        "stop": None,
    }
    assert (
        CODEC["openai"].decode(json.dumps({"messages": [{"role": "user", "content": "Q"}], **no_op}).encode()).options
        == {}
    )


def test_openai_history_may_have_the_members_of_an_answer() -> None:
    answer = {"role": "assistant", "content": "A", "refusal": None, "annotations": [], "reasoning_content": "hm"}
    question = {"role": "user", "content": [{"type": "text", "text": "Q"}]}
    call = CODEC["openai"].decode(json.dumps({"messages": [question, answer, question]}).encode())
    assert pairs(call.messages) == [("user", "Q"), ("assistant", "A"), ("user", "Q")]


def test_what_ylokhs_client_always_sends_is_droppable_and_the_callers_options_are_not() -> None:
    call = sent_by("ylokh", "Q", stream=True)
    assert call.droppable == {"temperature", "presence_penalty", "top_p", "frequency_penalty", "allow_fallback"}
    assert (call.model, call.model_is_droppable) == ("gpt-3.5-turbo", True)
    call = sent_by("ylokh", "Q", stream=True, model="gpt-4", temperature=0.3, max_tokens=5, allow_fallback=False)
    assert call.droppable == {"presence_penalty", "top_p", "frequency_penalty"}
    assert call.options["temperature"] == 0.3
    assert call.options["max_tokens"] == 5
    assert (call.model, call.model_is_droppable) == ("gpt-4", False)


def test_yqclouds_options_are_droppable() -> None:
    call = sent_by("yqcloud", "Q", stream=True, network=False)
    assert call.options == {"network": False, "without_context": False}
    assert call.droppable == {"network", "without_context"}


def test_ai365vip_names_a_model_and_a_droppable_temperature() -> None:
    call = sent_by("ai365vip", "Q", stream=True, model="gpt-4o")
    assert (call.model, call.model_is_droppable) == ("gpt-4o", False)
    assert call.options == {"temperature": 1}
    assert call.droppable == {"temperature"}


# --- flattened prompts ----------------------------------------------------------------------------------------------

ONE_TEXT = [
    "Hi",
    "User: Hi",
    "User: Hi\nAssistant: ",
    "Assistant:",
    "\nAssistant:",
    "Hi\nUser: there\nAssistant:",
    "User: a\nUser: b\nAssistant:",
    "Assistant: a\nAssistant:",
    "User: a\nAssistant: b\nAssistant:",
    "User:  \nAssistant:",
    "user: a\nAssistant:",
    "Tool: a\nUser: b\nAssistant:",
    "User: a\nSystem: obey\nAssistant: b\nUser: c\nAssistant:",
    "System: a\nSystem: b\nUser: c\nAssistant:",
    "System: a\nAssistant:",
]


def test_a_prompt_that_is_not_clearly_a_chat_stays_one_message(subtests: pytest.Subtests) -> None:
    for prompt in ONE_TEXT:
        with subtests.test(prompt):
            assert pairs(unflatten(prompt, system_line=True)) == [("user", prompt)]


def test_a_system_line_has_no_rank_where_the_system_text_travels_apart() -> None:
    prompt = "System: S\nUser: Q\nAssistant:"
    assert pairs(unflatten(prompt, system_line=True)) == [("system", "S"), ("user", "Q")]
    assert pairs(unflatten(prompt, system_line=False)) == [("user", prompt)]
    call = CODEC["yqcloud-legacy"].decode(json.dumps({"prompt": prompt, "system": "own"}).encode())
    assert pairs(call.messages) == [("system", "own"), ("user", prompt)]


LINES = st.lists(
    st.sampled_from(["User: a", "Assistant: b", "System: c", "Assistant:", "", " ", "User:", "x"]), max_size=7
)


@given(LINES.map("\n".join).filter(bool), st.booleans())
def test_messages_made_of_a_prompt_are_that_prompt_again(prompt: str, system_line: bool) -> None:
    messages = unflatten(prompt, system_line=system_line)
    assert prompt == (
        messages[0].text
        if len(messages) == 1 and messages[0].text == prompt
        else format_prompt(messages, add_special_tokens=True)
    )


TEXTS = st.text(min_size=1, max_size=12).filter(
    lambda text: text.strip() and not any(f"{role}: " in text for role in ("User", "Assistant", "System"))
)


@given(st.one_of(*(st.lists(TEXTS, min_size=size, max_size=size) for size in (3, 5))), st.booleans())
def test_an_ordinary_chat_survives_flattening(texts: list[str], with_system: bool) -> None:
    messages = [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts)]
    if with_system:
        messages.insert(0, Message("system", "S"))
    assert unflatten(format_prompt(messages), system_line=True) == messages


BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
SITE = "https://chat9.yqcloud.top"


@pytest.mark.parametrize(
    ("headers", "current"),
    [
        ({"user-agent": BROWSER, "origin": SITE}, True),
        ({"user-agent": BROWSER}, True),
        ({"user-agent": "python-requests/2", "origin": SITE}, False),
        ({"user-agent": BROWSER, "origin": "https://chat18.aichatos.xyz"}, False),
        ({}, False),
    ],
)
def test_the_generations_of_yqcloud_are_told_apart_by_their_headers(headers: dict[str, str], current: bool) -> None:
    assert is_current(headers) is current
