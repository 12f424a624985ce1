"""`Turns`: the turns of one answer as they come. Each is in the history before it is shown as whole."""

# Theory of operation
# -------------------
# An answer is one turn of the model, or several: turns that ask for calls, what came of each call, and the turn that
# answers. The client runs the loop (`run_tools`); here its stream of chunks becomes turns of the history again.
#
#     state               `_writer`   `_calls`                 until
#     the model's turn    open        none                     the client asks whether a call may be made; or a chunk of
#                                                              another turn comes, as behind a pause; or all has come
#     tools run           None        those without a result   the last one's result has come
#
# Results come in the order in which the calls end. They are stored, and then shown, in the order of the calls, as some
# wires know a result by its place alone: one that comes early waits. If the loop is left meanwhile, those that wait are
# stored without being shown.
#
# The client adds up the token counts of all turns. A turn's own are those of its last chunk that has some.
#
# Without streaming the client hands out all turns at its end, and they are stored and shown then.

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmclients.cli.tty import interruptible
from llmclients.errors import APIError, ToolLoopError
from llmclients.types.messages import Message, ToolCall, ToolResult
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.client import Client
    from llmclients.history import AnswerWriter, History, StoredConversation
    from llmclients.stream import Stream
    from llmclients.types.usage import Usage

__all__ = ["Answer", "Turns", "View"]


class Answer(NamedTuple):
    """An answer that is whole.

    Attributes:
        response: the answer; its usage is that of all turns.
        first: seconds until the first text of its last turn; None without any.
        seconds: for which the model was waited for, in all turns together.
        cost: in US dollars, of all turns together, where the provider says so.
    """

    response: ChatResponse
    first: float | None
    seconds: float
    cost: float | None


class View(Protocol):
    """Where an answer is shown."""

    def begin(self, writer: AnswerWriter) -> None:
        """A turn of the model begins. What it shows is to be stored by the writer first."""

    def chunk(self, chunk: Chunk) -> None:
        """A piece has come."""

    def end(self) -> None:
        """Nothing more of the turn comes."""

    def tool(self, call: ToolCall, result: Message) -> None:
        """A tool was called."""


