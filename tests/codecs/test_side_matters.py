"""Side matters never cost an answer: counts, reasoning, ids and log probabilities of another type are None.

They stay in `raw`. On the wires `anthropic`, `gemini`, `cohere`, `ollama` and `openai-responses`, whole and streamed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from helpers import decode, whole_reply

from llmclients.providers.registry import find_provider
from llmclients.types.response import ChatResponse

BAD = [1.5, "3", True, [], {"a": 1}, "", -1, 10**400, float("inf"), float("nan"), "-0.5", ["x"], [None], {"content": 7}]
"""Of which no one is a count or a log probability. Infinity and NaN are in what some servers call JSON."""

TEXT_EVENT = {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": "Hi"}
ITEM = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi", "logprobs": None}]}
THOUGHT = {"type": "reasoning", "id": "rs_0", "summary": [{"type": "summary_text", "text": "Hm"}], "content": None}
RESPONSE = {
    "id": "r",
    "model": "m",
    "status": "completed",
    "output": [ITEM, THOUGHT],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
ANTHROPIC_USAGE = {
    "input_tokens": 1,
    "output_tokens": 1,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "output_tokens_details": {"thinking_tokens": 0},
}
GEMINI = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "Hm", "thought": True}, {"text": "Hi"}]},
            "finishReason": "STOP",
            "logprobsResult": {"chosenCandidates": [{"token": "Hi", "logProbability": -1}], "topCandidates": []},
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "thoughtsTokenCount": 1, "totalTokenCount": 3},
    "modelVersion": "m",
    "responseId": "r",
}
OLLAMA = {
    "model": "m",
    "message": {"role": "assistant", "content": "Hi", "thinking": "Hm"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 1,
    "eval_count": 1,
    "logprobs": [{"token": "Hi", "logprob": -1, "top_logprobs": []}],
}
COHERE_USAGE = {"tokens": {"input_tokens": 1, "output_tokens": 1}, "billed_units": None, "cached_tokens": 0}
COHERE_LOGPROBS = {"text": "Hi", "logprobs": [-1]}

WHOLE: list[tuple[str, Any]] = [
    (
        "anthropic",
        {
            "id": "m",
            "model": "m",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "text", "text": "Hi", "citations": None},
            ],
            "stop_reason": "end_turn",
            "usage": ANTHROPIC_USAGE,
        },
    ),
    ("gemini", GEMINI),
    (
        "cohere",
        {
            "id": "c",
            "finish_reason": "COMPLETE",
            "message": {
                "tool_plan": "Hm",
                "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}],
            },
            "usage": COHERE_USAGE,
            "logprobs": [COHERE_LOGPROBS],
        },
    ),
    ("ollama", OLLAMA),
    ("openai-responses", RESPONSE),
]
STREAMS: list[tuple[str, list[Any]]] = [
    (
        "anthropic",
        [
            {"type": "message_start", "message": {"id": "m", "model": "m", "usage": ANTHROPIC_USAGE}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {}}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ANTHROPIC_USAGE},
            {"type": "message_stop"},
        ],
    ),
    ("gemini", [GEMINI]),
    (
        "cohere",
        [
            {"type": "message-start", "id": "c"},
            {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Hm"}}},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": "Hm"}}}},
            {
                "type": "content-delta",
                "index": 1,
                "delta": {"message": {"content": {"text": "Hi"}}},
                "logprobs": COHERE_LOGPROBS,
            },
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}},
        ],
    ),
    ("ollama", [OLLAMA]),
    (
        "openai-responses",
        [
            {"type": "response.reasoning_summary_text.delta", "item_id": "rs_0", "delta": "Hm"},
            {"type": "response.reasoning_text.done", "item_id": "rs_0", "text": "Hm"},
            {**TEXT_EVENT, "logprobs": [{"token": "Hi", "logprob": -1, "top_logprobs": None}]},
            {"type": "response.completed", "response": RESPONSE},
        ],
    ),
]
SIDE = {
    *("usage", "usageMetadata", "prompt_eval_count", "eval_count", "logprobs", "logprobsResult"),
    *("thinking", "signature", "citations", "citation", "tool_plan", "summary", "model", "modelVersion"),
    *("id", "responseId"),
}
"""The members that only describe. All that is inside them does, too."""


def variants(value: Any, inside: bool = False, place: str = "") -> Iterator[tuple[str, Any]]:
    """The value with each of its side matters, and each node inside them, put to something else."""
    if not isinstance(value, dict | list):
        return
    for key in value if isinstance(value, dict) else range(len(value)):
        is_thought = isinstance(value, dict) and key == "text" and value.get("thought")
        of_reasoning = key in ("delta", "text") and str(value.get("type")).startswith("response.reasoning")
        is_side = inside or key in SIDE or is_thought or of_reasoning
        if is_side:
            for bad in BAD:
                changed = copy.copy(value)
                changed[key] = bad
                yield f"{place}.{key} is {bad!r}"[:200], changed
        for where, inner in variants(value[key], is_side, f"{place}.{key}"):
            changed = copy.copy(value)
            changed[key] = inner
            yield where, changed


def check(response: ChatResponse, where: str) -> None:
    assert (response.text, response.finish_reason) == ("Hi", "stop"), where
    usage = response.usage
    for count in usage.model_dump().values() if usage else ():
        assert count is None or (type(count) is int and 0 <= count < 2**63), where
    for name in ("reasoning", "id", "model"):
        assert isinstance(getattr(response, name), str | None), where
    for token in response.logprobs or ():
        assert isinstance(token.token, str), where
        assert abs(token.logprob) < 1e308, where
    response.model_dump_json()


def test_no_side_matter_of_another_type_costs_a_whole_answer() -> None:
    for provider, payload in WHOLE:
        codec = find_provider(provider).load_codec()
        for where, changed in [("", payload), *variants(payload)]:
            response = whole_reply(codec, json.dumps(changed).encode())
            check(response, f"{provider}: {where}")
            assert response.raw.keys() == payload.keys()


def test_no_side_matter_of_another_type_costs_a_streamed_answer() -> None:
    for provider, events in STREAMS:
        codec = find_provider(provider).load_codec()
        content_type = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
        start, end = ("", "\n") if provider == "ollama" else ("data: ", "\n\n")
        for where, changed in [("", events), *variants(events)]:
            data = "".join(start + json.dumps(event) + end for event in changed).encode()
            found = decode(codec.stream_decoder(content_type), [data])
            assert found.error is None, (provider, where, found.message)
            check(found.response, f"{provider}: {where}")


def test_a_call_whose_id_is_no_text_can_be_answered() -> None:
    function = {"name": "f", "arguments": "{}"}
    for provider, body in (
        (
            "anthropic",
            {"content": [{"type": "tool_use", "id": 7, "name": "f", "input": {}}], "stop_reason": "tool_use"},
        ),
        ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"id": 7, "name": "f"}}]}}]}),
        ("cohere", {"message": {"tool_calls": [{"id": 7, "function": function}]}, "finish_reason": "TOOL_CALL"}),
        ("ollama", {"message": {"tool_calls": [{"id": 7, "function": {"name": "f"}}]}, "done": True}),
        ("openai-responses", {"status": "completed", "output": [{"type": "function_call", "call_id": 7, **function}]}),
    ):
        (call,) = whole_reply(find_provider(provider).load_codec(), json.dumps(body).encode()).tool_calls
        assert call.id, provider
        assert (call.name, call.arguments) == ("f", {})


def test_tokens_that_are_written_to_a_cache_are_counted() -> None:
    for provider, body, expected in (
        (
            "anthropic",
            {
                "content": [],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100},
            },
            (115, 100, 10),
        ),
        (
            "openai-responses",
            {
                "status": "completed",
                "output": [],
                "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}},
            },
            (9, 3, 4),
        ),
    ):
        usage = whole_reply(find_provider(provider).load_codec(), json.dumps(body).encode()).usage
        assert usage is not None
        assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == expected, provider
