"""uvicorn as the relay runs it: its settings, its loop, and how it ends: at once, or when all answers are complete.

How SIGTERM ends it. The signal's handler notes it, and the relay drains from then on: it goes on listening, so that
`/readyz` can say that it is about to end, but answers new requests with a 503. The server looks at it at once, and
then ten times a second (`on_tick`), and ends when no request is under way, or when `drain_seconds` are over. A second
SIGTERM does not wait. SIGHUP is noted in the same way: the file is read in the loop, between two requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from llmclients.relay.connections import Connections
from llmclients.relay.listener import Listener
from llmclients.relay.log import LOG_NAME
from llmclients.relay.operations import Operations

__all__ = ["DrainingServer", "PromptServer", "run_server", "server_config"]

_TICK_SECONDS = 0.1
_END_SECONDS = 0.5  # for each of what is left when the server has ended
_CUT_SECONDS = 0.2  # until what has not ended in time is cut

_log = logging.getLogger(LOG_NAME)


class PromptServer(uvicorn.Server):
    """A server that ends as soon as it is to, where nothing is under way. uvicorn itself looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now at what is to be done. Any thread may call it, and a signal's handler."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed already
                loop.call_soon_threadsafe(self._woken.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864000
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK_SECONDS)
            self._woken.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or ():
            if isinstance(listener, Listener):
                await listener.stop()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(2):  # in which connections without a request are closed
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        elif not self.force_exit:
            await self.lifespan.shutdown()


class DrainingServer(PromptServer):
    """A server that drains on SIGTERM, reads its configuration on SIGHUP, and knows which signals have come.

    Attributes:
        was_interrupted: whether a SIGINT has come.
        was_terminated: whether a SIGTERM has.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        operations: Operations,
        drain_seconds: float,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self.was_interrupted = self.was_terminated = False
        self._operations, self._drain_seconds, self._reload = operations, drain_seconds, reload
        self._drain_until: float | None = None
        self._must_reload = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:
            self.was_interrupted = True
            super().handle_exit(sig, frame)
        elif self.was_terminated:
            self._drain_seconds = 0
        else:
            self.was_terminated = True
            self._operations.drain()
        self.wake()

    def handle_hangup(self, sig: int, frame: FrameType | None) -> None:
        """The configuration is to be read again."""
        self._must_reload = True
        self.wake()

    async def on_tick(self, counter: int) -> bool:
        if self._must_reload:
            self._must_reload = False
            await self._reload()
        if self.was_terminated and self._is_drained():
            self.should_exit = True
        return await super().on_tick(counter)

    def _is_drained(self) -> bool:
        left, now = self._operations.under_way, time.monotonic()
        if self._drain_until is None:
            self._drain_until = now + self._drain_seconds
            _log.info("SIGTERM: %d requests are under way; %g s are left for them", left, self._drain_seconds)
        if left and now < self._drain_until and self._drain_seconds:
            return False
        if left:
            _log.warning("SIGTERM: %d requests did not end in time, and are cut", left)
            self.config.timeout_graceful_shutdown = _CUT_SECONDS  # type: ignore[assignment]
        return True


def server_config(
    app: Starlette, connections: Connections, *, grace: float, context: ssl.SSLContext | None = None
) -> uvicorn.Config:
    """`grace`: how long a stop waits for answers that are under way, in seconds. `context`: for TLS."""
    config = uvicorn.Config(
        connections.application(app),
        http=connections.protocol,  # type: ignore[arg-type]
        h11_max_incomplete_event_size=connections.limits.head_bytes,
        timeout_keep_alive=connections.limits.idle_seconds,  # type: ignore[arg-type]
        backlog=128,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        server_header=False,
        access_log=False,
        # The relay has its own log. This one would call every connection that has to be cut an error.
        log_config=None,
        log_level="critical",
        timeout_graceful_shutdown=grace,  # type: ignore[arg-type]
    )
    config.load()  # here, so that what is wrong with it is an error here
    config.ssl = context  # as it is read again for a new certificate, it is ours
    return config


def run_server(server: uvicorn.Server, listener: Listener, connections: Connections) -> None:
    """Serve until the server is to end.

    Not by `asyncio.run`, which waits at its end for whatever the loop's executor does, such as looking up a name, and
    for each task, however long it takes.
    """
    listener.connections = connections
    loop = asyncio.new_event_loop()
    with contextlib.closing(listener), contextlib.closing(loop):
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(server.serve(sockets=[listener]))
        finally:
            loop.run_until_complete(_end(connections))
            asyncio.set_event_loop(None)


async def _end(connections: Connections) -> None:
    """End what is left when the server has ended."""
    connections.abort_all()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_END_SECONDS)
    await asyncio.sleep(0)  # in which the connections are closed
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().shutdown_asyncgens(), _END_SECONDS)
