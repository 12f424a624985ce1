"""The asynchronous client: `client`, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from llmclients.calls.base import Course, Deliver, Finish, Open, Read, Sleep, Source, Start, Step
from llmclients.calls.chat import Call, FallbackCall, ModelListing, prepare
from llmclients.config.client import ClientSettings
from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Proxy, RetryPolicy, Timeout
from llmclients.errors import APIError, StreamInterruptedError
from llmclients.transports import AsyncResponse, AsyncTransport, async_transport
from llmclients.transports.base import BufferedAsyncResponse
from llmclients.types.messages import Messages
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

    from llmclients.conversation import AsyncConversation, SavedConversation
    from llmclients.transports.mock import MockTransport

__all__ = ["AsyncClient", "AsyncStream"]

T = TypeVar("T")


class AsyncClient:
    """Talks to one provider. May be shared by tasks, and used in one event loop after another.

    Close it, or use it in an `async with`, to close its connections.

    Args:
        provider: a provider's name, or `"name/model"`.
        model: the model of calls that name none.
        api_key: the key; default: the provider's environment variable.
        base_url: another server that speaks the provider's format.
        model_path: the weights file (GGUF) of the local model.
        headers: further headers of every request; one of the provider's own name replaces it.
        timeout: a `Timeout`, or seconds to wait for the next bytes. Default: connect 10, read 120, no deadline.
        retry: a `RetryPolicy`, a number of attempts, or None for one attempt. Default: three attempts.
        proxy: a proxy's URL, False for none, or None for the environment's.
        fallback: names of providers to try, in turn, when this one's attempts have failed.
        trust_env: whether proxies and certificate authorities may come from the environment.
        verify: False for no certificate checks, or the file or folder of a certificate authority.
        max_response_bytes: the most bytes of one response, decompressed. Default 64 MiB.
        transport: the caller's own `httpx.AsyncClient`, `AsyncTransport` or `MockTransport`, and the caller's to close.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """

    def __init__(
        self,
        provider: str = "local",
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        model_path: str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | float | None = None,
        retry: RetryPolicy | int | None = RetryPolicy(),
        proxy: Proxy | str | bool | None = None,
        fallback: Sequence[str] = (),
        trust_env: bool = True,
        verify: bool | str | os.PathLike[str] = True,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        transport: httpx.AsyncClient | AsyncTransport | MockTransport | None = None,
    ) -> None:
        self._settings = ClientSettings.from_arguments(
            provider,
            model=model,
            api_key=api_key,
            base_url=base_url,
            model_path=model_path,
            headers=headers,
            timeout=timeout,
            retry=retry,
            proxy=proxy,
            fallback=fallback,
            trust_env=trust_env,
            verify=verify,
            max_response_bytes=max_response_bytes,
        )
        self._transport = async_transport(self._settings.transport, transport)

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
        return await self._chat(messages, model, options, {}, max_turns if run_tools else None)

    def stream(
        self, messages: Messages, *, model: str | None = None, restart: bool = False, **options: Any
    ) -> AsyncStream:
        """The answer piece by piece. The request is sent when the first chunk is asked for.

        Args:
            model: the model of this call.
            restart: after a break, send the request again; a chunk marked `restarted` tells to discard what came.
            options: fields of `ChatRequest`, and the provider's own options.

        Raises:
            ConfigurationError: something cannot be sent. Errors of the call itself are raised while iterating.
        """
        return self._stream(messages, model, options, {}, restart=restart)

    def conversation(self, system: str | None = None, model: str | None = None) -> AsyncConversation:
        """A new conversation: keeps its history, so that each turn is one message."""
        from llmclients.conversation import AsyncConversation  # few need it, and its models take time

        now = self._transport.clock.time()
        return AsyncConversation._with(self, self._settings, now, system=system, model=model)

    async def models(self) -> list[str]:
        """The names of the provider's models: asked from the service where its wire has that, else those known.

        Raises:
            APIError: the service did not answer, or not with a list.
        """
        async with _AsyncDrive(ModelListing(self._settings, self._transport.clock).names(), self._transport) as drive:
            return await drive.result()

    async def close(self) -> None:
        """Close all connections. A transport that the caller brought stays open."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._settings.label!r})"

    async def _chat(
        self,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        state: Mapping[str, Any],
        max_turns: int | None = None,
    ) -> ChatResponse:
        if max_turns is None:
            return await self._answer(messages, model, options, state)
        from llmclients.calls.tool_loop import ToolLoop, arun_call

        loop = ToolLoop(messages, options, max_turns)
        while True:
            with loop.turn():
                response = await self._answer(loop.messages, model, loop.options(), state)
            calls = loop.calls(response)
            if not calls:
                return loop.finished(response)
            loop.add(response, await asyncio.gather(*(arun_call(loop, call) for call in calls)))

    async def _answer(
        self, messages: Messages, model: str | None, options: dict[str, Any], state: Mapping[str, Any]
    ) -> ChatResponse:
        call = prepare(self._settings, self._transport.clock, messages, model, options, state, stream=False)
        async with _AsyncDrive(call.reply(), self._transport) as drive:
            return await drive.result()

    def _stream(
        self,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        state: Mapping[str, Any],
        *,
        restart: bool = False,
        when_complete: Callable[[ChatResponse], None] | None = None,
    ) -> AsyncStream:
        call = prepare(
            self._settings, self._transport.clock, messages, model, options, state, stream=True, restart=restart
        )
        return AsyncStream(call, self._transport, when_complete)

    def _resume(self, saved: SavedConversation) -> AsyncConversation:
        from llmclients.conversation import AsyncConversation

        return AsyncConversation._with(self, self._settings, self._transport.clock.time(), **saved.model_dump())


