"""Good requests with something else in one place, of the wires that take most: they are decoded, or rejected."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from llmclients import errors
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import ServerCodec
from llmclients.types.request import ChatRequest

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
GOOD: dict[str, dict[str, Any]] = {
    "openai": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "Q"}]},
            {
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "No."}],
                "reasoning_content": "hm",
                "reasoning_details": [{}],
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "x"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://e.example", "detail": "low"}}],
            },
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        "logprobs": True,
        "top_logprobs": 2,
        "stream_options": {"include_usage": True},
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Q"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "document", "title": "t", "source": {"type": "text", "data": "x"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "E"},
                    {"type": "text", "text": "A"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"city": "Oslo"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": True}],
            },
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "openai-responses": {
        "model": "m",
        "instructions": "S",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Q"},
                    {"type": "input_image", "image_url": "https://e.example", "detail": "low"},
                    {"type": "input_file", "file_data": "data:text/plain;base64,AAAA", "filename": "n"},
                    {"type": "input_file", "file_url": "https://e.example"},
                ],
            },
            {
                "type": "reasoning",
                "id": "r",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "x",
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}], "phase": "p"},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "x"}]},
        ],
        "tools": [{"type": "function", **FUNCTION}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "truncation": "auto",
        "metadata": {"a": "b"},
    },
}


@pytest.mark.parametrize("name", GOOD)
def test_the_good_requests_are_good(name: str) -> None:
    assert len(CODEC[name].decode(json.dumps(GOOD[name]).encode()).messages) >= 4


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, one in inner for place in places(one, (*path, key)))]


SOMETHING: list[Any] = [
    *(None, True, False, 0, -1, 7, 1.5, "", "x", "auto", "\n"),
    *([], [None], ["x"], [[]], [{}], {}, {"type": "text"}, {"type": []}),
]


@pytest.mark.parametrize("name", GOOD)
def test_something_else_in_a_place_is_decoded_or_rejected(name: str) -> None:
    for place in places(GOOD[name]):
        check_place(name, place)


def check_place(name: str, place: tuple[Any, ...]) -> None:
    *path, last = place
    payload = copy.deepcopy(GOOD[name])
    inner: Any = payload
    for key in path:
        inner = inner[key]
    for something in SOMETHING:
        inner[last] = something
        try:
            call = CODEC[name].decode(json.dumps(payload).encode())
            options = {name: value for name, value in call.options.items() if name in ChatRequest.model_fields}
            assert ChatRequest.from_messages(call.messages, **options).messages == call.messages
        except (errors.InvalidRequestError, errors.UnsupportedOptionError):
            continue
        except Exception as error:
            raise AssertionError(f"{something!r} at {'.'.join(map(str, place))}") from error
