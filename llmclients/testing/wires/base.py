"""`ReplyWriter`: writes scripted answers as one wire has them: whole, as a stream, errors, the list of models."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.answer import Answer
from llmclients.transports.mock import ScriptError
from llmclients.types.response import FinishReason

__all__ = ["ReplyWriter", "encode_json", "sse"]


class ReplyWriter(ABC):
    """One wire. Made anew for each answer, which it may keep.

    Attributes:
        content_type: of a whole reply, an error, a list.
        stream_type: of a stream.
        finish_reasons: the wire's words for the reasons that it has.
        counts: the members of `Usage` that it can tell.
        has_reasoning: whether it can tell the reasoning.
        has_tools: whether it has tool calls.
        has_choices: whether a whole reply may have several answers.
        has_models: whether it can be asked which models there are.
    """

    content_type: ClassVar[str] = "application/json"
    stream_type: ClassVar[str] = "text/event-stream"
    finish_reasons: ClassVar[Mapping[FinishReason, str]]
    counts: ClassVar[frozenset[str]] = frozenset({"input_tokens", "output_tokens"})
    has_reasoning: ClassVar[bool] = True
    has_tools: ClassVar[bool] = True
    has_choices: ClassVar[bool] = False
    has_models: ClassVar[bool] = True

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    # --- what each wire says for itself ---

    @abstractmethod
    def whole(self) -> Any:
        """The whole reply, a JSON value."""

    @abstractmethod
    def opening(self) -> Iterator[bytes]:
        """What a stream has before the text: its head, the reasoning."""

    @abstractmethod
    def piece(self, text: str) -> bytes:
        """A piece of the text."""

    @abstractmethod
    def closing(self) -> Iterator[bytes]:
        """What it has after the text: tool calls, the finish reason, token counts, the end mark."""

    @staticmethod
    @abstractmethod
    def error(status: int, message: str) -> Any:
        """The body of an error status, a JSON value."""

    @staticmethod
    def models(names: Iterable[str]) -> Any:
        """The list of models, a JSON value: that of chat completions, unless the wire has its own."""
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "mock"} for name in names]
        return {"object": "list", "data": entries}

    # --- what they share ---

    @property
    def finish_reason(self) -> str:
        """The answer's, in the wire's words."""
        return self.finish_reasons[self.answer.reason]

    def check(self, provider: str) -> None:
        """Raise ScriptError for an answer that the wire cannot carry."""
        answer = self.answer
        missing = [f"no finish reason {answer.reason!r}"] if answer.reason not in self.finish_reasons else []
        missing += ["no reasoning"] if answer.reasoning and not self.has_reasoning else []
        missing += ["no tool calls"] if answer.tool_calls and not self.has_tools else []
        missing += [f"no {name} in its usage" for name in sorted(answer.counts.keys() - self.counts - {"total_tokens"})]
        missing += ["no second answer"] if answer.other_texts and not self.has_choices else []
        missing += ["no answer without text"] if not self.has_tools and not answer.text and not answer.fault else []
        if missing:
            raise ScriptError(f"{provider} cannot say what the script says: its wire has {' and '.join(missing)}")


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(payload: Any, event_type: str = "") -> bytes:
    """One event of an event stream."""
    head = f"event: {event_type}\n".encode() if event_type else b""
    return head + b"data: " + encode_json(payload) + b"\n\n"
