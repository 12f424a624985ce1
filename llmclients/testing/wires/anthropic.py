"""Writes Anthropic Messages (docs/protocols/anthropic.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter, sse
from llmclients.types.response import FinishReason

__all__ = ["AnthropicWriter"]

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicWriter(ReplyWriter):
    """A list of blocks: thinking, text, calls of tools."""

    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
        "pause": "pause_turn",
    }
    counts = frozenset({"input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "cache_write_tokens"})

    def whole(self) -> Any:
        end = {"stop_reason": self.finish_reason, "usage": self._usage()}
        return {**self._message(), "content": self._blocks(), **end}

    def opening(self) -> Iterator[bytes]:
        yield _event({"type": "message_start", "message": {**self._message(), "usage": self._usage()}})
        if self.answer.reasoning:
            yield _start(0, {"type": "thinking", "thinking": "", "signature": ""})
            yield _delta(0, {"type": "thinking_delta", "thinking": self.answer.reasoning})
            yield _stop(0)
        if self.answer.text:
            yield _start(self._text_index, {"type": "text", "text": ""})

    def piece(self, text: str) -> bytes:
        return _delta(self._text_index, {"type": "text_delta", "text": text})

    def closing(self) -> Iterator[bytes]:
        if self.answer.text:
            yield _stop(self._text_index)
        for index, block in enumerate(self._blocks()):
            if block["type"] == "tool_use":
                yield _start(index, {**block, "input": {}})
                arguments = self.answer.tool_calls[index - len(self._blocks())].arguments_text
                yield _delta(index, {"type": "input_json_delta", "partial_json": arguments})
                yield _stop(index)
        delta = {"stop_reason": self.finish_reason, "stop_sequence": None}
        yield _event({"type": "message_delta", "delta": delta, "usage": self._usage()})
        yield _event({"type": "message_stop"})

    @staticmethod
    def error(status: int, message: str) -> Any:
        default = "api_error" if status >= 500 else "invalid_request_error"
        return {"type": "error", "error": {"type": _ERROR_TYPES.get(status, default), "message": message}}

    @staticmethod
    def models(names: Iterable[str]) -> Any:
        made = "1970-01-01T00:00:00Z"
        entries = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in names]
        return {"data": entries, "has_more": False}

    @property
    def _text_index(self) -> int:
        return 1 if self.answer.reasoning else 0

    def _message(self) -> dict[str, Any]:
        answer = self.answer
        head = {"id": answer.id, "type": "message", "role": "assistant", "model": answer.model}
        return head | {"content": [], "stop_reason": None, "stop_sequence": None}

    def _blocks(self) -> list[dict[str, Any]]:
        answer = self.answer
        blocks: list[dict[str, Any]] = []
        if answer.reasoning:
            blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": ""})
        if answer.text:
            blocks.append({"type": "text", "text": answer.text})
        calls = answer.tool_calls
        return blocks + [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in calls
        ]

    def _usage(self) -> dict[str, Any]:
        counts = self.answer.counts
        names = {"cached_tokens": "cache_read_input_tokens", "cache_write_tokens": "cache_creation_input_tokens"}
        usage: dict[str, Any] = {wire_name: counts[name] for name, wire_name in names.items() if name in counts}
        if "input_tokens" in counts:  # on this wire, without those that the cache has to do with
            usage["input_tokens"] = counts["input_tokens"] - sum(usage.values())
        if "output_tokens" in counts:
            usage["output_tokens"] = counts["output_tokens"]
        if "reasoning_tokens" in counts:
            usage["output_tokens_details"] = {"thinking_tokens": counts["reasoning_tokens"]}
        return usage


def _event(payload: dict[str, Any]) -> bytes:
    return sse(payload, payload["type"])


def _start(index: int, block: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})
