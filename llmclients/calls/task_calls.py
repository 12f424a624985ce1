"""`TaskCalls`: makes the calls of a turn for `AsyncClient`; the theory is in `tool_runner`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llmclients.calls.flow import closed_early
from llmclients.calls.tool_runner import CallBatch, to_await
from llmclients.types.messages import ToolCall, ToolResult
from llmclients.types.tools import ToolDenied, ToolFailure

__all__ = ["TaskCalls"]


class TaskCalls:
    """The calls of one turn, each a task."""

    def __init__(self, batch: CallBatch) -> None:
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._is_begun = self._is_cancelled = False
        self._todo: deque[tuple[int, ToolCall]] = deque()
        self._ready: deque[tuple[int, ToolResult]] = deque()
        self._tasks: dict[asyncio.Task[ToolResult], tuple[int, ToolCall]] = {}

    async def next(self) -> tuple[int, ToolResult] | Exception:
        """Wait for the next result: the call's index and its result, or an exception to raise.

        Raises:
            StreamInterruptedError: another task has closed the stream.
        """
        batch = self._batch
        hook = batch.loop.options.on_tool_result
        try:
            if not self._is_begun:
                await self._begin()
        except Exception as error:  # noqa: BLE001 - the hook's
            return error
        if self._is_cancelled:  # maybe by the hook, or while it was asked
            self._todo.clear()
            raise closed_early()
        index, result = await self._take()
        try:
            if hook is not None:
                result = batch.changed(result, await _settled(hook(result)))
            failure = batch.to_raise(result)
        except Exception as error:  # noqa: BLE001 - the hook's
            failure = error
        if failure is not None:
            await self.close()
            return failure
        return index, result

    async def _begin(self) -> None:
        """Ask about each call, and start those to be made."""
        batch, hook = self._batch, self._batch.loop.options.on_tool_call
        decided: list[ToolCall | ToolResult] = []
        for call in batch.calls:
            seen = call.model_copy() if hook is not None else call
            try:
                decision = await _settled(hook(seen)) if hook is not None else None
            except ToolDenied as denied:
                decision = denied
            decided.append(batch.decided(seen, decision))
        self._is_begun = True
        for index, one in enumerate(decided):
            if isinstance(one, ToolCall):
                self._todo.append((index, one))
            else:
                self._ready.append((index, one))
        while batch.is_parallel and self._todo and not self._is_cancelled:
            self._start()

    def _start(self) -> None:
        index, call = self._todo.popleft()
        self._tasks[asyncio.ensure_future(self._made(call))] = (index, call)

    async def _take(self) -> tuple[int, ToolResult]:
        if self._ready:
            return self._ready.popleft()
        if not self._tasks:
            self._start()
        try:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self.close()
            raise
        if self._is_cancelled:
            raise closed_early()
        for task in sorted(done, key=lambda task: self._tasks[task][0]):
            index, call = self._tasks.pop(task)
            if task.cancelled():  # by something within the tool
                result = self._batch.failure(call, ToolFailure("the call was cancelled"))
            else:
                result = task.result()
            self._ready.append((index, result))
        return self._ready.popleft()

    async def _made(self, call: ToolCall) -> ToolResult:
        """Make a call, and wait for it; a function that is not async runs in a thread, and does not hold up others."""
        batch = self._batch
        try:
            if batch.loop.is_async(call):
                value = batch.loop.make(call)
            else:
                value, failure = await asyncio.to_thread(_caught, batch.loop.make, call)
                if failure is not None:
                    return batch.failure(call, failure)
            return batch.result(call, await _settled(value))
        except Exception as error:  # noqa: BLE001 - a tool may fail in any way, and the model is to know
            return batch.failure(call, error)

    def cancel(self) -> None:
        """Make no more calls, and cancel those under way, without waiting for their end. Idempotent."""
        self._is_cancelled = True
        self._todo.clear()
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # a stream that is dropped outside its loop
            is_here = False
        for task in self._tasks:
            if is_here:
                task.cancel()
            else:
                with suppress(RuntimeError):  # the loop has been closed
                    self._loop.call_soon_threadsafe(task.cancel)

    async def close(self) -> None:
        """`cancel`, and wait until the tasks have ended; not for the one that asks, a tool that closes its stream."""
        self.cancel()
        others = [task for task in self._tasks if task is not asyncio.current_task() and not task.done()]
        if others:
            await asyncio.wait(others)


async def _settled(value: Any) -> Any:
    """The value, or what it gives when it is awaited."""
    awaited = to_await(value)
    return value if awaited is None else await awaited


def _caught(make: Callable[[ToolCall], Any], call: ToolCall) -> tuple[Any, Exception | None]:
    """What the call gives, or why not: asyncio waits for ever for a thread that ends with a StopIteration."""
    try:
        return make(call), None
    except Exception as error:  # noqa: BLE001
        return None, error
