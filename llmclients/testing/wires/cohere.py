"""Writes the replies of Cohere's second chat API (docs/protocols/cohere.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter, sse
from llmclients.types.response import FinishReason

__all__ = ["CohereWriter"]


class CohereWriter(ReplyWriter):
    """A message with blocks of content, and calls beside them."""

    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool_calls": "TOOL_CALL",
        "content_filter": "ERROR_TOXIC",
    }
    counts = frozenset({"input_tokens", "output_tokens", "cached_tokens"})

    def whole(self) -> Any:
        answer = self.answer
        content = [{"type": "thinking", "thinking": answer.reasoning}] if answer.reasoning else []
        content += [{"type": "text", "text": answer.text}] if answer.text else []
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if answer.tool_calls:
            message["tool_calls"] = self._calls()
        return {"id": answer.id, "finish_reason": self.finish_reason, "message": message, **self._usage()}

    def opening(self) -> Iterator[bytes]:
        yield sse({"type": "message-start", "id": self.answer.id, "delta": {"message": {"role": "assistant"}}})
        if self.answer.reasoning:
            yield self._content("content-start", 0, {"type": "thinking", "thinking": ""})
            yield self._content("content-delta", 0, {"thinking": self.answer.reasoning})
            yield sse({"type": "content-end", "index": 0})
        if self.answer.text:
            yield self._content("content-start", self._text_index, {"type": "text", "text": ""})

    def piece(self, text: str) -> bytes:
        return self._content("content-delta", self._text_index, {"text": text})

    def closing(self) -> Iterator[bytes]:
        if self.answer.text:
            yield sse({"type": "content-end", "index": self._text_index})
        for index, call in enumerate(self._calls()):
            begun = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
            rest = {"function": {"arguments": call["function"]["arguments"]}}
            for event_type, entry in (("tool-call-start", begun), ("tool-call-delta", rest)):
                yield sse({"type": event_type, "index": index, "delta": {"message": {"tool_calls": entry}}})
            yield sse({"type": "tool-call-end", "index": index})
        end = {"finish_reason": self.finish_reason, **self._usage()}
        yield sse({"type": "message-end", "id": self.answer.id, "delta": end})

    @staticmethod
    def error(status: int, message: str) -> Any:
        return {"message": message}

    @staticmethod
    def models(names: Iterable[str]) -> Any:
        return {"models": [{"name": name, "endpoints": ["chat"]} for name in names]}

    @property
    def _text_index(self) -> int:
        return 1 if self.answer.reasoning else 0

    def _content(self, event_type: str, index: int, content: dict[str, Any]) -> bytes:
        return sse({"type": event_type, "index": index, "delta": {"message": {"content": content}}})

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}
            for call in self.answer.tool_calls
        ]

    def _usage(self) -> dict[str, Any]:
        counts = self.answer.counts
        if not counts:
            return {}
        tokens = {name: counts[name] for name in ("input_tokens", "output_tokens") if name in counts}
        cached = {"cached_tokens": counts["cached_tokens"]} if "cached_tokens" in counts else {}
        return {"usage": {"tokens": tokens, **cached}}
