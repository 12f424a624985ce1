"""One object for each event loop: connections cannot leave the loop that opened them, and end with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

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

    def discard(self) -> None:
        """Drop references without awaiting: the loop is closed."""


H = TypeVar("H", bound=LoopBound)


class PerLoop(Generic[H]):
    """One `H` for each event loop, made when the loop first asks, closed when the loop shuts down.

    An asynchronous generator, begun in the loop and suspended, does the closing: `asyncio.run` closes its loop's
    generators before it closes the loop, and any loop closes a generator that nobody refers to any more.
    """

    def __init__(self, make: Callable[[], H]) -> None:
        self._make = make
        self._objects: dict[asyncio.AbstractEventLoop, tuple[H, AsyncGenerator[None, None]]] = {}

    async def get(self) -> H:
        """The running loop's object."""
        loop = asyncio.get_running_loop()
        if (found := self._objects.get(loop)) is not None:
            return found[0]
        self._discard_closed_loops()
        made = self._make()
        closer = _close_with_loop(made)
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
        self._objects.clear()
        if current is not None:
            await current[1].aclose()

    def _discard_closed_loops(self) -> None:
        for loop in [loop for loop in self._objects if loop.is_closed()]:
            self._objects.pop(loop)[0].discard()

    def __del__(self) -> None:
        self._discard_closed_loops()


async def _close_with_loop(made: LoopBound) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await made.close()
