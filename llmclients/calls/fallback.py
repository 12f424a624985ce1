"""`FallbackCall`: the same chat call to one provider after another, until one answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.call import Call
from llmclients.calls.flow import CallState, Flow, UseConnections
from llmclients.errors import APIError, APITimeoutError, StructuredOutputError
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat

__all__ = ["FallbackCall"]


class _Call(Call, Protocol):
    """What a fallback asks of the call to each provider: a `ChatCall`."""

    state: CallState

    def is_final(self) -> bool: ...


class FallbackCall:
    """A call to the first of several providers that answers. All of it is within one deadline.

    Args:
        calls: one to each provider, in turn; they share one `CallState`.
        transports: what carries each; a client that was given to fall back on has its own. None: the driver's, for all.
    """

    runs_tools = False

    def __init__(self, calls: Sequence[_Call], transports: Sequence[Any] | None = None) -> None:
        self._calls = calls
        self._transports = transports or [None] * len(calls)
        self._current = calls[0]

    def reply(self) -> Flow[ChatResponse]:
        """The flow of `chat`."""
        return self._first_answer(lambda call: call.reply())

    def stream(self) -> Flow[ChatResponse]:
        """The flow of `stream`. Once a chunk is out, another provider goes on only with `restart`."""
        return self._first_answer(lambda call: call.stream())

    def response(self) -> ChatResponse:
        """What has come of the answer so far."""
        return self._current.response()

    def without_secrets(self, text: str) -> str:
        """The text with stars in place of what the call to the current provider has to keep secret."""
        return self._current.without_secrets(text)

    @property
    def state(self) -> CallState:
        """What the calls share."""
        return self._current.state

    @property
    def accumulator(self) -> Accumulator:
        """What gathers the answer, of the attempt that counts."""
        return self._current.state.accumulator

    @property
    def response_format(self) -> ResponseFormat | None:
        """What the answer was asked to be."""
        return self._current.response_format

    @property
    def restarts(self) -> bool:
        """Whether the answer may begin anew after a chunk of it was handed out."""
        return self._current.restarts

    def misfit(self, reason: str) -> StructuredOutputError:
        """The error of an answer of which can be told, before its end, that it is not what was asked for."""
        return self._current.misfit(reason)

    def _first_answer(self, flow: Callable[[_Call], Flow[ChatResponse]]) -> Flow[ChatResponse]:
        last = self._calls[-1]
        carrier = self._transports[0]
        for call, transport in zip(self._calls, self._transports, strict=True):
            if transport is not carrier:
                self._move_deadline(carrier, transport)
                carrier = transport
                yield UseConnections(transport)
            self._current = call
            if call is last:
                break
            try:
                return (yield from self._answer(flow(call), carrier))
            except APIError as error:
                if call.is_final() or (isinstance(error, APITimeoutError) and error.phase == "total"):
                    raise
                call.state.errors.append(error.with_traceback(None))
        return (yield from self._answer(flow(last), carrier))

    def _answer(self, flow: Flow[ChatResponse], carrier: Any) -> Flow[ChatResponse]:
        """The flow's answer. What follows it, such as the next turn of a tool loop, begins with the first again."""
        response = yield from flow
        if carrier is not self._transports[0]:
            self._move_deadline(carrier, self._transports[0])
            yield UseConnections(self._transports[0])
        return response

    def _move_deadline(self, before: Any, after: Any) -> None:
        """The deadline on the other transport's clock: a test's transport may have one that nobody else goes by."""
        state = self._current.state
        if state.deadline is not None and before.clock is not after.clock:
            state.deadline += after.clock.monotonic() - before.clock.monotonic()
