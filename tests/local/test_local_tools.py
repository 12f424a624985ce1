"""Tools at the local model: the template that tells it of them, and calls and answers of the real engine."""

from __future__ import annotations

import struct
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from llmclients import AsyncClient, Client, Message, ToolCall
from llmclients.local import weights
from llmclients.local.chat_template import chat_template
from llmclients.local.gguf import text_value
from tests.local.localtools import needs_model, weights_file


class Unit(Enum):
    CELSIUS = "celsius"


def weather(city: str) -> str:
    """How warm it is."""
    return f"4 degrees in {city}"


def measure(unit: Unit, twice: bool = False) -> str:
    """How warm it is.

    Args:
        unit: what to tell it in.
    """
    return f"4 degrees in {'Oslo' if unit is Unit.CELSIUS else 'nowhere'}"


SYSTEM = Message("system", ".")  # the template's own is longer, and each token of a prompt takes 8 ms


# --- the real engine ------------------------------------------------------------------------------------------------


@needs_model
@pytest.mark.local
async def test_a_tool_that_is_chosen_is_called_in_pieces_that_fit_its_schema_and_the_model_goes_on_with_its_result(
    small_model: Path,
) -> None:
    """The schema leaves one answer. What a model with sense makes of the result is in README.md."""
    async with AsyncClient() as client:
        question = [SYSTEM, Message("user", "How warm?")]
        options: Any = {"tools": [weather, measure], "temperature": 0}
        stream = client.stream(question, tool_choice="measure", run_tools=True, max_tokens=120, **options)
        pieces = [delta.arguments async for chunk in stream for delta in chunk.tool_calls]
        called, result = stream.response.intermediate_messages
        again = await client.chat([*question, called, result], max_tokens=5, **options)

    assert len(pieces) > 5
    [call] = called.tool_calls or ()
    assert (call.name, call.arguments | {"twice": False}) == ("measure", {"unit": "celsius", "twice": False})
    assert called.text == ""
    assert result.text == "4 degrees in Oslo"
    assert again.text
    assert stream.response.text.startswith(again.text)
    assert stream.response.finish_reason == "length"


@needs_model
@pytest.mark.local
def test_a_call_that_the_model_chooses_is_one_and_streamed_too() -> None:
    call = ToolCall(
        "1", "weather", '{"city": "Oslo"}'
    )  # SmolLM2 calls by its own choice only what it has called before
    history = [SYSTEM, Message("user", "Oslo?"), Message("assistant", None, tool_calls=[call])]
    with Client() as client:
        stream = client.stream([*history, Message("user", "Paris?")], tools=[weather], temperature=0, max_tokens=40)
        pieces = [delta.arguments for chunk in stream for delta in chunk.tool_calls]

    assert len(pieces) > 3
    assert [call.arguments for call in stream.response.tool_calls] == [{"city": "Paris"}]
    assert (stream.response.text, stream.response.finish_reason) == ("", "tool_calls")


# --- the template ---------------------------------------------------------------------------------------------------


def gguf(**texts: str) -> bytes:
    entries = b""
    for name, text in texts.items():
        key = f"tokenizer.chat_template{name.removeprefix('template').replace('_', '.', 1)}".encode()
        entries += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text.encode())) + text.encode()
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(texts)) + entries


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (gguf(template="{{ messages }}"), "{{ messages }}"),
        (gguf(template="{% if tools %}{% endif %}"), None),
        (gguf(template="{{ messages }}", template_tool_use="{{ tools }}"), None),
        (gguf(template="{{ toolshed }}"), "{{ toolshed }}"),
        (gguf(), "<|im_start|>assistant"),
    ],
)
def test_a_template_without_tools_gets_them_and_one_with_tools_is_left_alone(
    tmp_path: Path, content: bytes, expected: str | None
) -> None:
    found = chat_template(weights_file(tmp_path, content=content))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert "<tool_response>" in found
        assert expected in found


def test_a_text_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    whole = gguf(template="{{ messages }}")
    assert text_value(weights_file(tmp_path, content=whole), "tokenizer.chat_template") == "{{ messages }}"
    for cut in range(len(whole)):
        assert text_value(weights_file(tmp_path, content=whole[:cut]), "tokenizer.chat_template") is None


@needs_model
def test_the_real_file_has_a_template_without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.MODEL_PATH_VARIABLE, raising=False)
    found = chat_template(weights.find_weights())
    assert found is not None
    assert found.count("You are a helpful AI assistant named SmolLM") == 1
