"""One object for each event loop: connections cannot leave the loop that opened them, and end with it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from llmclients.transports.base import running_loop

__all__ = ["LoopBound", "PerLoop", "within"]

T = TypeVar("T")

if sys.version_info >= (3, 11):

    async def within(seconds: float | None, awaitable: Awaitable[T]) -> T:
        """What it comes to, if that takes at most so long; None for any time.

        Raises:
            asyncio.TimeoutError: it took longer, and was cancelled.
        """
        async with asyncio.timeout(seconds):
            return await awaitable

else:  # a task more for each

    async def within(seconds: float | None, awaitable: Awaitable[T]) -> T:
        """As above."""
        return await asyncio.wait_for(awaitable, seconds)


class LoopBound(Protocol):
    """What a `PerLoop` keeps: belongs to one event loop."""

    async def close(self) -> None:
        """Free what it holds; awaited in its own loop. Idempotent."""

    def abort(self) -> None:
        """Begin to free what it holds, without awaiting; called in its own loop. Idempotent."""

    def discard(self) -> None:
        """Drop references without awaiting: the loop is closed."""


H = TypeVar("H", bound=LoopBound)


class PerLoop(Generic[H]):
    """One `H` for each event loop, made when the loop first asks, closed when the loop shuts down.

    An asynchronous generator, begun in the loop and suspended, does the closing: `asyncio.run` closes its loop's
    generators before it closes the loop, and any loop closes a generator that nobody refers to any more.

    Loops may run in several threads at once: the lock is for all that looks at more than one's own entry, and nobody
    waits while it is held.
    """

    def __init__(self, make: Callable[[], H]) -> None:
        self._make = make
        self._objects: dict[asyncio.AbstractEventLoop, tuple[H, AsyncGenerator[None, None]]] = {}
        self._lock = threading.RLock()  # a collector that runs while it is held may come by again

    async def get(self) -> H:
        """The running loop's object."""
        loop = running_loop()
        if (found := self._objects.get(loop)) is not None:
            return found[0]
        self._discard_closed_loops()
        made = self._make()
        closer = _close_with_loop(made)
        with self._lock:
            self._objects[loop] = (made, closer)
        await closer.__anext__()  # it does not wait: no other task comes between
        return made

    async def close(self) -> None:
        """Close all of them: the running loop's now, those of other loops as soon as these get to it."""
        try:
            current = self._objects.pop(asyncio.get_running_loop(), None)
        except RuntimeError:  # no loop runs
            current = None
        self._discard_closed_loops()
        with self._lock:
            others = list(self._objects.items())
            self._objects.clear()
        for loop, (made, closer) in others:
            # What is called holds the closer: a loop that ends before it comes to that still has it to close.
            with suppress(RuntimeError):  # the loop was closed just now
                loop.call_soon_threadsafe(_abort, made, closer)
        if current is not None:
            await current[1].aclose()

    def _discard_closed_loops(self) -> None:
        with self._lock:
            closed = [self._objects.pop(loop) for loop in list(self._objects) if loop.is_closed()]
        for made, _ in closed:
            made.discard()

    def __del__(self) -> None:
        self._discard_closed_loops()


def _abort(made: LoopBound, closer: AsyncGenerator[None, None]) -> None:
    made.abort()


async def _close_with_loop(made: LoopBound) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await made.close()
