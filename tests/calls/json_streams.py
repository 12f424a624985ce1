"""Streams of a JSON answer on every wire that has schemas, cut into pieces as a provider cuts them."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ARGUMENT_WIRES", "WIRES", "answer_events", "openai_event", "tool_events"]

WIRES = {
    "openai": "m",
    "openai-responses": "m",
    "anthropic": "claude-sonnet-4-5",
    "anthropic, by a tool": "claude-3-haiku",
    "gemini": "m",
    "cohere": "m",
    "ollama": "m",
}
"""What is asked, and a model that takes a schema there."""

ARGUMENT_WIRES = ("openai", "openai-responses", "anthropic", "cohere")
"""Those on which a tool's arguments come piece by piece."""


def answer_events(wire: str, pieces: list[str]) -> list[str]:
    """The stream's events: one for each piece of the answer's text, and those around them."""
    make = {
        "openai": _openai,
        "openai-responses": _responses,
        "anthropic": lambda pieces: _anthropic({"type": "text", "text": ""}, "text_delta", "text", pieces),
        "anthropic, by a tool": lambda pieces: _anthropic(_tool_use("llmclients_answer"), *_JSON_DELTA, pieces),
        "gemini": _gemini,
        "cohere": _cohere,
        "ollama": _ollama,
    }[wire]
    return make(pieces)


def tool_events(wire: str, pieces: list[str]) -> list[str]:
    """The same of the arguments of a call of `find`."""
    if wire == "openai":
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "find", "arguments": ""}}
        deltas: list[dict[str, Any]] = [{"tool_calls": [call]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
        return [*map(openai_event, deltas), openai_event({}, "tool_calls"), _DONE]
    if wire == "openai-responses":
        item = {"type": "function_call", "id": "i", "call_id": "c", "name": "find", "arguments": ""}
        place = {"item_id": "i", "output_index": 0}
        whole = {**item, "arguments": "".join(pieces), "status": "completed"}
        return [
            _named("response.created", response=_response("in_progress", [])),
            _named("response.output_item.added", output_index=0, item=item),
            *(_named("response.function_call_arguments.delta", **place, delta=piece) for piece in pieces),
            _named("response.function_call_arguments.done", **place, arguments=whole["arguments"]),
            _named("response.output_item.done", output_index=0, item=whole),
            _named("response.completed", response=_response("completed", [whole])),
        ]
    if wire == "anthropic":
        return _anthropic(_tool_use("find"), *_JSON_DELTA, pieces)
    function = {"id": "c", "type": "function", "function": {"name": "find", "arguments": ""}}
    return [
        _typed("message-start", id="x", delta={"message": {"role": "assistant"}}),
        _typed("tool-call-start", index=0, delta={"message": {"tool_calls": function}}),
        *(
            _typed("tool-call-delta", index=0, delta={"message": {"tool_calls": {"function": {"arguments": piece}}}})
            for piece in pieces
        ),
        _typed("tool-call-end", index=0),
        _typed("message-end", delta={"finish_reason": "TOOL_CALL", "usage": {}}),
    ]


def openai_event(delta: dict[str, Any], reason: str | None = None) -> str:
    """An event of chat completions."""
    return _data({"id": "r", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


_DONE = "data: [DONE]\n\n"
_JSON_DELTA = ("input_json_delta", "partial_json")


def _data(payload: Any) -> str:
    return f"data: {json.dumps(payload)}\n\n"


def _typed(kind: str, **members: Any) -> str:
    return _data({"type": kind, **members})


def _named(kind: str, **members: Any) -> str:
    return f"event: {kind}\n{_typed(kind, **members)}"


def _openai(pieces: list[str]) -> list[str]:
    return [*(openai_event({"content": piece}) for piece in pieces), openai_event({}, "stop"), _DONE]


def _response(status: str, output: list[Any]) -> dict[str, Any]:
    return {"id": "r", "object": "response", "status": status, "model": "m", "output": output}


def _responses(pieces: list[str]) -> list[str]:
    part = {"type": "output_text", "text": "".join(pieces), "annotations": []}
    item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [part]}
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    return [
        _named("response.created", response=_response("in_progress", [])),
        _named("response.output_item.added", output_index=0, item={**item, "content": []}),
        _named("response.content_part.added", **place, part={**part, "text": ""}),
        *(_named("response.output_text.delta", **place, delta=piece) for piece in pieces),
        _named("response.output_text.done", **place, text=part["text"]),
        _named("response.content_part.done", **place, part=part),
        _named("response.output_item.done", output_index=0, item=item),
        _named("response.completed", response=_response("completed", [item])),
    ]


def _tool_use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": "c", "name": name, "input": {}}


def _anthropic(block: dict[str, Any], delta_type: str, member: str, pieces: list[str]) -> list[str]:
    message = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}}
    reason = "end_turn" if block["type"] == "text" else "tool_use"
    return [
        _named("message_start", message=message),
        _named("content_block_start", index=0, content_block=block),
        *(_named("content_block_delta", index=0, delta={"type": delta_type, member: piece}) for piece in pieces),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": reason}, usage={}),
        _named("message_stop"),
    ]


def _gemini(pieces: list[str]) -> list[str]:
    found: list[dict[str, Any]] = [{"content": {"parts": [{"text": piece}], "role": "model"}} for piece in pieces]
    found[-1]["finishReason"] = "STOP"
    return [_data({"candidates": [candidate]}) for candidate in found]


def _cohere(pieces: list[str]) -> list[str]:
    begin: dict[str, Any] = {"message": {"content": {"type": "text", "text": ""}}}
    return [
        _typed("message-start", id="x", delta={"message": {"role": "assistant"}}),
        _typed("content-start", index=0, delta=begin),
        *(_typed("content-delta", index=0, delta={"message": {"content": {"text": piece}}}) for piece in pieces),
        _typed("content-end", index=0),
        _typed("message-end", delta={"finish_reason": "COMPLETE", "usage": {}}),
    ]


def _ollama(pieces: list[str]) -> list[str]:
    lines = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces]
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    return [json.dumps({"model": "m", **line}) + "\n" for line in (*lines, end)]
