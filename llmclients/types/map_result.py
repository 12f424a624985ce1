"""`MapResult`: what became of one prompt of many."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmclients.errors import LLMClientError
from llmclients.types.messages import Messages
from llmclients.types.printing import short_repr
from llmclients.types.response import ChatResponse

__all__ = ["AsyncPrompts", "MapResult", "Prompts"]

Prompts: TypeAlias = Iterable[Messages]
"""What `Client.map` takes."""
AsyncPrompts: TypeAlias = Iterable[Messages] | AsyncIterable[Messages]
"""What `AsyncClient.map` takes."""


@dataclass(frozen=True, slots=True)
class MapResult:
    """What became of one prompt of `map`: its answer, or its error.

    Attributes:
        index: which prompt it was, from 0.
        prompt: the prompt itself, as it was given.
        response: the answer; None if there is none.
        error: why there is none, after all attempts; None if there is one.
    """

    index: int
    prompt: Any
    response: ChatResponse | None = None
    error: LLMClientError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.error is None

    @property
    def text(self) -> str:
        """The answer's text.

        Raises:
            LLMClientError: there is none; this is `error`.
        """
        return self._answer.text

    @property
    def parsed(self) -> Any:
        """The answer as the `response_format` asked for, or None.

        Raises:
            LLMClientError: there is none; this is `error`.
        """
        return self._answer.parsed

    @property
    def _answer(self) -> ChatResponse:
        if self.response is None:
            assert self.error is not None
            raise self.error
        return self.response

    def __repr__(self) -> str:
        if self.error is None:
            return short_repr("MapResult", [(None, self.index), ("response", self.response)])
        return short_repr("MapResult", [(None, self.index), ("error", self.error)])
