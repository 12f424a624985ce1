"""`ThreadedCalls`: makes the calls of a turn for `Client`; the theory is in `tool_runner`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from llmclients.calls.flow import closed_early
from llmclients.calls.tool_runner import CallBatch, to_await
from llmclients.transports.waiting import short_waits
from llmclients.types.messages import ToolCall, ToolResult
from llmclients.types.tools import ToolDenied

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_THREADS", "ThreadedCalls"]

MAX_THREADS = 8
"""How many calls of one turn `Client` makes at the same time."""

T = TypeVar("T")


class ThreadedCalls:
    """The calls of one turn: one in the thread that asks for its result, several in threads of their own."""

    def __init__(self, batch: CallBatch) -> None:
        self._batch = batch
        self._is_begun = self._is_cancelled = False
        self._todo: deque[tuple[int, ToolCall]] = deque()
        self._denied: deque[tuple[int, ToolResult]] = deque()
        self._ended: SimpleQueue[tuple[int, ToolResult | BaseException] | None] | None = None
        self._waiting = _Waiting()

    def next(self) -> tuple[int, ToolResult] | Exception:
        """Wait for the next result: the call's index and its result, or an exception to raise.

        Raises:
            StreamInterruptedError: `cancel` came from another thread.
        """
        batch = self._batch
        hook = batch.loop.options.on_tool_result
        try:
            if not self._is_begun:
                self._begin()
        except Exception as error:  # noqa: BLE001 - the hook's
            return error
        if self._is_cancelled:  # maybe by the hook, or while it was asked
            self._todo.clear()
            raise closed_early()
        index, result = self._take()
        try:
            if hook is not None:
                result = batch.changed(result, hook(result))
            failure = batch.to_raise(result)
        except Exception as error:  # noqa: BLE001 - the hook's
            failure = error
        if failure is not None:
            self.cancel()
            return failure
        return index, result

    def _begin(self) -> None:
        """Ask about each call, and start those to be made."""
        batch, hook = self._batch, self._batch.loop.options.on_tool_call
        decided: list[ToolCall | ToolResult] = []
        for call in batch.calls:
            seen = call.model_copy() if hook is not None else call
            try:
                decision = hook(seen) if hook is not None else None
            except ToolDenied as denied:
                decision = denied
            decided.append(batch.decided(seen, decision))
        self._is_begun = True
        for index, one in enumerate(decided):
            if isinstance(one, ToolCall):
                self._todo.append((index, one))
            else:
                self._denied.append((index, one))
        if batch.is_parallel and len(self._todo) > 1 and not self._is_cancelled:
            self._ended = SimpleQueue()
            for _ in range(min(len(self._todo), MAX_THREADS)):
                threading.Thread(target=copy_context().run, args=(self._work,), name="tool", daemon=True).start()

    def _take(self) -> tuple[int, ToolResult]:
        if self._denied:
            return self._denied.popleft()
        if self._ended is None:
            try:
                index, call = self._todo.popleft()
            except IndexError:  # another thread has cancelled them
                raise closed_early() from None
            return index, self._made(call)
        ended = _next(self._ended)
        if ended is None:
            raise closed_early()
        index, result = ended
        if isinstance(result, BaseException):
            raise result
        return index, result

    def _work(self) -> None:
        """A thread's whole life."""
        assert self._ended is not None
        while True:
            try:
                index, call = self._todo.popleft()
            except IndexError:
                return
            try:
                result: ToolResult | BaseException = copy_context().run(self._made, call)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                result = error
            self._ended.put((index, result))

    def _made(self, call: ToolCall) -> ToolResult:
        """Make a call, and wait for it.

        Raises:
            StreamInterruptedError: it was cancelled.
        """
        batch = self._batch
        try:
            value = batch.loop.make(call)
            if (awaited := to_await(value)) is not None:
                value = self._waiting.result(awaited)
            return batch.result(call, value)
        except Exception as error:  # noqa: BLE001 - a tool may fail in any way, and the model is to know
            return batch.failure(call, error)
        except BaseException:
            if self._is_cancelled:
                raise closed_early() from None
            raise

    def cancel(self) -> None:
        """Make no more calls, cancel async functions, and wake who waits. From any thread; idempotent."""
        self._is_cancelled = True
        self._todo.clear()
        self._waiting.cancel()
        if self._ended is not None:
            self._ended.put(None)


class _Waiting:
    """Waits for awaitables, each in an event loop of its own; any thread may cancel them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
        self._is_cancelled = False

    def result(self, awaitable: Awaitable[T]) -> T:
        """The awaitable's result, in this thread, or beside it where that runs an event loop already."""
        import asyncio

        async def main() -> T:
            task = asyncio.current_task()
            assert task is not None
            with self._lock:
                self._tasks[task] = asyncio.get_running_loop()
                if self._is_cancelled:
                    task.cancel()
            try:
                return await awaitable
            finally:
                with self._lock:
                    del self._tasks[task]

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(main())
        return _in_thread(lambda: asyncio.run(main()))

    def cancel(self) -> None:
        """Cancel those that wait, and those that are to come."""
        with self._lock:
            self._is_cancelled = True
            for task, loop in self._tasks.items():
                with suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(task.cancel)


def _next(queue: SimpleQueue[T]) -> T:
    """What comes next."""
    for seconds in short_waits():
        with suppress(Empty):
            return queue.get(timeout=seconds)
    raise AssertionError("it waits for ever")


def _in_thread(run: Callable[[], T]) -> T:
    """What `run` returns or raises, in a thread of its own that a program's end does not wait for."""
    ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            ended.put((run(), None))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            ended.put((None, error))

    threading.Thread(target=copy_context().run, args=(work,), name="tool", daemon=True).start()
    value, error = _next(ended)
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # of a run that has not failed
