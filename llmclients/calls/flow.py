"""The sans-I/O core of a call: a generator of I/O steps and chunks, and `Run`, by which a driver advances it."""

# Theory of operation
# -------------------
# A *flow* is a generator that never waits and never touches a socket. It yields what is to be done next, and is sent
# the outcome, or has the transport's error thrown into it:
#
#     step                 the driver                                      the outcome
#     StartServer          calls `run()`                                   an `Endpoint`
#     Open                 closes the open response, sends the request     the new response
#     READ, READ_BODY      read the open response                          bytes; b"" at the body's clean end
#     Drain                reads a complete answer's last bytes off        None; never an error
#     Sleep                closes the open response, waits                 None
#     UseConnections       goes on over those of another client            None
#     StartTools           closes the open response, starts the calls      None
#     NextResult           waits for a call that was started               its result; see `tool_runner`
#     a `Chunk`            hands it to the caller, and stops until asked   None
#
# So retries, deadlines, fallbacks and breaks are written once, for both clients, and are tested without a socket and
# without sleeping. Chunks are steps like the others: `chat` and `stream` have the same reader of a body, and `chat`'s
# flow just does not yield them.
#
# A *driver* (`driver.Driver`, `async_driver.AsyncDriver`) owns the one response that is open, and has one loop:
#
#     step = run.next_step()
#     while step is not None:                     # None: the flow has ended, and `run.result` is its value
#         if type(step) is Chunk:
#             return step
#         run.outcome = perform(step)             # awaited, in the other; or `run.error`, where it fails
#         step = run.next_step()
#
# Nearly every step of a long answer is a chunk behind a chunk. Those a stream takes by `run.resume(None)`, which is the
# generator's own `send`, and leaves the loop for the rest.
#
# `READ` is a read of a streamed answer, `READ_BODY` one of a body that is read whole: a reply, an error. So a driver
# that is asked to open a stream performs steps until the first `READ`, before which the status was a good one, and
# holds it: `run.resume` gives it out once more, and the flow does not notice. A stream that nobody opens pays nothing.
#
# Invariants: at most one response is open at any time. Nothing is sent, read or decoded before the driver is asked for
# a chunk (or the result). A flow that has raised is over, as any generator. An `APIError` of a step goes into the flow,
# which alone decides what it means; every other exception (an interrupt, a cancellation) passes the flow by and ends
# the driver.
#
# Threads: a flow is advanced by one thread, or task, at a time. Only a driver's `close` may come from another one; it
# sets `run.closed`, and ends what the step under way waits for, which then fails. While a driver performs a step,
# `run.resume` refuses a second reader, who would send the flow an outcome that is none; the first one reads on.

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from llmclients.calls.accumulator import Accumulator
from llmclients.config.values import Timeout
from llmclients.errors import APIError, InvalidRequestError, StreamInterruptedError
from llmclients.providers.provider import Endpoint
from llmclients.transports.base import HTTPRequest
from llmclients.types.response import Chunk

if TYPE_CHECKING:
    from llmclients.calls.tool_runner import CallBatch

__all__ = [
    "DRAIN",
    "READ",
    "READ_BODY",
    "CallState",
    "Drain",
    "Flow",
    "NextResult",
    "Open",
    "Read",
    "ResponseHead",
    "Run",
    "Sleep",
    "StartServer",
    "StartTools",
    "Step",
    "UseConnections",
]

T = TypeVar("T")


class ResponseHead(Protocol):
    """What a flow looks at in an open response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]


# Steps are plain classes, as a dataclass takes half a millisecond to make: eight were a part of a program's start that
# could be felt. They compare by identity, and nobody writes to one once it is made.


class StartServer:
    """Start the server that the provider needs; the outcome is its `Endpoint`. May take seconds."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[[], Endpoint]) -> None:
        self.run = run


