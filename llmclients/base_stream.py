"""`BaseStream`: what the two clients' streams have in common. Nothing here waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from llmclients.calls.arguments import OnComplete
from llmclients.calls.call import Call
from llmclients.calls.flow import Run
from llmclients.calls.tracebacks import without_our_frames
from llmclients.errors import InvalidRequestError
from llmclients.types.printing import Verbatim, short_repr
from llmclients.types.response import ChatResponse, ParsedT, PartialToolCall

if TYPE_CHECKING:
    from llmclients.calls.partial import PartialAnswer

__all__ = ["BaseStream", "text_of_restarts"]


class BaseStream(Generic[ParsedT]):
    """What `Stream` and `AsyncStream` have in common: the call, and how far its flow has come."""

    def __init__(self, call: Call, on_complete: OnComplete | None = None) -> None:
        self._call = call
        self._run = Run(call.stream())
        self._on_complete = on_complete
        self._partial_answer: PartialAnswer | None = None

    @property
    def partial(self) -> Any:
        """What the answer that `response_format` asks for is so far, as plain JSON values; None before anything.

        A list or dict is the same object each time and grows with the stream: look at it, and copy it (`deepcopy`) to
        keep how it was. A text is there as far as it has come, a key once it has a value. Nothing is validated before
        the end, where `response.parsed` is. An answer that turns out to be no JSON leaves it as it was.

        Raises:
            InvalidRequestError: the stream was not asked for with `response_format`.
        """
        try:
            return (self._partial_answer or self._partial()).value()
        except InvalidRequestError as error:
            raise without_our_frames(error)  # noqa: B904 - it is the same error

    @property
    def partial_tool_calls(self) -> list[PartialToolCall]:
        """The tool calls so far, with their arguments as far as they have come: as `partial` is of the answer."""
        return self._partial().tool_calls()

    @property
    def response(self) -> ChatResponse[ParsedT]:
        """The chunks so far as one response; complete once the stream has ended."""
        return self._call.response()

    def _partial(self) -> PartialAnswer:
        if self._partial_answer is None:
            from llmclients.calls.partial import PartialAnswer

            self._partial_answer = PartialAnswer(self._call)
        return self._partial_answer

    def __repr__(self) -> str:
        response = self.response
        begun = response.text or response.reasoning or response.tool_calls
        state = "open" if begun or self._run.begun else "nothing yet"
        if self._run.ended or self._run.closed:
            state = "complete" if self._run.ended else "closed"
        shown = (pair for pair in response._shown() if pair[1] != "")
        text = short_repr(type(self).__name__, [(None, Verbatim(state)), *shown])
        return self._call.without_secrets(text)  # a server may repeat the key, and tools show a traceback's locals

    def _tell_completion(self) -> None:
        """Tell the whole answer to who waits for it, once."""
        on_complete, self._on_complete = self._on_complete, None
        if on_complete is not None:
            on_complete(self._run.result)


def text_of_restarts() -> InvalidRequestError:
    """The error of a `text_stream` whose answer may begin anew."""
    return InvalidRequestError(
        "text_stream cannot take back what it gave, as an answer that begins anew would want: ask without "
        "restart, or read the chunks",
        argument="restart",
    )
