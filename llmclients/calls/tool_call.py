"""`ToolLoopCall`: the flow of a chat, whole or streamed, over all turns of its tool loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import ChatCall
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import Flow, NextResult, StartTools
from llmclients.calls.tool_loop import ToolLoop
from llmclients.calls.tool_runner import CallBatch, result_message
from llmclients.errors import StreamInterruptedError, StructuredOutputError, ToolLoopError
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse, make_result_chunk

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat

__all__ = ["ToolLoopCall"]

# Theory of operation
# -------------------
# Each turn is a call of its own, a `ChatCall` or `FallbackCall`: with its retries and its accumulator. The deadline of
# the first is that of all: no turn begins after it, but a tool that runs is not ended by it. This one joins their flows
# into one, with the steps `StartTools` and `NextResult` between them, so that a driver, and what looks at a stream
# (`response`, `partial`, `objects()`), need not know how many turns there are. What is asked about the answer is asked
# of the turn under way.
#
#     state            `response()` is                          `intermediate_messages` are those of
#     in a turn        what has come of it                      the turns before
#     tools run        the whole turn, which has the calls      the turns before
#     results are in   empty                                    all turns so far
#     ended            the answer                               all turns but the last
#
# Results are handed out as they come; the messages that tell the model are in the order of the calls.
#
# An error of a turn gets what came before it (`ToolLoop.turn`). One of a tool's or of a hook's is the caller's own: it
# is raised as it is, here in the flow, where it passes the driver by. Only what would end a `for` in silence
# (`StopIteration`, `StopAsyncIteration`) is wrapped.

_OneTurn: TypeAlias = ChatCall | FallbackCall


class ToolLoopCall:
    """One call of several turns. The first is prepared when it is made, so that what cannot be sent is told then.

    Args:
        prepare: makes the call of one turn.

    Raises:
        ConfigurationError: the first turn cannot be sent.
    """

    runs_tools = True

    def __init__(self, loop: ToolLoop, prepare: Callable[[ChatArguments], _OneTurn]) -> None:
        self._loop = loop
        self._prepare = prepare
        self._turn = prepare(loop.arguments())
        self._is_answered = False  # whether the turn has ended; its calls may be under way
        self._is_added = False  # whether it is one of the turns before
        self._final: ChatResponse | None = None

    def reply(self) -> Flow[ChatResponse]:
        """The flow of `chat`."""
        return self._flow(lambda turn: turn.reply(), deliver=False)

    def stream(self) -> Flow[ChatResponse]:
        """The flow of `stream`: the chunks of all turns, and one for each result."""
        return self._flow(lambda turn: turn.stream(), deliver=True)

    def _flow(self, ask: Callable[[_OneTurn], Flow[ChatResponse]], *, deliver: bool) -> Flow[ChatResponse]:
        loop = self._loop
        while True:
            with loop.turn():
                if self._is_added:
                    deadline = self._turn.state.deadline
                    self._turn = self._prepare(loop.arguments())
                    self._turn.state.deadline = deadline
                    self._is_answered = self._is_added = False
                response = yield from ask(self._turn)
            self._is_answered = True
            calls = loop.calls(response)
            if calls is None:
                self._final = loop.finished(response)
                return self._final
            results = (yield from self._results(calls, deliver=deliver)) if calls else []
            loop.add(response, results)
            self._is_added = True

    def _results(self, calls: list[ToolCall], *, deliver: bool) -> Flow[list[Message]]:
        """What came of the calls, as messages in the order of the calls."""
        yield StartTools(CallBatch(self._loop, calls, self._turn.without_secrets))
        messages: dict[int, Message] = {}
        while len(messages) < len(calls):
            try:
                outcome = yield NextResult()
            except StreamInterruptedError as error:  # the stream was closed by its own user
                closed = error.copy_with(partial=self.response())
            else:
                if isinstance(outcome, Exception):
                    raise _raisable(outcome, self.response())
                index, result = outcome
                messages[index] = result_message(calls[index], result)
                if deliver:
                    yield make_result_chunk(result)
                continue
            raise closed
        return [messages[index] for index in range(len(calls))]

    def response(self) -> ChatResponse:
        """What has come of the answer so far, and of the turns before it."""
        if self._final is not None:
            return self._final
        response = self._turn.response()
        if self._is_added:
            response = ChatResponse(provider=response.provider, model=response.model)
        return self._loop.so_far(response, is_counted=self._is_answered)

    @property
    def accumulator(self) -> Accumulator:
        """What gathers the answer of the turn under way."""
        return self._turn.accumulator

    @property
    def response_format(self) -> ResponseFormat | None:
        """What the answer was asked to be."""
        return self._turn.response_format

    @property
    def restarts(self) -> bool:
        """Whether a turn may begin anew after a chunk of it was handed out."""
        return self._turn.restarts

    def misfit(self, reason: str) -> StructuredOutputError:
        """The error of an answer of which can be told, before its end, that it is not what was asked for."""
        error = self._turn.misfit(reason)
        return error.copy_with(partial=self.response())

    def without_secrets(self, text: str) -> str:
        """The text with stars in place of what the turn under way has to keep secret."""
        return self._turn.without_secrets(text)


def _raisable(error: Exception, response: ChatResponse) -> Exception:
    """The error itself, or one in its place that ends no `for` in silence."""
    if not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    wrapped = ToolLoopError(f"a function of the caller's has raised {type(error).__name__}", response=response)
    wrapped.__cause__ = error
    return wrapped
