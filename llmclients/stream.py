"""`Stream`: a streamed answer, as an iterator of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from llmclients.base_stream import BaseStream, text_of_restarts
from llmclients.calls.arguments import OnComplete
from llmclients.calls.call import Call
from llmclients.calls.flow import Step, read_twice
from llmclients.calls.tracebacks import clear_locals, without_our_frames
from llmclients.driver import Driver
from llmclients.errors import InvalidRequestError, StructuredOutputError
from llmclients.misuse import misused
from llmclients.transports import Transport
from llmclients.types.response import Chunk, ParsedT

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.calls.partial import Objects

__all__ = ["Stream"]

_text_of = attrgetter("text")

ItemT = TypeVar("ItemT")


class Stream(BaseStream[ParsedT], Iterator[Chunk]):
    """A streamed answer: an iterator of chunks, and a context manager that frees the connection.

    It ends normally only when the provider has said that the answer is complete. Leaving it early, closing it, or
    dropping it frees its connection at once.
    """

    def __init__(self, call: Call, transport: Transport, on_complete: OnComplete | None = None) -> None:
        super().__init__(call, on_complete)
        self._driver = Driver(self._run, transport)

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
                if isinstance(error, ValueError | InvalidRequestError) and run.has_reader:
                    raise read_twice() from None
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

    def open(self) -> Self:
        """Send the request now, and wait until the answer begins: what the provider refuses is raised here.

        Returns the stream: `stream = client.stream(…).open()`, or `with client.stream(…).open() as stream`.
        Opening a stream that has begun does nothing; iterating starts with the first chunk. All retries, and providers
        to fall back on, have had their turn. They have it again if the answer breaks off before its first chunk.

        Raises:
            APIError: the request failed, and so did its retries; a `RateLimitError`, an `AuthenticationError`, …
            StreamInterruptedError: the stream was closed before.
        """
        self._driver.open()
        return self

    @property
    def text_stream(self) -> Iterator[str]:
        """The answer's new text, piece by piece, as an iterator: what the chunks have but empty texts.

        Whatever else comes, such as tool calls, is in `response`. The stream is read for it, as by iterating over it.

        Raises:
            InvalidRequestError: the stream was asked for with `restart`: text has no mark for what is void.
            APIError: while iterating, as of the chunks.
        """
        if self._call.restarts:
            raise text_of_restarts()
        return filter(None, map(_text_of, self))  # no Python function for each piece

    @overload
    def objects(self: Stream[list[ItemT]]) -> Iterator[ItemT]: ...
    @overload
    def objects(self) -> Iterator[ParsedT]: ...
    def objects(self) -> Iterator[Any]:
        """The objects of the answer, read as `response_format` asks for: of `list[T]` each T as soon as it is complete.

        Of a type that is no list, it is the one object at the end. The stream is read for them; each call begins with
        the first. Of an answer that calls tools instead, there are none more.

        Raises:
            InvalidRequestError: the stream was not asked for with `response_format`, or with `restart`.
            StructuredOutputError: an object does not fit; the stream is closed then. The whole answer does not.
            APIError: the call failed, or the answer broke off; its `partial` has what came.
        """
        try:
            return self._each_object(self._partial().objects())
        except InvalidRequestError as error:
            raise without_our_frames(error)  # noqa: B904 - it is the same error

    def _each_object(self, objects: Objects) -> Iterator[Any]:
        try:
            for _ in self:
                yield from objects.complete()
            yield from objects.rest()
        except StructuredOutputError:
            self.close()
            raise

    def close(self) -> None:
        """Free the connection. Idempotent. Another thread may: a wait for the next chunk, or in `open`, ends."""
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

    if not TYPE_CHECKING:
        # Python's own `in` would read the stream to its end, and compare chunks.
        __contains__ = misused("a stream is read once: read it, then look for the text in its `response`")
        __reduce_ex__ = misused("a Stream is read once: it cannot be copied or pickled; its `response` can")
        __aenter__ = __aexit__ = misused(
            "a Stream is of Client, which waits: write `with`, or take AsyncClient for `async with`"
        )
        __await__ = misused("a Stream is not awaited: write `for chunk in stream`, or take AsyncClient for `async for`")

    def __del__(self) -> None:
        if hasattr(self, "_driver"):  # a constructor that failed leaves none behind
            self.close()
