"""`AsyncClient` and `AsyncStream`: the asynchronous client, and the driver that performs a call's steps, awaiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from llmclients.base_client import BaseClient, BaseStream
from llmclients.calls.chat import ChatArguments, ChatCall, OnComplete
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import READ, Drain, Open, Read, Run, Sleep, StartServer, Step, closed_early
from llmclients.calls.listing import ModelListing
from llmclients.calls.tracebacks import clear_locals
from llmclients.errors import APIError, StructuredOutputError
from llmclients.transports import AsyncResponse, AsyncTransport, BufferedAsyncResponse, async_transport
from llmclients.transports.base import running_loop
from llmclients.types.messages import Messages, as_messages
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

    from llmclients.calls.partial import Objects
    from llmclients.conversation import AsyncConversation
    from llmclients.transports.mock import MockTransport

__all__ = ["AsyncClient", "AsyncStream"]

# The driver. An `_AsyncDriver` performs the steps of one flow, in the task that asks for its chunks or its result; the
# theory of flows and drivers is in `calls/flow.py`. It owns the response that is open. Any error ends it: a task that
# is cancelled, and a stream that is dropped, cannot await, so `abort` frees the connection at once. The flow's end and
# `close` may await, to put the connection back. `close` may come from another task while a read waits: the transport
# then fails the read, and `Run.closed` makes the outcome of a read that had just returned count for nothing.

T = TypeVar("T")


class AsyncClient(
    BaseClient[AsyncTransport, "httpx.AsyncClient | MockTransport | AsyncTransport", "AsyncStream", "AsyncConversation"]
):
    """`Client`, awaited. May be shared by tasks; event loops may come and go, each has connections of its own.

    Close it, or use it in an `async with`, to close its connections. `transport` may be an `httpx.AsyncClient`, a
    `MockTransport`, or an object with the `AsyncTransport` protocol.
    """

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        run_tools: bool = False,
        max_turns: int = 8,
        **options: Any,
    ) -> ChatResponse:
        """The whole answer to `messages`: text, a message, a dict, or a list of them.

        Args:
            model: the model of this call.
            run_tools: make the calls of `tools` that the model asks for, tell it the results, and so on until it
                answers. The answer's `messages` are all of it. A tool's errors are told to the model as well.
            max_turns: how often the model is asked then, at the most.
            options: fields of `ChatRequest`, and the provider's own options.

        Raises:
            ConfigurationError: something cannot be sent; nothing was.
            APIError: the call failed, and so did its retries. `partial.intermediate_messages` is what `run_tools` did
                until then.
            StructuredOutputError: the answer is not what `response_format` asked for.
            ToolLoopError: after `max_turns` there is no answer.
        """
        return await self._chat(ChatArguments(as_messages(messages), model, options), max_turns if run_tools else None)

    async def models(self) -> list[str]:
        """The names of the provider's models: asked from the service where its wire has that, else those known.

        Raises:
            APIError: the service did not answer, or not with a list.
        """
        listing = ModelListing(self._settings, self._transport.clock)
        return await _AsyncDriver(Run(listing.names()), self._transport).result()

    async def close(self) -> None:
        """Close all connections. A transport that the caller brought stays open."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _open_transport(self, given: httpx.AsyncClient | MockTransport | AsyncTransport | None) -> AsyncTransport:
        return async_transport(self._settings.transport, given)

    def _conversation_type(self) -> Callable[..., AsyncConversation]:
        from llmclients.conversation import AsyncConversation

        return AsyncConversation.begin

    async def _chat(self, arguments: ChatArguments, max_turns: int | None) -> ChatResponse:
        if max_turns is None:
            return await self._answer(arguments)
        from llmclients.calls.tool_loop import ToolLoop
        from llmclients.calls.tool_runner import arun_call

        running_loop()  # tools run in its tasks and threads, whatever the transport
        loop = ToolLoop(arguments, max_turns)
        while True:
            with loop.turn():
                response = await self._answer(loop.arguments())
            calls = loop.calls(response)
            if calls is None:
                return loop.finished(response)
            loop.add(response, await asyncio.gather(*(arun_call(loop, call) for call in calls)))

    async def _answer(self, arguments: ChatArguments) -> ChatResponse:
        call = self._prepare(arguments, stream=False)
        return await _AsyncDriver(Run(call.reply()), self._transport).result()

    def _stream(self, arguments: ChatArguments, on_complete: OnComplete | None = None) -> AsyncStream:
        return AsyncStream(self._prepare(arguments, stream=True), self._transport, on_complete)


class AsyncStream(BaseStream, AsyncIterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self, call: ChatCall | FallbackCall, transport: AsyncTransport, on_complete: OnComplete | None = None
    ) -> None:
        super().__init__(call, on_complete)
        self._driver = _AsyncDriver(self._run, transport)

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


class _AsyncDriver(Generic[T]):
    """Performs the steps of a flow over a transport."""

    def __init__(self, run: Run[T], transport: AsyncTransport) -> None:
        self._run = run
        self._transport = transport
        self._response: AsyncResponse | None = None
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
                    run.outcome = await self._outcome(step)
                except APIError as error:
                    run.error = error
                step = run.next_step()
        except BaseException as error:
            self.abort()
            step = None  # it has the request
            clear_locals(error)
            raise
        await self.close()
        return None

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
        if isinstance(step, Open):
            self._response = opened = await self._transport.open(step.request, step.timeout, step.deadline)
            if hasattr(opened, "read_nowait"):
                self.buffer = cast(BufferedAsyncResponse, opened)
            return opened
        if isinstance(step, Sleep):
            return await self._transport.clock.asleep(step.seconds)
        assert isinstance(step, StartServer)
        mocked = getattr(self._transport, "endpoint", None)  # in tests, no server is started
        if mocked is not None:
            return mocked
        running_loop()
        return await _in_thread(step.run)

    async def _release(self) -> None:
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            await response.close()

    async def close(self) -> None:
        """End the flow, wherever it is, and close the response. Idempotent."""
        self._run.closed = True
        await self._release()

    def abort(self) -> None:
        """`close` without awaiting: for a task that is cancelled, a stream that is dropped."""
        self._run.closed = True
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            response.abort()


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