class AsyncStream(AsyncIterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self,
        call: Call | FallbackCall,
        transport: AsyncTransport,
        when_complete: Callable[[ChatResponse], None] | None = None,
    ) -> None:
        self._call = call
        self._when_complete = when_complete
        self._drive = _AsyncDrive(call.stream(), transport)
        self._chunks: Iterator[Chunk] = iter(())

    @property
    def response(self) -> ChatResponse:
        """The chunks so far as one response; complete once the stream has ended."""
        return self._call.response()

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        drive = self._drive
        while True:
            failure: APIError | None = None
            try:
                for chunk in self._chunks:
                    return chunk
                if drive.source is not None and not drive.source.done:
                    if (buffer := drive.buffer) is None:
                        data = await drive.read()
                    else:  # no coroutine for each read
                        while (there := buffer.read_nowait()) is None:
                            await buffer.readable()
                        data = there
                    drive.check_open()
                    self._chunks = drive.source.chunks(data)
                    continue
            except APIError as error:  # the course's to judge
                failure = error
            except BaseException:
                drive.abort()
                raise
            self._chunks = iter(())
            await drive.go_on(failure)
            if drive.source is None:
                break
        if self._when_complete is not None:
            self._when_complete(await drive.result())
            self._when_complete = None
        raise StopAsyncIteration

    async def close(self) -> None:
        """Free the connection. Idempotent; may be called from another task, which ends a wait for the next chunk."""
        await self._drive.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        # A constructor that failed leaves no drive behind.
        if hasattr(self, "_drive"):
            self._drive.abort()


class _AsyncDrive(Generic[T]):
    """Carries out a course's steps. Owns the response that is open."""

    def __init__(self, course: Course[T], transport: AsyncTransport) -> None:
        self._course = course
        self._transport = transport
        self._response: AsyncResponse | None = None
        self._result: list[T] = []
        self._closed = False
        self.source: Source | None = None
        self.buffer: BufferedAsyncResponse | None = None
        """The open response, where its bytes can be had without awaiting."""

    async def result(self) -> T:
        """What the course ends with."""
        while not self._result:
            await self.go_on()
        return self._result[0]

    def read(self) -> Awaitable[bytes]:
        """The body's next bytes. `check_open` then: closed meanwhile, even a clean end means nothing."""
        if self._response is None:
            raise _closed_early()
        return self._response.read()

    def check_open(self) -> None:
        if self._closed:
            raise _closed_early()

    async def go_on(self, failure: APIError | None = None) -> None:
        """To the next chunks that the course hands out: those of `source`; or to its end, when that is None.

        `failure` is what the last ones raised.
        """
        self.source = None
        if self._result:
            return
        if self._closed and failure is None:
            raise _closed_early()
        outcome: Any = None
        try:
            while True:
                step = self._course.send(outcome) if failure is None else self._course.throw(failure)
                if isinstance(step, Deliver):
                    self.source = step.source
                    return
                outcome = failure = None
                try:
                    outcome = await self._carry_out(step)
                except APIError as error:
                    failure = error
        except StopIteration as end:
            self._result.append(end.value)
            await self.close()
        except BaseException:
            self.abort()
            raise

    async def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Read):
            data = await self.read()
            self.check_open()
            return data
        if isinstance(step, Finish):
            if self._response is not None:
                await self._response.drain()
            return None
        await self._release()
        self.check_open()
        if isinstance(step, Open):
            self._response = opened = await self._transport.open(step.request, step.timeout, step.deadline)
            if hasattr(opened, "read_nowait"):
                self.buffer = cast(BufferedAsyncResponse, opened)
            return opened
        if isinstance(step, Sleep):
            return await self._transport.clock.asleep(step.seconds)
        assert isinstance(step, Start)
        return await asyncio.to_thread(step.run)

    async def _release(self) -> None:
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            await response.close()

    async def close(self) -> None:
        self._closed = True
        await self._release()

    def abort(self) -> None:
        """`close` without awaiting: for a task that is cancelled, a stream that is dropped."""
        self._closed = True
        response, self._response, self.buffer = self._response, None, None
        if response is not None:
            response.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _closed_early() -> StreamInterruptedError:
    return StreamInterruptedError("the stream was closed before its end", retryable=False)
