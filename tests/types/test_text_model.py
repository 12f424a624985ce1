"""First guesses about an answer, a chunk and a message: each means the text, or says what to write. And counts add up."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import ChatResponse, Chunk, Message, TextPart, ToolCall, Usage
from llmclients.types.response import make_chunk, make_usage
from llmclients.types.text_model import TextModel

TEXTS: list[TextModel] = [
    ChatResponse("Rome.", raw={"x": 1}),
    make_chunk("Rome.", model="m"),
    Chunk(text="Rome."),
    Message("assistant", "Rome."),
    Message("assistant", [TextPart(text="Ro"), TextPart(text="me.")]),
]


def test_an_answer_is_compared_with_a_string_by_its_text() -> None:
    for value in TEXTS:
        assert value == "Rome."
        assert "Rome." == value  # noqa: SIM300
        assert value != "Paris."
        assert not value != "Rome."  # noqa: SIM202
        assert value in ["Paris.", "Rome."]


def test_between_models_and_anything_else_equality_is_pydantic_s() -> None:
    assert ChatResponse("Rome.") == ChatResponse("Rome.")
    assert ChatResponse("Rome.") != ChatResponse("Rome.", model="m")
    for value in TEXTS:
        assert value == copy.deepcopy(value)
        for other in (None, 5, b"Rome.", ["Rome."], Usage(), object()):
            assert value != other


def test_equal_things_have_equal_hashes_or_none() -> None:
    chunk = make_chunk("Rome.", raw={"not": "hashable"})

    assert hash(chunk) == hash("Rome.") == hash(Chunk(text="Rome."))
    assert {chunk: 1}["Rome."] == 1  # type: ignore[index]
    for value in (ChatResponse("Rome."), Message("user", "Rome.")):
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


def test_in_looks_for_text() -> None:
    for value in TEXTS:
        assert "Rom" in value
        assert "Paris" not in value
        with pytest.raises(TypeError, match=f"`in` looks for text in a {type(value).__name__}, not for int"):
            5 in value  # noqa: B015


def test_plus_makes_text_on_either_side() -> None:
    for value in TEXTS:
        assert type(value + "!") is str
        assert (value + "!", "!" + value, value + value) == ("Rome.!", "!Rome.", "Rome.Rome.")
        text = "In "
        text += value
        assert text == "In Rome."
        with pytest.raises(TypeError, match="unsupported operand"):
            value + 5  # type: ignore[operator]
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            ["In"] + value  # type: ignore[operator]  # noqa: RUF005


def test_len_is_the_text_s_and_an_answer_without_text_is_still_true() -> None:
    for value in TEXTS:
        assert len(value) == 5
        assert f"{value:>7}|{value}|{value:.2}" == "  Rome.|Rome.|Ro"
    for value in (ChatResponse(), ChatResponse(tool_calls=[ToolCall("a", "f", {})]), Chunk(), Message("assistant", "")):
        assert len(value) == 0
        assert value


ITERATED = {
    ChatResponse: "a ChatResponse is not iterable: its text is in `.text`; pieces, as they come, are what a client's stream()",
    Chunk: "a Chunk is not iterable: its new text is in `.text`",
    Message: "a Message is not iterable: its text is in `.text`, its parts are in `.parts`",
}


def test_iteration_says_what_to_write() -> None:
    for value in TEXTS:
        for attempt in (iter, list, set, lambda value: [*value]):
            with pytest.raises(TypeError) as caught:
                attempt(value)  # type: ignore[operator]
            assert str(caught.value).startswith(ITERATED[type(value)])  # type: ignore[index]


def test_so_does_an_index() -> None:
    for value in TEXTS:
        for index, words in ((0, "has no items: its"), (slice(2), "has no items: its"), ("choices", "no 'choices' to")):
            with pytest.raises(TypeError, match=words):
                value[index]


def test_what_pydantic_does_with_a_model_still_works() -> None:
    class Log(BaseModel):
        answer: ChatResponse
        message: Message | None = None
        either: ChatResponse | str = ""

    for value in TEXTS:
        assert dict(value) == {name: getattr(value, name) for name in type(value).model_fields}  # type: ignore[arg-type]
        assert {**value} == value.__dict__  # type: ignore[dict-item]
        assert type(value).model_validate(value) == value
        assert type(value).model_validate(value.model_dump()) == value
        assert value.model_copy() == copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value))
    log = Log(answer=TEXTS[0], message=TEXTS[3], either=TEXTS[0])  # type: ignore[arg-type]
    assert Log.model_validate_json(log.model_dump_json()) == log
    assert Log.model_validate(log.model_dump()) == log
    assert Log(answer=ChatResponse(), either="Rome.").either == "Rome."
    assert log.model_dump()["answer"]["text"] == "Rome."


# --- counts ---------------------------------------------------------------------------------------------------------

SUMS: list[tuple[Usage, Any, Usage]] = [
    (Usage(1, 2, 3, 4, 5, 6), Usage(10, 20, 30, 40, 50, 60), Usage(11, 22, 33, 44, 55, 66)),
    (Usage(1, 2), Usage(10, None, 30), Usage(11)),
    (Usage(0), Usage(0), Usage(0)),
    (Usage(1, 2, 3), None, Usage()),
]


def test_counts_add_up_and_what_one_does_not_tell_the_sum_does_not() -> None:
    for one, two, expected in SUMS:
        assert one + two == two + one == expected
        assert sum([one, two]) == expected
    first = Usage(1, 2)
    assert sum([first]) == first
    assert sum([first]) is not first
    assert sum([make_usage(1)] * 3).input_tokens == 3  # type: ignore[union-attr]


def test_counts_add_up_with_nothing_else() -> None:
    for other in (1, True, "a", [1], 0.0):
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            Usage(1) + other  # type: ignore[operator]
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            other + Usage(1)  # type: ignore[operator]
