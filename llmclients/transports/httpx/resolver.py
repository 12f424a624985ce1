"""Host names to addresses, without the event loop's own threads.

`loop.getaddrinfo` runs in the loop's default executor: a lookup that hangs holds one of its few threads, and
`asyncio.run` waits for it at the end. Here each lookup has a thread of its own, which nobody waits for; whoever asks
for the same name meanwhile shares it. Answers are kept for ten seconds: a thousand connections ask one question.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from time import monotonic

from llmclients.transports.addresses import Address, look_up, numeric_address

__all__ = ["Resolver"]

_KEPT_SECONDS = 10.0
_MAX_KEPT = 1000


class Resolver:
    """The lookups of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._asking: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """At least one.

        Raises:
            Exception: `look_up`'s.
        """
        if (numeric := numeric_address(host, port)) is not None:
            return [numeric]
        key = (host, port)
        if (known := self._known.get(key)) is not None:
            if known[0] > monotonic():
                return known[1]
            del self._known[key]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._loop.create_future()
            threading.Thread(target=self._ask, args=(host, port, asking), name="getaddrinfo", daemon=True).start()
            self._asking[key] = asking
        return await asyncio.shield(asking)

    def _ask(self, host: str, port: int, asking: asyncio.Future[list[Address]]) -> None:
        found: list[Address] = []
        failure: Exception | None = None
        try:
            found = look_up(host, port)
        except Exception as error:  # noqa: BLE001 - raised again by who waits
            failure = error
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(self._answer, (host, port), asking, found, failure)

    def _answer(
        self,
        key: tuple[str, int],
        asking: asyncio.Future[list[Address]],
        found: list[Address],
        failure: Exception | None,
    ) -> None:
        self._asking.pop(key, None)
        if failure is not None:
            asking.set_exception(failure)
            asking.exception()  # whoever asked may be gone
            return
        if len(self._known) >= _MAX_KEPT:
            self._known.clear()
        self._known[key] = (monotonic() + _KEPT_SECONDS, found)
        asking.set_result(found)
