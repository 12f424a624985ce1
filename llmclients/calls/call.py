"""`Call`: what streams, and what is read of them, ask of a chat call of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.flow import Flow
from llmclients.errors import StructuredOutputError
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat

__all__ = ["Call"]


class Call(Protocol):
    """A `ChatCall`, to one provider; a `FallbackCall`, to several; a `ToolLoopCall`, of several turns of either.

    Attributes:
        accumulator: what gathers the answer, of the attempt that counts, in the turn under way.
        response_format: what the answer was asked to be.
        restarts: whether the answer may begin anew after a chunk of it was handed out.
        runs_tools: whether it may have several turns.
    """

    @property
    def accumulator(self) -> Accumulator: ...
    @property
    def response_format(self) -> ResponseFormat | None: ...
    @property
    def restarts(self) -> bool: ...
    @property
    def runs_tools(self) -> bool: ...

    def reply(self) -> Flow[ChatResponse]:
        """The flow of `chat`."""

    def stream(self) -> Flow[ChatResponse]:
        """The flow of `stream`, with the chunks among its steps."""

    def response(self) -> ChatResponse:
        """What has come of the answer so far."""

    def misfit(self, reason: str) -> StructuredOutputError:
        """The error of an answer of which can be told, before its end, that it is not what was asked for."""

    def without_secrets(self, text: str) -> str:
        """The text with stars in place of what the call has to keep secret."""
