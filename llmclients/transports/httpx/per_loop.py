"""What belongs to an event loop, and ends with it: connections cannot leave the loop that opened them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:  # aiohttp brings it where Python has none
    from async_timeout import timeout_at  # type: ignore[import-not-found, unused-ignore]

__all__ = ["Held", "PerLoop", "timeout_at"]


class Held(Protocol):
    """Something that a loop has one of."""

    async def close(self) -> None:
        """Free it, in its loop. Idempotent."""

    def bury(self) -> None:
        """Forget it: its loop was closed under it."""


H = TypeVar("H", bound=Held)


class PerLoop(Generic[H]):
    """One `H` for each event loop, made when the loop first asks, closed when the loop shuts down.

    A generator that waits in the loop does the closing: `asyncio.run` closes the generators of its loop before it
    closes the loop, and any loop closes a generator that was dropped.
    """

    def __init__(self, make: Callable[[], H]) -> None:
        self._make = make
        self._held: dict[asyncio.AbstractEventLoop, tuple[H, AsyncGenerator[None, None]]] = {}

    async def get(self) -> H:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        if (found := self._held.get(loop)) is not None:
            return found[0]
        self._bury_dead()
        held = self._make()
        guard = _guard(held)
        self._held[loop] = (held, guard)
        await guard.__anext__()  # it does not wait: no other task comes between
        return held

    async def close(self) -> None:
        """Close all of them: the running loop's now, those of other loops as soon as these get to it."""
        try:
            own = self._held.pop(asyncio.get_running_loop(), None)
        except RuntimeError:  # no loop runs
            own = None
        self._bury_dead()
        self._held.clear()
        if own is not None:
            await own[1].aclose()

    def _bury_dead(self) -> None:
        for loop in [loop for loop in self._held if loop.is_closed()]:
            self._held.pop(loop)[0].bury()

    def __del__(self) -> None:
        self._bury_dead()


async def _guard(held: Held) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await held.close()
