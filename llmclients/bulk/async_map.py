"""`AsyncMapResults`: many prompts answered by tasks, handed out lazily."""

# Tasks. A worker takes a prompt, answers it, puts the result, and takes the next one, until there is none, or no room;
# then it ends, and the reader, who makes room by taking results, starts others. Prompts that have to be awaited are
# taken by one more task, `_pump`, and wait in `_waiting`. `AsyncWork` is what the tasks know; not the `AsyncMapResults`
# of the reader, so that a reader who drops that cancels them. All of it is in one loop's thread.

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.bulk.rows import Rows
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.misuse import misused
from llmclients.transports.base import AsyncClientTransport, client_closed, running_loop
from llmclients.types.map_result import MapResult
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncMapResults", "AsyncWork"]


class AsyncWork:
    """What the reader and the workers share."""

    def __init__(
        self,
        prompts: Iterator[Any] | AsyncIterator[Any],
        rows: Rows,
        ask: Callable[[Any], Awaitable[ChatResponse]],
        concurrency: int,
        connections: AsyncClientTransport | None = None,
    ) -> None:
        self._prompts = prompts
        self._is_awaited = not isinstance(prompts, Iterator)
        self.rows = rows
        self._ask = ask
        self._connections = connections
        self._concurrency = concurrency
        self._waiting: deque[tuple[int, Any]] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self._pumping: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._reader: asyncio.Future[None] | None = None

    def fill(self) -> None:
        """Start as many workers as there is work and room for."""
        loop = self.loop
        if loop is None:
            loop = self.loop = running_loop()
        if self._is_awaited:
            if self.rows.room > 0 and self._pumping is None:
                self._pumping = self._start(loop, self._pump())
            return
        for _ in range(min(self._concurrency - len(self.tasks), self.rows.room)):
            self._start(loop, self._run())

    def _start(self, loop: asyncio.AbstractEventLoop, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = self.failure or error
        self._wake()

    def _wake(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    async def wait(self) -> None:
        """Until something has changed."""
        assert self.loop is not None
        self._reader = self.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _take(self) -> tuple[int, Any] | None:
        if self._is_awaited:
            return self._waiting.popleft() if self._waiting else None
        if self.rows.room <= 0:
            return None
        try:
            prompt = next(self._prompts)  # type: ignore[arg-type]
        except StopIteration:
            self.rows.exhausted = True
            return None
        return self.rows.take(), prompt

    async def _run(self) -> None:
        rows, ask = self.rows, self._ask
        while (row := self._take()) is not None:
            outcome: ChatResponse | LLMClientError
            try:
                outcome = await ask(row[1])
            except LLMClientError as error:
                if self._connections is not None and self._connections.closed:  # no row can be answered any more
                    raise client_closed() from None
                outcome = error
            rows.put(*row, outcome)
            self._wake()

    async def _pump(self) -> None:
        assert self.loop is not None
        try:
            while self.rows.room > 0:
                try:
                    prompt = await anext(self._prompts)  # type: ignore[arg-type]
                except StopAsyncIteration:
                    self.rows.exhausted = True
                    return
                self._waiting.append((self.rows.take(), prompt))
                if len(self.tasks) - 1 < self._concurrency:
                    self._start(self.loop, self._run())
        finally:
            self._pumping = None

    async def stop(self) -> None:
        """Cancel all, and wait for their end; and for that of the prompts' generator."""
        while self.tasks:
            tasks = list(self.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.tasks.difference_update(tasks)
        self.rows.close()


class AsyncMapResults(AsyncIterator[MapResult]):
    """The results of `map`, for one reader: `async for result in results`.

    Leaving the loop ends all that is under way, and so do `close` and the end of an `async with`.
    """

    def __init__(self, work: AsyncWork) -> None:
        self._work = work
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MapResult:
        work = self._work
        if work.loop is not None and work.loop is not running_loop():
            raise ConfigurationError("a map's results are read in one event loop: that of the first one")
        try:
            while not self._is_closed:
                if work.failure is not None:
                    raise work.failure
                result = work.rows.next_result()
                work.fill()
                if result is not None:
                    return result
                if work.rows.finished:
                    break
                await work.wait()
        except BaseException:
            await self.close()
            raise
        await self.close()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End all that is under way: what is asked is given up, and its connections are closed. Idempotent."""
        self._is_closed = True
        await self._work.stop()

    def __repr__(self) -> str:
        return self._work.rows.shown(type(self).__name__)

    if not TYPE_CHECKING:
        __iter__ = misused("AsyncClient's map needs `async for result in client.map(…)`, not `for`")
        __await__ = misused("map() is not awaited: write `async for result in client.map(…)`, without `await`")
        __reduce_ex__ = misused("the results of map are for one reader: they cannot be copied or pickled")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        work = getattr(self, "_work", None)
        if work is None or work.loop is None or work.loop.is_closed():
            return
        work.rows.close()
        for task in list(work.tasks):
            with suppress(RuntimeError):  # the loop has been closed just now
                work.loop.call_soon_threadsafe(task.cancel)
