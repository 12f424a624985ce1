"""`AsyncDriver`: performs a call's steps over a transport that is awaited."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

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
from llmclients.transports import AsyncResponse, AsyncTransport, BufferedAsyncResponse, client_closed
from llmclients.transports.base import running_loop
from llmclients.types.response import Chunk

if TYPE_CHECKING:
    from llmclients.calls.task_calls import TaskCalls

__all__ = ["AsyncDriver"]

# The driver. An `AsyncDriver` performs the steps of one flow, in the task that asks for its chunks or its result; the
# theory of flows and drivers is in `calls/flow.py`. It owns the response that is open. Any error ends it: a task that
# is cancelled, and a stream that is dropped, cannot await, so `abort` frees the connection at once. The flow's end and
# `close` may await, to put the connection back. `close` may come from another task while a read waits: the transport
# then fails the read, and `Run.closed` makes the outcome of a read that had just returned count for nothing. A wait
# for an answer's begin, or between attempts, is ended by a cancellation of the task that waits, which is taken back
# where it arrives, as `asyncio.timeout` does. Python 3.10 cannot tell it from anybody else's, so there it is a task of
# its own that waits.

T = TypeVar("T")
T2 = TypeVar("T2")


class AsyncDriver(Generic[T]):
    """Performs the steps of a flow over a transport."""

    def __init__(self, run: Run[T], transport: AsyncTransport) -> None:
        self._run = run
        self._transport = self._first_transport = transport  # the one in use may be another client's, to fall back on
        self._waiting: asyncio.Task[Any] | None = None  # the one that waits for an answer's begin, or between attempts
        self._response: AsyncResponse | None = None
        self._tools: TaskCalls | None = None
        self.buffer: BufferedAsyncResponse | None = None  # the same, where it can be read without awaiting

    async def result(self) -> T:
        """What a flow without chunks ends with."""
        await self.next_chunk(self._run.next_step())
        return self._run.result

    async def next_chunk(self, step: Step | Chunk | None) -> Chunk | None:
        """Perform this step, and those after it, to the next chunk; None at the flow's end."""
        run = self._run
        try:
            while step is not None:
                if type(step) is Chunk:
                    return step
                try:
                    run.resume = refuse_reader
                    run.outcome = await self._outcome(step)
                except APIError as error:
                    run.error = error
                finally:
                    run.resume = run.send
                step = run.next_step()
        except BaseException as error:
            self.abort()
            step = None  # it has the request
            clear_locals(error)
            raise
        await self.close()
        return None

    async def open(self) -> None:
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
                    run.outcome = await self._outcome(step)
                except APIError as error:
                    run.error = error
                finally:
                    run.resume = run.send
                step = run.next_step()
            run.check_open()  # `close` may have come while the request was on its way
        except BaseException as error:
            self.abort()
            step = None  # it has the request
            clear_locals(error)
            raise
        run.hold(step)

    async def _outcome(self, step: Step | Chunk) -> Any:
        if isinstance(step, Read):
            if self._response is None:
                raise closed_early()
            data = await self._response.read()
            self._run.check_open()
            return data
        if isinstance(step, Drain):
            if self._response is not None:
                await self._response.drain()
            return None
        await self._release()
        self._run.check_open()
        self._run.begun = True
        if isinstance(step, Open | Sleep):
            self._waiting = task = _current_task()
            try:
                if isinstance(step, Sleep):
                    return await self._unless_closed(self._transport.clock.asleep(step.seconds))
                opening = self._transport.open(step.request, step.timeout, step.deadline)
                self._response = opened = await self._unless_closed(opening)
            except asyncio.CancelledError:
                if self._waiting is None and _take_back_cancellation(task):  # it was `close` alone
                    raise closed_early() from None
                raise
            finally:
                self._waiting = None
            if hasattr(opened, "read_nowait"):
                self.buffer = cast(BufferedAsyncResponse, opened)
            return opened
        if isinstance(step, UseConnections):
            if step.transport is not self._first_transport and getattr(self._first_transport, "closed", False):
                raise client_closed()
            self._transport = step.transport
            return None
        if isinstance(step, StartTools | NextResult):
            return await self._tool_outcome(step)
        assert isinstance(step, StartServer)
        mocked = getattr(self._transport, "endpoint", None)  # in tests, no server is started
        if mocked is not None:
            return mocked
        running_loop()
        return await _in_thread(step.run)

    async def _tool_outcome(self, step: StartTools | NextResult) -> Any:
        if isinstance(step, StartTools):
            from llmclients.calls.task_calls import TaskCalls

            running_loop()  # tools run in its tasks and threads, whatever the transport
            self._tools = TaskCalls(step.batch)
            self._run.check_open()  # from here on, `close` cancels them
            return None
        tools = self._tools
        if tools is None:
            raise closed_early()
        outcome = await tools.next()
        self._run.check_open()
        return outcome

    async def _release(self) -> None:
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            await response.close()

    if sys.version_info >= (3, 11):

        @staticmethod
        def _unless_closed(work: Awaitable[T2]) -> Awaitable[T2]:
            """The same: `close` cancels the task that waits for it."""
            return work
    else:

        async def _unless_closed(self, work: Awaitable[T2]) -> T2:
            """What it returns, in a task of its own, which `close` cancels: nobody counts a task's cancellations.

            Raises:
                StreamInterruptedError: `close` has come.
            """
            if self._waiting is None:  # no loop of asyncio runs
                return await work
            self._waiting = task = asyncio.ensure_future(work)
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled() and task.exception() is None:
                    self._response = cast(Any, task.result())  # to be released
                raise
            if task.cancelled():
                raise closed_early()
            return task.result()

    async def close(self) -> None:
        """End the flow, wherever it is, close the response, and cancel the tools that run. Idempotent."""
        self._run.close()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        tools, self._tools = self._tools, None
        if tools is not None:
            tools.cancel()
        await self._release()
        if tools is not None:
            await tools.close()

    def abort(self) -> None:
        """`close` without awaiting: for a task that is cancelled, a stream that is dropped."""
        self._run.close()
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            response.abort()
        tools, self._tools = self._tools, None
        if tools is not None:
            tools.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop of asyncio runs: the transport says so, or is the caller's own
        return None


if sys.version_info >= (3, 11):

    def _take_back_cancellation(task: asyncio.Task[Any] | None) -> bool:
        """Whether nobody else has cancelled the task."""
        return task is None or task.uncancel() == 0
else:

    def _take_back_cancellation(task: asyncio.Task[Any] | None) -> bool:
        """No: here `close` has not cancelled it."""
        return False


async def _in_thread(run: Callable[[], T]) -> T:
    """What `run` returns or raises, in a thread that a cancelled task, and a program's end, do not wait for."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if outcome.done():  # cancelled
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(cast(T, result))

    def work() -> None:
        result, failure = None, None
        try:
            result = run()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name="start server", daemon=True).start()
    return await outcome
