"""Writes chat completions (docs/protocols/openai-chat.md, "OpenAI chat completions")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter, sse
from llmclients.types.response import FinishReason

__all__ = ["OpenAIChatWriter", "openai_error"]


class OpenAIChatWriter(ReplyWriter):
    """Chat completions, as OpenAI and all who copy it have them."""

    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        reason: reason for reason in ("stop", "length", "tool_calls", "content_filter")
    }
    has_choices = True
    counts = frozenset({"input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"})

    def whole(self) -> Any:
        answer = self.answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = self._calls()
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        others = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": self.finish_reason}
            for index, text in enumerate(answer.other_texts, 1)
        ]
        return {**self._head("chat.completion"), "choices": [choice, *others], **self._usage()}

    def opening(self) -> Iterator[bytes]:
        yield self._event({"role": "assistant", "content": ""})
        if self.answer.reasoning:
            yield self._event({"reasoning_content": self.answer.reasoning})

    def piece(self, text: str) -> bytes:
        return self._event({"content": text})

    def closing(self) -> Iterator[bytes]:
        for index, call in enumerate(self._calls()):
            yield self._event({"tool_calls": [{"index": index, **call}]})
        yield self._event({}, self.finish_reason)
        if self.answer.usage is not None:
            yield sse({**self._head("chat.completion.chunk"), "choices": [], **self._usage()})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def error(status: int, message: str) -> Any:
        return openai_error(status, message)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.answer.id, "object": kind, "created": 0, "model": self.answer.model}

    def _event(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return sse({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
            for call in self.answer.tool_calls
        ]

    def _usage(self) -> dict[str, Any]:
        counts = self.answer.counts
        if not counts:
            return {}
        names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
        usage: dict[str, Any] = {wire_name: counts[name] for wire_name, name in names.items() if name in counts}
        if "reasoning_tokens" in counts:
            usage["completion_tokens_details"] = {"reasoning_tokens": counts["reasoning_tokens"]}
        if "cached_tokens" in counts:
            usage["prompt_tokens_details"] = {"cached_tokens": counts["cached_tokens"]}
        return {"usage": usage}


def openai_error(status: int, message: str) -> Any:
    """An error as both of OpenAI's wires have it."""
    types = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_exceeded"}
    default = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": types.get(status, default), "param": None, "code": None}}
