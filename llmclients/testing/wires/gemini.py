"""Writes Gemini's replies (docs/protocols/gemini.md, "Whole replies")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter, sse
from llmclients.types.response import FinishReason

__all__ = ["GeminiWriter"]

_ERROR_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiWriter(ReplyWriter):
    """Candidates with parts; a stream's events are built as a whole reply is. The body's end is the stream's."""

    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        "stop": "STOP",
        "tool_calls": "STOP",
        "length": "MAX_TOKENS",
        "content_filter": "SAFETY",
    }
    has_choices = True
    counts = frozenset({"input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"})

    def whole(self) -> Any:
        text = [{"text": self.answer.text}] if self.answer.text else []
        whole = self._object([*self._thoughts(), *text, *self._calls()], finished=True)
        whole["candidates"] += [
            {
                "content": {"role": "model", "parts": [{"text": text}]},
                "index": index,
                "finishReason": self.finish_reason,
            }
            for index, text in enumerate(self.answer.other_texts, 1)
        ]
        return whole

    def opening(self) -> Iterator[bytes]:
        if self.answer.reasoning:
            yield sse(self._object(self._thoughts()))

    def piece(self, text: str) -> bytes:
        return sse(self._object([{"text": text}]))

    def closing(self) -> Iterator[bytes]:
        yield sse(self._object(self._calls() or [{"text": ""}], finished=True))

    @staticmethod
    def error(status: int, message: str) -> Any:
        default = "INTERNAL" if status >= 500 else "FAILED_PRECONDITION"
        return {"error": {"code": status, "message": message, "status": _ERROR_STATUSES.get(status, default)}}

    @staticmethod
    def models(names: Iterable[str]) -> Any:
        methods = ["generateContent"]
        return {"models": [{"name": f"models/{name}", "supportedGenerationMethods": methods} for name in names]}

    def _object(self, parts: list[dict[str, Any]], *, finished: bool = False) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finished:
            candidate["finishReason"] = self.finish_reason
        usage = {"usageMetadata": self._usage()} if finished and self.answer.counts else {}
        head = {"modelVersion": self.answer.model, "responseId": self.answer.id}
        return {"candidates": [candidate], **usage, **head}

    def _thoughts(self) -> list[dict[str, Any]]:
        return [{"text": self.answer.reasoning, "thought": True}] if self.answer.reasoning else []

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}
            for call in self.answer.tool_calls
        ]

    def _usage(self) -> dict[str, Any]:
        counts = self.answer.counts
        names = {
            "input_tokens": "promptTokenCount",
            "reasoning_tokens": "thoughtsTokenCount",
            "total_tokens": "totalTokenCount",
            "cached_tokens": "cachedContentTokenCount",
        }
        usage = {wire_name: counts[name] for name, wire_name in names.items() if name in counts}
        if "output_tokens" in counts:  # on this wire, without the thoughts
            usage["candidatesTokenCount"] = counts["output_tokens"] - counts.get("reasoning_tokens", 0)
        return usage
