"""The synchronous client: carries out a call's steps over a transport."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmclients.calls.base import Course, Deliver, Finish, Open, Read, Sleep, Source, Start, Step
from llmclients.calls.chat import Call, FallbackCall, ModelListing, prepare
from llmclients.config.client import ClientSettings
from llmclients.config.values import DEFAULT_MAX_RESPONSE_BYTES, Proxy, RetryPolicy, Timeout
from llmclients.errors import APIError, StreamInterruptedError
from llmclients.transports import Response, Transport, sync_transport
from llmclients.types.messages import Messages
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    import requests
    from typing_extensions import Self

    from llmclients.conversation import Conversation, SavedConversation
    from llmclients.transports.mock import MockTransport

__all__ = ["Client", "Stream"]

T = TypeVar("T")


class Client:
    """Talks to one provider. May be shared by threads.

    Close it, or use it in a `with`, to close its connections.

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
        transport: the caller's own `requests.Session`, `Transport` or `MockTransport`, and the caller's to close.

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
        transport: requests.Session | Transport | MockTransport | None = None,
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
        self._transport = sync_transport(self._settings.transport, transport)

    def chat(
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
        return self._chat(messages, model, options, {}, max_turns if run_tools else None)

    def stream(self, messages: Messages, *, model: str | None = None, restart: bool = False, **options: Any) -> Stream:
        """The answer piece by piece. The request is sent when the first chunk is asked for.

        Args:
            model: the model of this call.
            restart: after a break, send the request again; a chunk marked `restarted` tells to discard what came.
            options: fields of `ChatRequest`, and the provider's own options.

        Raises:
            ConfigurationError: something cannot be sent. Errors of the call itself are raised while iterating.
        """
        return self._stream(messages, model, options, {}, restart=restart)

    def conversation(self, system: str | None = None, model: str | None = None) -> Conversation:
        """A new conversation: keeps its history, so that each turn is one message."""
        from llmclients.conversation import Conversation  # few need it, and its models take time

        now = self._transport.clock.time()
        return Conversation._with(self, self._settings, now, system=system, model=model)

    def models(self) -> list[str]:
        """The names of the provider's models: asked from the service where its wire has that, else those known.

        Raises:
            APIError: the service did not answer, or not with a list.
        """
        with _Drive(ModelListing(self._settings, self._transport.clock).names(), self._transport) as drive:
            return drive.result()

    def close(self) -> None:
        """Close all connections. A transport that the caller brought stays open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._settings.label!r})"

    def _chat(
        self,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        state: Mapping[str, Any],
        max_turns: int | None = None,
    ) -> ChatResponse:
        if max_turns is None:
            return self._answer(messages, model, options, state)
        from llmclients.calls.tool_loop import ToolLoop, run_call

        loop = ToolLoop(messages, options, max_turns)
        while True:
            with loop.turn():
                response = self._answer(loop.messages, model, loop.options(), state)
            calls = loop.calls(response)
            if not calls:
                return loop.finished(response)
            loop.add(response, [run_call(loop, call) for call in calls])

    def _answer(
        self, messages: Messages, model: str | None, options: dict[str, Any], state: Mapping[str, Any]
    ) -> ChatResponse:
        call = prepare(self._settings, self._transport.clock, messages, model, options, state, stream=False)
        with _Drive(call.reply(), self._transport) as drive:
            return drive.result()

    def _stream(
        self,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        state: Mapping[str, Any],
        *,
        restart: bool = False,
        when_complete: Callable[[ChatResponse], None] | None = None,
    ) -> Stream:
        call = prepare(
            self._settings, self._transport.clock, messages, model, options, state, stream=True, restart=restart
        )
        return Stream(call, self._transport, when_complete)

    def _resume(self, saved: SavedConversation) -> Conversation:
        from llmclients.conversation import Conversation

        return Conversation._with(self, self._settings, self._transport.clock.time(), **saved.model_dump())


class Stream(Iterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self,
        call: Call | FallbackCall,
        transport: Transport,
        when_complete: Callable[[ChatResponse], None] | None = None,
    ) -> None:
        self._call = call
        self._when_complete = when_complete
        self._drive = _Drive(call.stream(), transport)
        self._chunks: Iterator[Chunk] = iter(())

    @property
    def response(self) -> ChatResponse:
        """The chunks so far as one response; complete once the stream has ended."""
        return self._call.response()

    def __next__(self) -> Chunk:
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
                    data = drive.read()
                    drive.check_open()
                    self._chunks = drive.source.chunks(data)
                    continue
            except APIError as error:  # the course's to judge
                failure = error
            except BaseException:
                drive.close()
                raise
            self._chunks = iter(())
            drive.go_on(failure)
            if drive.source is None:
                break
        if self._when_complete is not None:
            self._when_complete(drive.result())
            self._when_complete = None
        raise StopIteration

    def close(self) -> None:
        """Free the connection. Idempotent; may be called from another thread, which ends a wait for the next chunk."""
        self._drive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A constructor that failed leaves no drive behind.
        if hasattr(self, "_drive"):
            self.close()


class _Drive(Generic[T]):
    """Carries out a course's steps. Owns the response that is open."""

    def __init__(self, course: Course[T], transport: Transport) -> None:
        self._course = course
        self._transport = transport
        self._response: Response | None = None
        self._result: list[T] = []
        self._closed = False
        self.source: Source | None = None

    def result(self) -> T:
        """What the course ends with."""
        while not self._result:
            self.go_on()
        return self._result[0]

    def read(self) -> bytes:
        """The body's next bytes. `check_open` then: closed meanwhile, even a clean end means nothing."""
        if self._response is None:
            raise _closed_early()
        return self._response.read()

    def check_open(self) -> None:
        if self._closed:
            raise _closed_early()

    def go_on(self, failure: APIError | None = None) -> None:
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
                    outcome = self._carry_out(step)
                except APIError as error:
                    failure = error
        except StopIteration as end:
            self._result.append(end.value)
            self.close()
        except BaseException:
            self.close()
            raise

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Read):
            data = self.read()
            self.check_open()
            return data
        if isinstance(step, Finish):
            if self._response is not None:
                self._response.drain()
            return None
        self._release()
        self.check_open()
        if isinstance(step, Open):
            self._response = self._transport.open(step.request, step.timeout, step.deadline)
            return self._response
        if isinstance(step, Sleep):
            return self._transport.clock.sleep(step.seconds)
        assert isinstance(step, Start)
        return step.run()

    def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        self._closed = True
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _closed_early() -> StreamInterruptedError:
    return StreamInterruptedError("the stream was closed before its end", retryable=False)