class Open:
    """Send the request; the outcome is the response, read by `Read` steps. One that is still open is closed first.

    Attributes:
        deadline: the end of the whole call, in seconds on the transport clock's monotonic scale; None for no deadline.
    """

    __slots__ = ("deadline", "request", "timeout")

    def __init__(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> None:
        self.request = request
        self.timeout = timeout
        self.deadline = deadline


class Read:
    """Read the body's next bytes; the outcome is `b""` at its clean end.

    Attributes:
        is_streamed: whether the body is an answer whose pieces are handed out, and not one that is read whole.
    """

    __slots__ = ("is_streamed",)

    def __init__(self, *, is_streamed: bool) -> None:
        self.is_streamed = is_streamed


class Drain:
    """The answer is complete, its body not yet: take the end off the wire if it comes soon, so that the connection
    serves another exchange. Has no outcome, and does not fail.
    """

    __slots__ = ()


class Sleep:
    """Close the response, and wait for `seconds`."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class UseConnections:
    """From now on, send and sleep by this client's transport: the next provider is another client's."""

    __slots__ = ("transport",)

    def __init__(self, transport: Any) -> None:
        self.transport = transport


class StartTools:
    """Close the response, and start these calls."""

    __slots__ = ("batch",)

    def __init__(self, batch: CallBatch) -> None:
        self.batch = batch


class NextResult:
    """Wait for the next result of the calls that were started, in whatever order they end."""

    __slots__ = ()


READ = Read(is_streamed=True)
READ_BODY = Read(is_streamed=False)
DRAIN = Drain()
Step: TypeAlias = StartServer | Open | Read | Drain | Sleep | UseConnections | StartTools | NextResult
Flow: TypeAlias = Generator[Step | Chunk, Any, T]


class CallState:
    """What the attempts of one call share, also when they go to one provider after another.

    Attributes:
        deadline: seconds on the clock's monotonic scale; set by the first attempt.
        delivered: whether the caller has seen a chunk of it.
        errors: those of the attempts so far, first to last.
    """

    __slots__ = ("_accumulator", "deadline", "delivered", "errors")

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._accumulator: Accumulator | None = None
        self.delivered = False
        self.errors: list[APIError] = []

    @property
    def accumulator(self) -> Accumulator:
        """What has come of the answer: of one that is read whole, nothing."""
        if self._accumulator is None:
            self._accumulator = Accumulator()
        return self._accumulator

    @accumulator.setter
    def accumulator(self, accumulator: Accumulator) -> None:
        self._accumulator = accumulator


class Run(Generic[T]):
    """A flow under way: the part of a driver that does not wait, shared by both clients.

    Attributes:
        resume: the flow's `send`: for a flow that stands at a chunk, `resume(None)` is `next_step()` without its ado.
        send: the flow's `send` itself, which is `resume` again after a step.
        outcome: what the flow is sent next. The driver sets it after a step.
        error: what is thrown into the flow instead. The driver sets it when a step has failed.
        begun: whether a step was performed. The driver sets it.
        closed: whether the driver's response was closed by the caller, maybe from another thread.
        ended: whether the flow has come to its end.
        result: the flow's value, once it has ended.
    """

    __slots__ = ("_flow", "_held", "begun", "closed", "ended", "error", "outcome", "result", "resume", "send")
    result: T

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.resume = self.send = flow.send
        self.outcome: Any = None
        self.error: APIError | None = None
        self._held: Step | Chunk | None = None
        self.begun = False
        self.closed = False
        self.ended = False

    def next_step(self) -> Step | Chunk | None:
        """The next step to perform, or chunk to hand out; None when the flow has ended.

        Raises:
            APIError: the call has failed, or the stream was closed before its end.
        """
        outcome, self.outcome = self.outcome, None
        try:
            if self.error is None:
                return self.resume(outcome)
            error, self.error = self.error, None
            return self._flow.throw(error)
        except StopIteration as end:
            self.end(end)
            return None

    @property
    def has_reader(self) -> bool:
        """Whether another thread or task is at it: what it has raised for this one is no end of the flow."""
        import inspect  # a mistake is rare

        return self.resume is refuse_reader or inspect.getgeneratorstate(self._flow) == inspect.GEN_RUNNING

    def hold(self, step: Step | Chunk | None) -> None:
        """Give this step out once more before the flow goes on: it was not performed. At the end, None, nothing is."""
        if step is not None:
            self._held = step
            self.resume = self._resume_held

    def _resume_held(self, outcome: Any) -> Any:
        step, self._held = self._held, None
        self.resume = self.send
        return step

    def close(self) -> None:
        """Take note that the response is closed. May be called from another thread, at any moment."""
        self.closed = True
        if self._held is not None:  # the read that was held will find no response; and `resume` holds the run no longer
            self.resume = _read_closed

    def end(self, end: StopIteration) -> None:
        """Take note of the flow's end; its value is the result. The next step after it is None.

        Raises:
            StreamInterruptedError: the flow had broken off before, or was closed, and was asked again.
        """
        if self.ended:
            return
        if self.closed:  # a generator that has raised ends without a value
            raise closed_early() from None
        self.ended, self.result = True, end.value

    def check_open(self) -> None:
        """Raise StreamInterruptedError if the caller has closed the stream: then even a clean end means nothing."""
        if self.closed:
            raise closed_early()


def refuse_reader(outcome: Any) -> Any:
    """What `Run.resume` is while a step is being performed."""
    raise read_twice()


def read_twice() -> InvalidRequestError:
    """The error of a stream that a second one reads while the first one waits."""
    return InvalidRequestError("the stream is being read already: one thread or task at a time can read it")


def _read_closed(outcome: Any) -> Step:
    return READ


def closed_early() -> StreamInterruptedError:
    """The error of a stream that its own user closed."""
    return StreamInterruptedError("the stream was closed before its end", retryable=False)
