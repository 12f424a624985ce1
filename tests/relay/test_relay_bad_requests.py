"""Malformed requests of every wire: each is rejected as one, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from relaytools import WIRES

from llmclients import errors
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import ServerCodec
from llmclients.relay.errors import Failure

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}

BAD_JSON = [
    b"",
    b"{",
    b"nonsense",
    b"[]",
    b'"text"',
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a": NaN}',
    b'{"a": "\\ud800"}',
]
MESSAGE = {"role": "user", "content": "Q"}
BAD_CHATS: list[dict[str, Any]] = [
    {},
    {"messages": None},
    {"messages": []},
    {"messages": "Q"},
    {"messages": ["Q"]},
    {"messages": [{}]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": ""}]},
    {"messages": [{"role": "judge", "content": "Q"}]},
    {"messages": [{"role": "user", "content": 5}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
    {"messages": [{**MESSAGE, "surprise": 1}]},
    {"messages": [MESSAGE], "model": 5},
    {"messages": [MESSAGE], "stream": "yes"},
    {"messages": [MESSAGE], "n": 2},
    {"messages": [MESSAGE], "n": True},
    {"messages": [MESSAGE], "tools": [{"type": "function"}]},
    {"messages": [MESSAGE], "response_format": {"type": "grammar"}},
    {"messages": [MESSAGE], "response_format": {"type": "json_schema"}},
    {"messages": [MESSAGE], "response_format": {"type": "json_schema", "json_schema": 5}},
    {"messages": [MESSAGE], "tools": [{"type": "custom", "custom": {"name": "f"}}]},
    {"messages": [MESSAGE], "tools": 5},
    {"messages": [MESSAGE], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
    {"messages": [MESSAGE], "tool_choice": "sometimes"},
    {"messages": [MESSAGE], "logprobs": 1},
    {"messages": [MESSAGE, {"role": "assistant", "content": "A", "function_call": {"name": "f"}}]},
    {"messages": [MESSAGE], "self": 1},
    {"messages": [MESSAGE], "extra": {"model": "dear"}},
    {"messages": [MESSAGE], "restart": True},
]
ANTHROPIC_BAD: list[dict[str, Any]] = [
    {"model": 5},
    {"stream": "yes"},
    {"surprise": 1},
    {"seed": 7},
    {"container": "c"},
    {"inference_geo": "eu"},
    {"system": 5},
    {"system": [{"type": "image"}]},
    {"stop_sequences": "END"},
    {"tools": [{"name": "f"}]},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{}]}]},
    {"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]},
    {"tool_choice": {"type": "tool"}},
    {"tool_choice": "auto"},
    {"thinking": {"type": "sometimes"}},
    {"thinking": {"type": "enabled", "budget_tokens": "many"}},
    {"output_config": {"format": {"type": "json_schema"}}},
    {"output_config": {"surprise": 1}},
]
ANTHROPIC_BAD_BLOCKS: list[Any] = [
    [{"type": "text"}],
    [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
    [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}}],
    [{"type": "document", "citations": {"enabled": True}, "source": {"type": "text", "data": "x"}}],
    [{"type": "search_result"}],
    [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
    [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "search_result"}]}],
    [{"type": "tool_result", "tool_use_id": 5, "content": "x"}],
]
ANTHROPIC_BAD_ANSWERS: list[Any] = [
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}},
    {"type": "tool_use", "id": "a", "name": "f", "input": "{}"},
]
RESPONSES_BAD: list[dict[str, Any]] = [
    {"model": 5},
    {"stream": 1},
    {"surprise": 1},
    {"stop": ["END"]},
    {"background": True},
    {"previous_response_id": "resp_1"},
    {"instructions": ["be", "brief"]},
    {"include": ["file_search_call.results"]},
    {"include": "all"},
    {"tools": [{"type": "mcp"}]},
    {"tools": [{"type": "function"}]},
    {"tool_choice": {"type": "function"}},
    {"tool_choice": {"type": "web_search"}},
    {"text": {"format": {"type": "json_schema", "name": "n"}}},
    {"text": {"surprise": 1}},
    {"reasoning": "low"},
    {"reasoning": {"surprise": 1}},
]
RESPONSES_BAD_ITEMS: list[Any] = [
    [{"type": "item_reference", "id": "a"}],
    [{"type": "computer_call"}],
    [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
    [{"role": "user", "content": [{"type": "output_text", "text": "Q"}]}],
    [{"role": "assistant", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}],
    [{"role": "assistant", "content": 5}],
    [{"type": "reasoning", "summary": 5}],
    [{"type": "function_call", "name": "f", "arguments": "{}"}],
    [{"type": "function_call", "call_id": "a", "name": "f", "arguments": 5}],
    [{"type": "function_call_output", "output": "x"}],
    [{"type": "function_call_output", "call_id": "a", "output": 5}],
]
BAD_PROMPTS: list[dict[str, Any]] = [
    {},
    {"prompt": ""},
    {"prompt": None},
    {"prompt": ["Q"]},
    {"prompt": "Q", "system": 5},
    {"prompt": "Q", "network": "yes"},
]
BAD_PAGES: list[dict[str, Any]] = [
    {},
    {"messages": []},
    {"messages": "Q"},
    {"messages": [MESSAGE], "model": "gpt-4o"},
    {"messages": [MESSAGE], "model": {"id": 5}},
    {"messages": [MESSAGE], "prompt": []},
    {"messages": [MESSAGE], "temperature": "hot"},
]
BAD_TURNS: list[dict[str, Any]] = [
    *(chat for chat in BAD_CHATS if "messages" not in chat or not isinstance(chat["messages"], list)),
    *({"messages": [turn]} for turn in ("Q", {}, {"role": "user"}, {"role": "judge", "content": "Q"})),
    *({"messages": [MESSAGE], **more} for more in ANTHROPIC_BAD),
    *(
        {"messages": [{"role": "user", "content": content}]}
        for content in ("", [], 5, [5], [{}], *ANTHROPIC_BAD_BLOCKS)
    ),
    *({"messages": [MESSAGE, {"role": "assistant", "content": [block]}]} for block in ANTHROPIC_BAD_ANSWERS),
]
BAD_INPUTS: list[dict[str, Any]] = [
    {},
    *({"input": given} for given in (None, "", 5, [], ["Q"], [{}], [MESSAGE | {"surprise": 1}], *RESPONSES_BAD_ITEMS)),
    *({"input": "Q", **more} for more in RESPONSES_BAD),
]
GEMINI_BAD: list[dict[str, Any]] = [
    {"surprise": 1},
    {"tools": [{"googleSearch": {}}]},
    {"tools": [{"functionDeclarations": [{"name": "no name"}]}]},
    {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}},
    {"generationConfig": {"surprise": 1}},
    {"generationConfig": {"stopSequences": "END"}},
    {"generationConfig": {"responseMimeType": "application/json", "responseSchema": 5}},
    {"systemInstruction": 5},
]
OLLAMA_BAD: list[dict[str, Any]] = [
    {"surprise": 1},
    {"stream": "yes"},
    {"options": [1]},
    {"options": {"repeat_penalty": 2}},
    {"format": "xml"},
    {"think": 5},
    {"tools": [{"type": "function"}]},
]
BAD = {
    "anthropic": BAD_TURNS,
    "openai-responses": BAD_INPUTS,
    "openai": [*BAD_CHATS, {"messages": [MESSAGE], "stream_options": []}],
    "ylokh": BAD_CHATS,
    "yqcloud": [*BAD_PROMPTS, {"prompt": "Q", "stream": 1}],
    "yqcloud-legacy": BAD_PROMPTS,
    "ai365vip": BAD_PAGES,
    "gemini": [
        {},
        *({"contents": contents} for contents in (None, [], "Q", ["Q"], [{"role": "judge", "parts": [{"text": "Q"}]}])),
        *(
            {"contents": [{"parts": parts}]}
            for parts in ("Q", [], [{}], [{"text": 5}], [{"inlineData": {"data": "!"}}])
        ),
        *({"contents": [{"parts": [{"text": "Q"}]}], **more} for more in GEMINI_BAD),
    ],
    "ollama": [
        {},
        {"messages": [MESSAGE]},
        *({"model": "m", "messages": [MESSAGE], **more} for more in OLLAMA_BAD),
        *({"model": "m", "messages": [turn]} for turn in ("Q", {}, {"role": "user"}, {**MESSAGE, "images": [5]})),
        {
            "model": "m",
            "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
        },
    ],
}


@pytest.mark.parametrize("name", WIRES)
def test_a_malformed_request_is_rejected_as_one(name: str, subtests: pytest.Subtests) -> None:
    for body in (*BAD_JSON, *(json.dumps(one).encode() for one in BAD[name])):
        with subtests.test(repr(body[:200])):
            with pytest.raises((errors.InvalidRequestError, errors.UnsupportedOptionError)) as caught:
                CODEC[name].decode(body)
            failure = Failure.from_error(caught.value)
            assert failure.status == 400
            assert json.loads(CODEC[name].encode_error(failure))
