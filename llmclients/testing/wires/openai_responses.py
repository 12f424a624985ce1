"""Writes the Responses API's replies (docs/protocols/openai-responses.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.answer import Answer
from llmclients.testing.wires.base import ReplyWriter, sse
from llmclients.testing.wires.openai_chat import openai_error
from llmclients.types.response import FinishReason

__all__ = ["OpenAIResponsesWriter"]

_WHY_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class OpenAIResponsesWriter(ReplyWriter):
    """A list of items: reasoning, a message, calls. In a stream each begins, has pieces, and comes again, whole."""

    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        "stop": "completed",
        "tool_calls": "completed",
        "length": "incomplete",
        "content_filter": "incomplete",
    }
    counts = frozenset({"input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "cache_write_tokens"})

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._number = 0  # of the next event
        self._text_index = 1 if answer.reasoning else 0

    def whole(self) -> Any:
        reason = _WHY_INCOMPLETE.get(self.answer.reason)
        return {
            **self._response(self.finish_reason),
            "incomplete_details": {"reason": reason} if reason else None,
            "output": self._items(),
            "usage": self._usage(),
        }

    def opening(self) -> Iterator[bytes]:
        yield self._event("response.created", response=self._response("in_progress"))
        index = 0
        if self.answer.reasoning:
            (item,) = self._items()[:1]
            yield self._event(
                "response.output_item.added", output_index=0, item={**item, "summary": [], "status": "in_progress"}
            )
            place = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
            yield self._event("response.reasoning_summary_text.delta", **place, delta=self.answer.reasoning)
            yield self._event("response.output_item.done", output_index=0, item=item)
            index = 1
        if self.answer.text:
            item = {**self._message(), "content": [], "status": "in_progress"}
            yield self._event("response.output_item.added", output_index=index, item=item)

    def piece(self, text: str) -> bytes:
        place = {"item_id": self._message()["id"], "output_index": self._text_index, "content_index": 0}
        return self._event("response.output_text.delta", **place, delta=text)

    def closing(self) -> Iterator[bytes]:
        for index, item in enumerate(self._items()):
            if item["type"] == "reasoning":
                continue
            if item["type"] == "function_call":
                begun = {**item, "arguments": "", "status": "in_progress"}
                yield self._event("response.output_item.added", output_index=index, item=begun)
                place = {"item_id": item["id"], "output_index": index}
                yield self._event("response.function_call_arguments.delta", **place, delta=item["arguments"])
                yield self._event("response.function_call_arguments.done", **place, arguments=item["arguments"])
            yield self._event("response.output_item.done", output_index=index, item=item)
        yield self._event(f"response.{self.finish_reason}", response=self.whole())

    @staticmethod
    def error(status: int, message: str) -> Any:
        return openai_error(status, message)

    def _event(self, type_: str, **members: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse({"type": type_, "sequence_number": number, **members}, type_)

    def _response(self, status: str) -> dict[str, Any]:
        answer = self.answer
        head = {"id": answer.id, "object": "response", "created_at": 0, "status": status, "model": answer.model}
        return head | {"error": None, "incomplete_details": None, "output": [], "usage": None, "store": False}

    def _items(self) -> list[dict[str, Any]]:
        answer = self.answer
        items: list[dict[str, Any]] = []
        if answer.reasoning:
            summary = [{"type": "summary_text", "text": answer.reasoning}]
            items.append({"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary})
        if answer.text:
            items.append(self._message())
        for index, call in enumerate(answer.tool_calls):
            content = {"call_id": call.id, "name": call.name, "arguments": call.arguments_text}
            items.append({"id": f"fc_{answer.id}_{index}", "type": "function_call", "status": "completed", **content})
        return items

    def _message(self) -> dict[str, Any]:
        part = {"type": "output_text", "text": self.answer.text, "annotations": []}
        status = self.finish_reason
        id = f"msg_{self.answer.id}"
        return {"id": id, "type": "message", "role": "assistant", "status": status, "content": [part]}

    def _usage(self) -> dict[str, Any] | None:
        counts = self.answer.counts
        if not counts:
            return None
        cached = {name: counts.pop(name) for name in ("cached_tokens", "cache_write_tokens") if name in counts}
        reasoning = {name: counts.pop(name) for name in ("reasoning_tokens",) if name in counts}
        return {**counts, "input_tokens_details": cached, "output_tokens_details": reasoning}
