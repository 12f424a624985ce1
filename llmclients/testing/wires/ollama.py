"""Writes Ollama's replies (docs/protocols/ollama.md, "Replies and streams")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter, encode_json
from llmclients.types.response import FinishReason

__all__ = ["OllamaWriter"]


class OllamaWriter(ReplyWriter):
    """Objects: a whole reply is one, a stream has one on each line."""

    stream_type: ClassVar[str] = "application/x-ndjson"
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {"stop": "stop", "tool_calls": "stop", "length": "length"}

    def whole(self) -> Any:
        message = {**self._thinking(), "content": self.answer.text, **self._calls()}
        return self._object(message, **self._end())

    def opening(self) -> Iterator[bytes]:
        if self.answer.reasoning:
            yield self._line({**self._thinking(), "content": ""})

    def piece(self, text: str) -> bytes:
        return self._line({"content": text})

    def closing(self) -> Iterator[bytes]:
        if self.answer.tool_calls:
            yield self._line({"content": "", **self._calls()})
        yield encode_json(self._object({"content": ""}, **self._end())) + b"\n"

    @staticmethod
    def error(status: int, message: str) -> Any:
        return {"error": message}

    @staticmethod
    def models(names: Iterable[str]) -> Any:
        return {"models": [{"name": name, "model": name} for name in names]}

    def _line(self, message: dict[str, Any]) -> bytes:
        return encode_json(self._object(message, done=False)) + b"\n"

    def _object(self, message: dict[str, Any], **members: Any) -> dict[str, Any]:
        head = {"model": self.answer.model, "created_at": "1970-01-01T00:00:00Z"}
        return {**head, "message": {"role": "assistant", **message}, **members}

    def _thinking(self) -> dict[str, Any]:
        return {"thinking": self.answer.reasoning} if self.answer.reasoning else {}

    def _calls(self) -> dict[str, Any]:
        calls = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in self.answer.tool_calls
        ]
        return {"tool_calls": calls} if calls else {}

    def _end(self) -> dict[str, Any]:
        names = {"input_tokens": "prompt_eval_count", "output_tokens": "eval_count"}
        counts = self.answer.counts
        tokens = {wire_name: counts[name] for name, wire_name in names.items() if name in counts}
        return {"done": True, "done_reason": self.finish_reason, **tokens}
