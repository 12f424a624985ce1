"""`AsyncStream`: a streamed answer, as an asynchronous iterator of chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from llmclients.async_driver import AsyncDriver
from llmclients.base_stream import BaseStream, text_of_restarts
from llmclients.calls.arguments import OnComplete
from llmclients.calls.call import Call
from llmclients.calls.flow import READ, Step, read_twice, refuse_reader
from llmclients.calls.tracebacks import clear_locals, without_our_frames
from llmclients.errors import APIError, InvalidRequestError, StructuredOutputError
from llmclients.misuse import misused
from llmclients.transports import AsyncTransport
from llmclients.types.response import Chunk, ParsedT

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.calls.partial import Objects

__all__ = ["AsyncStream", "OpeningStream"]

StreamT = TypeVar("StreamT", bound="AsyncStream[Any]")

ItemT = TypeVar("ItemT")


class AsyncStream(BaseStream[ParsedT], AsyncIterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self,
        call: Call,
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
                        try:
                            run.resume = refuse_reader
                            await buffer.readable()
                        finally:
                            run.resume = run.send
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
            if isinstance(error, ValueError | InvalidRequestError) and run.has_reader:
                raise read_twice() from None
            driver.abort()
            step, data = None, b""
            clear_locals(error)
            raise
        chunk = await driver.next_chunk(step)
        if chunk is not None:
            return chunk
        self._tell_completion()
        raise StopAsyncIteration

    def open(self) -> OpeningStream[Self]:
        """Send the request now, and wait until the answer begins: what the provider refuses is raised here.

        Gives the stream: `stream = await client.stream(…).open()`, or `async with client.stream(…).open() as stream`.
        Opening a stream that has begun does nothing; iterating starts with the first chunk. All retries, and providers
        to fall back on, have had their turn. They have it again if the answer breaks off before its first chunk.

        Raises:
            APIError: the request failed, and so did its retries; a `RateLimitError`, an `AuthenticationError`, …
            StreamInterruptedError: the stream was closed before.
        """
        return OpeningStream(self, self._open())

    async def _open(self) -> None:
        await self._driver.open()

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The answer's new text, piece by piece, as an iterator: what the chunks have but empty texts.

        Whatever else comes, such as tool calls, is in `response`. The stream is read for it, as by iterating over it.

        Raises:
            InvalidRequestError: the stream was asked for with `restart`: text has no mark for what is void.
            APIError: while iterating, as of the chunks.
        """
        if self._call.restarts:
            raise text_of_restarts()
        return _Texts(self)

    @overload
    def objects(self: AsyncStream[list[ItemT]]) -> AsyncIterator[ItemT]: ...
    @overload
    def objects(self) -> AsyncIterator[ParsedT]: ...
    def objects(self) -> AsyncIterator[Any]:
        """The objects of the answer, read as `response_format` asks for: of `list[T]` each T as soon as it is complete.

        Of a type that is no list, it is the one object at the end. The stream is read for them; each call begins with
        the first. Of an answer that calls tools instead, there are none more.

        Raises:
            InvalidRequestError: the stream was not asked for with `response_format`, or with `restart`.
            StructuredOutputError: an object does not fit; the stream is closed then. The whole answer does not.
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        try:
            return _AsyncObjects(self, self._partial().objects())
        except InvalidRequestError as error:
            raise without_our_frames(error)  # noqa: B904 - it is the same error

    async def close(self) -> None:
        """Free the connection. Idempotent. Another task may: a wait for the next chunk, or in `open`, ends."""
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

    if not TYPE_CHECKING:
        # Python's own `in` would read the stream to its end, and compare chunks.
        __contains__ = misused("a stream is read once: read it, then look for the text in its `response`")
        __reduce_ex__ = misused("an AsyncStream is read once: it cannot be copied or pickled; its `response` can")
        __enter__ = __exit__ = misused("an AsyncStream needs `async with`, not `with`")
        __iter__ = misused("an AsyncStream needs `async for chunk in stream`, not `for`")
        __await__ = misused("stream() is not awaited: write `async for chunk in client.stream(…)`, without `await`")

    def __del__(self) -> None:
        if hasattr(self, "_driver"):  # a constructor that failed leaves none behind
            self._driver.abort()


class OpeningStream(Generic[StreamT]):
    """What `AsyncStream.open()` gives: awaited, or entered by `async with`, it is the open stream."""

    def __init__(self, stream: StreamT, opening: Coroutine[Any, Any, None]) -> None:
        self._stream = stream
        self._opening = opening  # if nobody awaits it, Python says so

    def __await__(self) -> Generator[Any, Any, StreamT]:
        yield from self._opening.__await__()
        return self._stream

    async def __aenter__(self) -> StreamT:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.close()


class _Texts(AsyncIterator[str]):
    # Not a generator: one that is left early is closed by the event loop, some time later.

    def __init__(self, stream: AsyncStream) -> None:
        self._next_chunk = stream.__anext__

    async def __anext__(self) -> str:
        while True:
            text = (await self._next_chunk()).text
            if text:
                return text


class _AsyncObjects(AsyncIterator[Any]):
    # Not a generator: one that is left early is closed by the event loop, some time later.

    def __init__(self, stream: AsyncStream[Any], objects: Objects) -> None:
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
