"""`Client` and `Stream`: the synchronous client, and the driver that performs a call's steps over its transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmclients.base_client import BaseClient, BaseStream
from llmclients.calls.chat import ChatArguments, ChatCall, OnComplete
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import Drain, Open, Read, Run, Sleep, StartServer, Step, closed_early
from llmclients.calls.listing import ModelListing
from llmclients.calls.tracebacks import clear_locals
from llmclients.errors import APIError, StructuredOutputError
from llmclients.transports import Response, Transport, sync_transport
from llmclients.types.messages import Messages, as_messages
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    import requests
    from typing_extensions import Self

    from llmclients.calls.partial import Objects
    from llmclients.conversation import Conversation
    from llmclients.transports.mock import MockTransport

__all__ = ["Client", "Stream"]

# The driver. A `_Driver` performs the steps of one flow, in the thread that asks for its chunks or its result; the
# theory of flows and drivers is in `calls/flow.py`. It owns the response that is open. Any error ends it, and closes
# that response; so do the flow's end, `close`, and dropping the stream. `close` may come from another thread while a
# read waits: the transport then fails the read, and `Run.closed` makes the outcome of a read that had just returned
# count for nothing. Tools show the variables of the frames in a traceback, so a driver that fails leaves none that hold
# a secret: its own by hand, those below by `clear_locals`.

T = TypeVar("T")


class Client(BaseClient[Transport, "requests.Session | MockTransport | Transport", "Stream", "Conversation"]):
    """Talks to one provider. May be shared by threads.

    Close it, or use it in a `with`, to close its connections. `transport` may be a `requests.Session`, a
    `MockTransport`, or an object with the `Transport` protocol.
    """

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
        return self._chat(ChatArguments(as_messages(messages), model, options), max_turns if run_tools else None)

    def models(self) -> list[str]:
        """The names of the provider's models: asked from the service where its wire has that, else those known.

        Raises:
            APIError: the service did not answer, or not with a list.
        """
        listing = ModelListing(self._settings, self._transport.clock)
        return _Driver(Run(listing.names()), self._transport).result()

    def close(self) -> None:
        """Close all connections. A transport that the caller brought stays open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open_transport(self, given: requests.Session | MockTransport | Transport | None) -> Transport:
        return sync_transport(self._settings.transport, given)

    def _conversation_type(self) -> Callable[..., Conversation]:
        from llmclients.conversation import Conversation

        return Conversation.begin

    def _chat(self, arguments: ChatArguments, max_turns: int | None) -> ChatResponse:
        if max_turns is None:
            return self._answer(arguments)
        from llmclients.calls.tool_loop import ToolLoop
        from llmclients.calls.tool_runner import run_call

        loop = ToolLoop(arguments, max_turns)
        while True:
            with loop.turn():
                response = self._answer(loop.arguments())
            calls = loop.calls(response)
            if calls is None:
                return loop.finished(response)
            loop.add(response, [run_call(loop, call) for call in calls])

    def _answer(self, arguments: ChatArguments) -> ChatResponse:
        call = self._prepare(arguments, stream=False)
        return _Driver(Run(call.reply()), self._transport).result()

    def _stream(self, arguments: ChatArguments, on_complete: OnComplete | None = None) -> Stream:
        return Stream(self._prepare(arguments, stream=True), self._transport, on_complete)


class Stream(BaseStream, Iterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(
        self, call: ChatCall | FallbackCall, transport: Transport, on_complete: OnComplete | None = None
    ) -> None:
        super().__init__(call, on_complete)
        self._driver = _Driver(self._run, transport)

    def __next__(self) -> Chunk:
        """The next chunk.

        Raises:
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        for chunk in self:
            return chunk
        raise StopIteration

    def __iter__(self) -> Iterator[Chunk]:
        # A generator, so that a `for` over the stream asks it without a call of a Python function for each chunk. The
        # stream does not hold it: with the last reference to both gone, `__del__` frees the connection at once.
        run, driver = self._run, self._driver
        while True:
            step: Step | Chunk | None
            try:
                step = run.resume(None)
            except StopIteration as end:
                run.end(end)
                step = None
            except BaseException as error:
                driver.close()
                step = None
                clear_locals(error)
                raise
            if type(step) is not Chunk:
                step = driver.next_chunk(step)
                if step is None:
                    break
            yield step
        self._tell_completion()

    def objects(self) -> Iterator[Any]:
        """The objects of the answer, read as `response_format` asks for: of `list[T]` each T as soon as it is complete.

        Of a type that is no list, it is the one object at the end. The stream is read for them; each call begins with
        the first. Of an answer that calls tools instead, there are none more.

        Raises:
            InvalidRequestError: the stream was not asked for with `response_format`, or with `restart`.
            StructuredOutputError: an object does not fit; the stream is closed then. The whole answer does not.
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        return self._each_object(self._objects())

    def _each_object(self, objects: Objects) -> Iterator[Any]:
        try:
            for _ in self:
                yield from objects.complete()
            yield from objects.rest()
        except StructuredOutputError:
            self.close()
            raise

    def close(self) -> None:
        """Free the connection. Idempotent; may be called from another thread, which ends a wait for the next chunk."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_driver"):  # a constructor that failed leaves none behind
            self.close()


class _Driver(Generic[T]):
    """Performs the steps of a flow over a transport."""

    def __init__(self, run: Run[T], transport: Transport) -> None:
        self._run = run
        self._transport = transport
        self._response: Response | None = None

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
                    run.outcome = self._outcome(step)
                except APIError as error:
                    run.error = error
                step = run.next_step()
        except BaseException as error:
            self.close()
            step = None  # it has the request
            clear_locals(error)
            raise
        self.close()
        return None

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
        if isinstance(step, Open):
            self._response = self._transport.open(step.request, step.timeout, step.deadline)
            return self._response
        if isinstance(step, Sleep):
            return self._transport.clock.sleep(step.seconds)
        assert isinstance(step, StartServer)
        mocked = getattr(self._transport, "endpoint", None)  # in tests, no server is started
        if mocked is not None:
            return mocked
        return step.run()

    def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        """End the flow, wherever it is, and close the response. Idempotent."""
        self._run.closed = True
        self._release()