class Turns:
    """The turns of an answer. In a `with`: an exception that leaves it is why the answer broke off.

    Args:
        question: the id of the turn that is answered.
        who: provider and model, for the history.
    """

    def __init__(
        self, history: History, conversation: StoredConversation, question: int, who: dict[str, Any], view: View
    ) -> None:
        self._history = history
        self._conversation = conversation
        self._leaf = question
        self._who = who
        self._view = view
        self._writer: AnswerWriter | None = None
        self._calls: list[ToolCall] = []
        self._early: list[ToolResult] = []
        self._usage: Usage | None = None
        self._paused_at: int | None = None
        self._began = 0.0
        self._first: float | None = None
        self._seconds = 0.0
        self._costs: list[float | None] = []

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for result in self._early:
            self._store(result)
        if self._writer is not None:
            try:
                self._view.end()
            finally:
                self._writer.broke("stopped" if exc_type is KeyboardInterrupt else self._error(exc_value))

    def read(self, client: Client, messages: list[Message], options: dict[str, Any]) -> Answer:
        """The answer, piece by piece.

        Raises:
            LLMClientError: it failed, or broke off.
        """
        stream: Stream[Any]

        def on_tool_call(call: ToolCall) -> None:
            if self._writer is not None:  # the first one of the turn
                self._asked(stream.response)

        if options.get("tools"):
            options = {**options, "run_tools": True, "on_tool_call": on_tool_call}
        with client.stream(messages, **options) as stream, interruptible(stream.close):
            for chunk in stream:
                if chunk.tool_result is not None:
                    self._result(chunk.tool_result)
                else:
                    self._take(chunk, stream)
            return self._finished(stream.response)

    def wait(self, client: Client, messages: list[Message], options: dict[str, Any]) -> Answer:
        """The answer, all at once.

        Raises:
            LLMClientError: it failed.
        """
        try:
            response = client.chat(messages, **options, run_tools=bool(options.get("tools")))
        except (APIError, ToolLoopError) as error:
            if (came := _came(error)) is not None:
                self._past(came.intermediate_messages)
                self._usage = came.usage
            raise
        self._past(response.intermediate_messages)
        usage, raw = response.usage, response.raw
        self._take(Chunk(text=response.text, reasoning=response.reasoning, usage=usage, raw=raw))
        return self._finished(response)

    # --- the model's turns --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._writer = self._history.answer(self._conversation, parent=self._leaf, **self._who)
        self._usage, self._paused_at, self._first = None, None, None
        self._began = time.monotonic()
        self._view.begin(self._writer)

    def _take(self, chunk: Chunk, stream: Stream[Any] | None = None) -> None:
        if self._paused_at is not None and stream is not None:
            before = stream.response.intermediate_messages
            if len(before) > self._paused_at:
                self._end(_as_response(before[-1]))
                self._begin()
        if self._first is None and chunk.text and stream is not None:
            self._first = time.monotonic() - self._began
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._view.chunk(chunk)
        if chunk.finish_reason == "pause" and stream is not None:
            self._paused_at = len(stream.response.intermediate_messages)

    def _asked(self, response: ChatResponse) -> None:
        """Calls are about to be made: the turn that asks for them is whole."""
        self._end(response)
        self._calls = [*response.tool_calls]

    def _end(self, response: ChatResponse) -> None:
        assert self._writer is not None
        self._view.end()
        self._seconds += time.monotonic() - self._began
        calls = [
            call if call.is_readable else call.model_copy(update={"arguments_text": "{}"})
            for call in response.tool_calls  # not every wire can carry what is no JSON; its result says what it was
        ]
        self._writer.complete(response.model_copy(update={"usage": self._usage, "tool_calls": calls}))
        self._leaf = self._writer.turn
        self._writer = None
        self._costs.append(self._history.turn(self._leaf).cost)

    def _finished(self, response: ChatResponse) -> Answer:
        self._end(response)
        is_known = None not in self._costs
        cost = sum(cost for cost in self._costs if cost is not None) if is_known else None
        return Answer(response, self._first, self._seconds, cost)

    def _error(self, error: BaseException | None) -> BaseException | str:
        """The error, with the token counts of this turn alone."""
        came = _came(error)
        if isinstance(error, ToolLoopError) and came is not None:
            return ToolLoopError(str(error), response=came.model_copy(update={"usage": self._usage}))
        if isinstance(error, APIError) and came is not None:
            return error.copy_with(partial=came.model_copy(update={"usage": self._usage}))
        return "left before its end" if error is None else error

    # --- what came of calls -------------------------------------------------------------------------------------------

    def _result(self, result: ToolResult) -> None:
        """Store it, and show it, once those of the calls before it have come."""
        self._early.append(result)
        while self._calls and (found := next((one for one in self._early if one.id == self._calls[0].id), None)):
            self._early.remove(found)
            call = self._calls.pop(0)
            self._view.tool(call, self._store(found))
        if not self._calls:
            self._begin()

    def _store(self, result: ToolResult) -> Message:
        message = Message("tool", result.content, name=result.name, tool_call_id=result.id, is_error=result.is_error)
        self._leaf = self._history.add(self._conversation, message, parent=self._leaf).id
        return message

    def _past(self, messages: Sequence[Message]) -> None:
        """Turns of which the client tells at its end."""
        for message in messages:
            if message.role == "assistant":
                self._view.chunk(Chunk(text=message.text, reasoning=message.reasoning))
                self._asked(_as_response(message))
                if not self._calls:
                    self._begin()
            else:
                id, name, is_error = message.tool_call_id or "", message.name or "", bool(message.is_error)
                self._result(ToolResult(id, name, message.content or "", is_error))


def _came(error: BaseException | None) -> ChatResponse | None:
    """What had come of an answer that failed."""
    if isinstance(error, ToolLoopError):
        return error.response
    return error.partial if isinstance(error, APIError) else None


def _as_response(message: Message) -> ChatResponse:
    """A turn of which only the message is known."""
    return ChatResponse(
        text=message.text,
        reasoning=message.reasoning,
        tool_calls=message.tool_calls or [],
        provider_data=message.provider_data,
    )
