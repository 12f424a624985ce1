"""Writes raw text (docs/protocols/raw-text.md, "Raw text"): the answer's text, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from llmclients.testing.wires.base import ReplyWriter
from llmclients.types.response import FinishReason

__all__ = ["RawTextWriter"]


class RawTextWriter(ReplyWriter):
    """The body is the text, also of what is no stream."""

    stream_type: ClassVar[str] = "text/plain; charset=utf-8"
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {"stop": ""}
    counts: ClassVar[frozenset[str]] = frozenset()
    has_reasoning: ClassVar[bool] = False
    has_tools: ClassVar[bool] = False
    has_models: ClassVar[bool] = False

    def whole(self) -> Any:
        return self.answer.text

    def opening(self) -> Iterator[bytes]:
        return iter(())

    def piece(self, text: str) -> bytes:
        return text.encode()

    def closing(self) -> Iterator[bytes]:
        return iter(())

    @staticmethod
    def error(status: int, message: str) -> Any:
        return {"message": message}
