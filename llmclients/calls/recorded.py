"""`RecordedCall`: a chat call whose end, good or bad, is reported to who keeps a record."""

# It wraps the flow of the whole call, below both clients and both ways of asking: retries and fallbacks are inside, so
# what is reported is how all of it ended. An answer that nobody reads to its end, because its stream was left or its
# task was cancelled, has no end of its own: Python closes the flow when it is dropped, in whatever thread drops it, and
# perhaps in the midst of anything. Then the report says that it may not be acted upon at once.

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from llmclients.calls.chat import ChatCall
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import Flow
from llmclients.errors import APIError
from llmclients.types.response import ChatResponse

__all__ = ["CallReport", "RecordedCall"]


class CallReport(NamedTuple):
    """How a call ended.

    Attributes:
        started: when it began, in seconds since 1970.
        ended: when it ended.
        response: the answer; of a call that failed, what had come of it.
        error: why it failed, if it did.
        previous_errors: why the attempts before the last one failed.
        is_left: whether it was left before its end.
    """

    started: float
    ended: float
    response: ChatResponse | None
    error: APIError | None
    previous_errors: Sequence[APIError]
    is_left: bool


OnEnd: TypeAlias = Callable[[CallReport], None]


class RecordedCall(FallbackCall):
    """The same call, which reports its end once."""

    def __init__(self, call: ChatCall | FallbackCall, on_end: OnEnd) -> None:
        calls, transports = (call._calls, call._transports) if isinstance(call, FallbackCall) else ([call], None)
        super().__init__(calls, transports)
        self._on_end = on_end

    def reply(self) -> Flow[ChatResponse]:
        return self._reported(super().reply())

    def stream(self) -> Flow[ChatResponse]:
        return self._reported(super().stream())

    def _reported(self, flow: Flow[ChatResponse]) -> Flow[ChatResponse]:
        started = time.time()
        errors = self._calls[0].state.errors
        try:
            response = yield from flow
        except APIError as error:
            self._on_end(CallReport(started, time.time(), error.partial, error, error.previous_errors, False))
            raise
        except GeneratorExit:
            self._on_end(CallReport(started, time.time(), self.response(), None, tuple(errors), True))
            raise
        self._on_end(CallReport(started, time.time(), response, None, tuple(errors), False))
        return response
