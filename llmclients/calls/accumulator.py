"""`Accumulator`: chunks to a response: the one reducer, for `chat`, for `stream.response`, for an error's `partial`."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

from llmclients.types.base import make_model
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
        """Take the next chunk. One marked `restarted` discards what came before it."""
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
            self._calls.setdefault(delta.index, _Call()).add(delta)
        if chunk.finish_reason is not None:
            self._finish_reason, self._raw = chunk.finish_reason, chunk.raw
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._logprobs.extend(chunk.logprobs)
        if chunk.provider_data is not None:
            self._provider_data = chunk.provider_data

    @property
    def text_buffer(self) -> StringIO:
        """The text so far, to be read where it stands. Who reads in it leaves its position at its end."""
        return self._text

    def open_calls(self) -> Iterator[tuple[int, str, str, StringIO]]:
        """The tool calls so far, in their order: index, id, name, and the arguments, as `text_buffer` is the text."""
        for index, call in sorted(self._calls.items()):
            yield index, call.id, call.name, call.arguments

    def response(self) -> ChatResponse:
        """The response so far."""
        return make_model(
            ChatResponse,
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
        self.id = ""
        self.name = ""
        self.arguments = StringIO()

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id or ""
        self.name = self.name or delta.name or ""
        self.arguments.write(delta.arguments)

    def whole(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments=self.arguments.getvalue() or "{}")
