"""`Accumulator`: chunks to a response: the one reducer, for `chat`, for `stream.response`, for an error's `partial`."""

from __future__ import annotations

from io import StringIO
from typing import Any

from llmclients.types.limits import MAX_TOOL_CALLS, check_call_count
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

__all__ = ["Accumulator"]


class Accumulator:
    """Takes chunks one by one; `response()` is what they make together so far.

    Text grows in a buffer, not in a list of pieces: an answer of a million chunks takes the memory of its text.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.started = False
        self._text = StringIO()
        self._write = self._text.write
        self._reasoning: StringIO | None = None
        self._calls: dict[int, _Call] = {}
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._logprobs: list[TokenLogprob] = []
        self._provider_data: dict[str, Any] | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._raw: Any = None

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk. One marked `restarted` discards what came before it.

        Raises:
            APIResponseError: the answer has more than `MAX_TOOL_CALLS` tool calls.
        """
        found = chunk.__dict__  # ten attributes of each chunk of each stream: a dict's members take half the time
        if (
            found["restarted"]
            or found["reasoning"]
            or found["tool_calls"]
            or found["finish_reason"] is not None
            or found["usage"] is not None
            or found["logprobs"]
            or found["provider_data"] is not None
        ):
            self._add_more_than_text(chunk)
            if chunk.restarted:
                return
        self.started = True
        if text := found["text"]:
            self._write(text)
        self._model = found["model"] or self._model
        self._id = found["id"] or self._id

    def _add_more_than_text(self, chunk: Chunk) -> None:
        if chunk.restarted:
            self._reset()
            return
        if chunk.reasoning:
            self._reasoning = self._reasoning or StringIO()
            self._reasoning.write(chunk.reasoning)
        for delta in chunk.tool_calls:
            call = self._calls.get(delta.index)
            if call is None:
                check_call_count(len(self._calls) + 1, MAX_TOOL_CALLS)
                call = self._calls[delta.index] = _Call()
            call.add(delta)
        if chunk.finish_reason is not None:
            self._finish_reason, self._raw = chunk.finish_reason, chunk.raw
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._logprobs.extend(chunk.logprobs)
        if chunk.provider_data is not None:
            self._provider_data = chunk.provider_data

    def response(self) -> ChatResponse:
        """The response so far."""
        return ChatResponse.model_construct(
            text=self._text.getvalue(),
            reasoning=self._reasoning.getvalue() if self._reasoning else None,
            tool_calls=[call.whole() for _, call in sorted(self._calls.items())],
            finish_reason=self._finish_reason,
            usage=self._usage,
            model=self._model,
            id=self._id,
            raw=self._raw,
            logprobs=self._logprobs or None,
            provider_data=self._provider_data,
        )


class _Call:
    """A tool call under assembly: id and name come once, arguments piece by piece."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments = StringIO()
        self._provider_data: dict[str, Any] | None = None

    def add(self, delta: ToolCallDelta) -> None:
        self._id = self._id or delta.id or ""
        self._name = self._name or delta.name or ""
        self._arguments.write(delta.arguments)
        if delta.provider_data is not None:
            self._provider_data = delta.provider_data

    def whole(self) -> ToolCall:
        arguments = self._arguments.getvalue() or "{}"
        return ToolCall(id=self._id, name=self._name, arguments=arguments, provider_data=self._provider_data)
