"""`Driver`: performs a call's steps over a transport that waits."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmclients.calls.flow import (
    READ,
    Drain,
    NextResult,
    Open,
    Read,
    Run,
    Sleep,
    StartServer,
    StartTools,
    Step,
    UseConnections,
    closed_early,
    refuse_reader,
)
from llmclients.calls.tracebacks import clear_locals
from llmclients.errors import APIError
from llmclients.transports import HTTPRequest, Response, SystemClock, Transport, client_closed
from llmclients.types.response import Chunk

if TYPE_CHECKING:
    from queue import SimpleQueue

    from llmclients.calls.threaded_calls import ThreadedCalls

__all__ = ["Driver"]

# The driver. A `Driver` performs the steps of one flow, in the thread that asks for its chunks or its result; the
# theory of flows and drivers is in `calls/flow.py`. It owns the response that is open. Any error ends it, and closes
# that response; so do the flow's end, `close`, and dropping the stream. `close` may come from another thread while a
# read waits, a request for its answer, or a pause between attempts: the transport then fails the first two, the second
# if it can (`AbortableTransport`), and `Run.closed` makes the outcome of what had just returned count for nothing.
# Tools show the variables of the frames in a traceback, so a driver that fails leaves none that hold a secret: its own
# by hand, those below by `clear_locals`.

T = TypeVar("T")

_NEXT_ABORT = 0.001  # seconds


class Driver(Generic[T]):
    """Performs the steps of a flow over a transport."""

    def __init__(self, run: Run[T], transport: Transport) -> None:
        self._run = run
        self._transport = self._first_transport = transport  # the one in use may be another client's, to fall back on
        self._response: Response | None = None
        self._opening: tuple[HTTPRequest, int] | None = None  # the request that waits for its answer, and its thread
        self._sleeping: SimpleQueue[None] | None = None
        self._tools: ThreadedCalls | None = None

    def result(self) -> T:
        """What a flow without chunks ends with."""
        self.next_chunk(self._run.next_step())
        return self._run.result

    def next_chunk(self, step: Step | Chunk | None) -> Chunk | None:
        """Perform this step, and those after it, to the next chunk; None at the flow's end."""
        run = self._run
        try:
            while step is not None:
                if type(step) is Chunk:
                    return step
                try:
                    run.resume = refuse_reader
                    run.outcome = self._outcome(step)
                except APIError as error:
                    run.error = error
                finally:
                    run.resume = run.send
                step = run.next_step()
        except BaseException as error:
            self.close()
            step = None  # it has the request
            clear_locals(error)
            raise
        self.close()
        return None

    def open(self) -> None:
        """Perform the flow's steps up to the first read of a streamed answer: its status is good then.

        Does nothing when the flow has begun already, but for one that was closed before its end.
        """
        run = self._run
        if run.begun:
            if not run.ended:
                run.check_open()
            return
        try:
            step = run.next_step()
            while not (step is None or step is READ or type(step) is Chunk):
                try:
                    run.resume = refuse_reader
                    run.outcome = self._outcome(step)
                except APIError as error:
                    run.error = error
                finally:
                    run.resume = run.send
                step = run.next_step()
            run.check_open()  # `close` may have come while the request was on its way
        except BaseException as error:
            self.close()
            step = None  # it has the request
            clear_locals(error)
            raise
        run.hold(step)

    def _outcome(self, step: Step | Chunk) -> Any:
        if isinstance(step, Read):
            if self._response is None:
                raise closed_early()
            data = self._response.read()
            self._run.check_open()
            return data
        if isinstance(step, Drain):
            if self._response is not None:
                self._response.drain()
            return None
        self._release()
        self._run.check_open()
        self._run.begun = True
        if isinstance(step, Open):
            return self._opened(step)
        if isinstance(step, Sleep):
            return self._sleep(step.seconds)
        if isinstance(step, UseConnections):
            if step.transport is not self._first_transport and getattr(self._first_transport, "closed", False):
                raise client_closed()
            self._transport = step.transport
            return None
        if isinstance(step, StartTools | NextResult):
            return self._tool_outcome(step)
        assert isinstance(step, StartServer)
        mocked = getattr(self._transport, "endpoint", None)  # in tests, no server is started
        if mocked is not None:
            return mocked
        return step.run()

    def _opened(self, step: Open) -> Response:
        self._opening = (step.request, get_ident())
        try:
            self._response = self._transport.open(step.request, step.timeout, step.deadline)
        finally:
            self._opening = None
        self._run.check_open()  # else a `close` that came too late for the request would wait for the body
        return self._response

    def _sleep(self, seconds: float) -> None:
        clock = self._transport.clock
        if not isinstance(clock, SystemClock):  # a test's, or one that a `map` can stop
            clock.sleep(seconds)
            return
        from queue import Empty, SimpleQueue  # few calls pause

        from llmclients.transports.waiting import short_waits

        self._sleeping = woken = SimpleQueue[None]()  # which a signal's handler may write to in the same thread
        try:
            self._run.check_open()
            for wait in short_waits(seconds):
                with suppress(Empty):
                    woken.get(timeout=wait)
                    break
        finally:
            self._sleeping = None
        self._run.check_open()

    def _tool_outcome(self, step: StartTools | NextResult) -> Any:
        if isinstance(step, StartTools):
            from llmclients.calls.threaded_calls import ThreadedCalls

            self._tools = ThreadedCalls(step.batch)
            self._run.check_open()  # from here on, `close` cancels them
            return None
        tools = self._tools
        if tools is None:
            raise closed_early()
        outcome = tools.next()
        self._run.check_open()
        return outcome

    def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        """End the flow, wherever it is, close the response, and cancel the tools that run. Idempotent."""
        self._run.close()
        if (opening := self._opening) is not None:
            self._abort_opening(opening)
        if (sleeping := self._sleeping) is not None:
            sleeping.put(None)
        self._release()
        tools, self._tools = self._tools, None
        if tools is not None:
            tools.cancel()

    def _abort_opening(self, opening: tuple[HTTPRequest, int]) -> None:
        request, thread = opening
        abort = getattr(self._transport, "abort", None)
        # Again, if the transport does not know of the request yet; but not in its own thread, in a signal's handler.
        while abort is not None and self._opening is opening and not abort(request) and thread != get_ident():
            time.sleep(_NEXT_ABORT)
