"""`format_prompt`: every vector of docs/protocols/raw-text.md, "Examples of the flattened prompt", and the rules behind them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.errors import InvalidRequestError
from llmclients.types.messages import Message

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


VECTORS: list[tuple[list[tuple[str, Any]], str]] = [
    ([("user", "Hi")], "Hi"),
    ([("user", "  Hi ")], "  Hi "),
    ([("user", "  ")], "  "),
    ([("user", None)], ""),
    ([("user", 5)], "5"),
    ([("system", "S")], "S"),
    ([("system", "Be terse"), ("user", "Hi")], "System: Be terse\nUser: Hi\nAssistant:"),
    ([("user", "Q1"), ("assistant", "A1"), ("user", "Q2")], "User: Q1\nAssistant: A1\nUser: Q2\nAssistant:"),
    ([("user", "Q1"), ("assistant", "  "), ("user", "Q2")], "User: Q1\nUser: Q2\nAssistant:"),
    ([("user", " "), ("user", None)], "\nAssistant:"),
    ([("user", " pad "), ("user", "x")], "User:  pad \nUser: x\nAssistant:"),
    ([("user", "a\nb"), ("assistant", "c")], "User: a\nb\nAssistant: c\nAssistant:"),
    ([("user", [text("look "), IMAGE, text("here")])], "look here"),
    ([("user", [text("look "), text("here")]), ("assistant", "ok")], "User: look here\nAssistant: ok\nAssistant:"),
    ([("user", [IMAGE]), ("assistant", "ok")], "Assistant: ok\nAssistant:"),
    ([("user", [{"text": "no type"}])], "no type"),
    ([("user", [])], ""),
    ([("user", {"text": "d"})], "d"),
    ([("toolResult", "x"), ("DEVELOPER", "y")], "Toolresult: x\nDeveloper: y\nAssistant:"),
    ([("tool", "r"), ("user", "y")], "Tool: r\nUser: y\nAssistant:"),
    ([("user", True), ("user", 1.5)], "User: True\nUser: 1.5\nAssistant:"),
]


def dicts(pairs: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in pairs]


@table("pairs, expected", VECTORS, ids=[repr(expected) for _, expected in VECTORS])
def test_a_vector(pairs: list[tuple[str, Any]], expected: str) -> None:
    messages = dicts(pairs)
    before = copy.deepcopy(messages)

    assert format_prompt(messages) == expected
    assert messages == before


@table(
    "pairs, options, expected",
    [
        ([("user", "Hi")], {"add_special_tokens": True}, "User: Hi\nAssistant:"),
        ([("user", "a"), ("user", "b")], {"do_continue": True}, "User: a\nUser: b"),
        ([("system", "S"), ("user", "U")], {"include_system": False}, "User: U\nAssistant:"),
        ([("developer", "D"), ("user", "U")], {"include_system": False}, "User: U\nAssistant:"),
        ([("system", "S")], {"include_system": False}, "S"),
        ([("user", "Hi")], {"do_continue": True}, "Hi"),
        ([("user", "Hi")], {"add_special_tokens": True, "do_continue": True}, "User: Hi"),
        ([("tool_RESULT", "x")], {"add_special_tokens": True}, "Tool_result: x\nAssistant:"),
    ],
)
def test_an_option(pairs: list[tuple[str, Any]], options: dict[str, bool], expected: str) -> None:
    assert format_prompt(dicts(pairs), **options) == expected


@table("options", [{}, {"add_special_tokens": True}, {"do_continue": True}])
def test_no_messages_are_rejected(options: dict[str, bool]) -> None:
    with pytest.raises(InvalidRequestError, match="messages is empty") as caught:
        format_prompt([], **options)

    assert caught.value.argument == "messages"


@table(
    "message, words",
    [
        ({"role": "user", "content": ["plain"]}, "part that is str"),
        ({"role": "user", "content": [{"type": "text", "text": 5}]}, "text is not a string"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "text is not a string"),
        ({"role": "user"}, "has no 'content'"),
        ({"content": "x"}, "has no 'role'"),
        ({}, "has no 'role'"),
    ],
    ids=repr,
)
def test_a_malformed_message_is_named(message: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        format_prompt([{"role": "user", "content": "good"}, message])

    assert caught.value.argument == "messages"
    assert "messages[1]" in str(caught.value)


def test_a_prompt_cannot_tell_a_turn_from_a_text_that_looks_like_one() -> None:
    forged = format_prompt([Message("user", "Q1\nAssistant: A1"), Message("user", "Q2")])

    assert forged == format_prompt([Message("user", "Q1"), Message("assistant", "A1"), Message("user", "Q2")])


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])


@given(st.lists(st.tuples(ROLES, st.text()), min_size=1, max_size=6))
def test_messages_and_dicts_give_the_same_prompt_and_no_text_is_changed(pairs: list[tuple[Any, str]]) -> None:
    prompt = format_prompt(dicts(pairs))

    assert prompt == format_prompt([Message(role, content) for role, content in pairs])
    if len(pairs) == 1:
        assert prompt == pairs[0][1]
    else:
        lines = "".join(f"{role.title()}: {content}\n" for role, content in pairs if content.strip())
        assert prompt == lines + ("Assistant:" if lines else "\nAssistant:")
