"""`AsyncStream`: a streamed answer, as an asynchronous iterator of chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.async_driver import AsyncDriver
from llmclients.base_stream import BaseStream
from llmclients.calls.chat import ChatCall, OnComplete
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import READ, Step
from llmclients.calls.tracebacks import clear_locals
from llmclients.errors import APIError, StructuredOutputError
from llmclients.transports import AsyncTransport
from llmclients.types.response import Chunk

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.calls.partial import Objects
    from llmclients.calls.tool_call import ToolLoopCall

__all__ = ["AsyncStream"]


class AsyncStream(BaseStream, AsyncIterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self,
        call: ChatCall | FallbackCall | ToolLoopCall,
        transport: AsyncTransport,
        on_complete: OnComplete | None = None,
    ) -> None:
        super().__init__(call, on_complete)
        self._driver = AsyncDriver(self._run, transport)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        run, driver = self._run, self._driver
        step: Step | Chunk | None
        try:
            step = run.resume(None)
            while step is READ and (buffer := driver.buffer) is not None:  # no coroutine for each read
                try:
                    while (data := buffer.read_nowait()) is None:
                        await buffer.readable()
                    if run.closed:
                        run.check_open()
                except APIError as error:
                    run.error = error
                    step = run.next_step()
                else:
                    step = run.resume(data)
            if type(step) is Chunk:
                return step
        except StopIteration as end:
            run.end(end)
            step = None
        except BaseException as error:
            driver.abort()
            step, data = None, b""
            clear_locals(error)
            raise
        chunk = await driver.next_chunk(step)
        if chunk is not None:
            return chunk
        self._tell_completion()
        raise StopAsyncIteration

    def objects(self) -> AsyncIterator[Any]:
        """The objects of the answer, read as `response_format` asks for: of `list[T]` each T as soon as it is complete.

        Of a type that is no list, it is the one object at the end. The stream is read for them; each call begins with
        the first. Of an answer that calls tools instead, there are none more.

        Raises:
            InvalidRequestError: the stream was not asked for with `response_format`, or with `restart`.
            StructuredOutputError: an object does not fit; the stream is closed then. The whole answer does not.
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        return _AsyncObjects(self, self._objects())

    async def close(self) -> None:
        """Free the connection. Idempotent; may be called from another task, which ends a wait for the next chunk."""
        await self._driver.close()

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
        if hasattr(self, "_driver"):  # a constructor that failed leaves none behind
            self._driver.abort()


class _AsyncObjects(AsyncIterator[Any]):
    # Not a generator: one that is left early is closed by the event loop, some time later.

    def __init__(self, stream: AsyncStream, objects: Objects) -> None:
        self._stream = stream
        self._objects = objects
        self._ready = iter(objects.complete())
        self._ended = False

    async def __anext__(self) -> Any:
        try:
            while True:
                for value in self._ready:
                    return value
                if self._ended:
                    raise StopAsyncIteration
                try:
                    await self._stream.__anext__()
                    self._ready = iter(self._objects.complete())
                except StopAsyncIteration:
                    self._ended = True
                    self._ready = self._objects.rest()
        except StructuredOutputError:
            await self._stream.close()
            raise
