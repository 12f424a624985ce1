"""The relay as an HTTP server (uvicorn): `RelayServer` in a thread, `serve` in the foreground.

How SIGINT ends `serve`. Three parties handle the signal, one after the other:

- until the relay is ready, Python's own handler, which raises KeyboardInterrupt wherever the program is;
- from then on `_Server.handle_exit`, which only notes the signal and asks the server to stop. It is set before asyncio
  and uvicorn set theirs. asyncio's would cancel the main task, and forgets a signal that comes while it is being set;
- while it serves, uvicorn, by the same method. When all is closed, uvicorn restores the handler that it found and
  raises the signal once more.

Then `serve` raises KeyboardInterrupt itself, because a SIGINT came. It does not leave that to the second signal, which
does nothing in a process that was started with SIGINT ignored, as by a shell that runs it in the background (`relay &`
in a script). A handler that the program has set itself stays, and gets the second signal: what it means is the
program's to decide.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

from llmclients.async_client import AsyncClient
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.relay.access import check_bind, check_key
from llmclients.relay.app import DEFAULT_MAX_REQUEST_BYTES, create_app
from llmclients.relay.connections import Connections
from llmclients.relay.limits import ConnectionLimits
from llmclients.relay.listener import Listener, base_url, open_listener

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.history import History

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "RelayServer", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8811

_STOP_SECONDS = 2.5
_END_SECONDS = 0.5  # for each of what is left when the server has ended

_log = logging.getLogger("llmclients.relay")


class RelayServer:
    """A relay in a thread of this process, from `with` (or `start`) until its end (or `stop`).

    The relay has an event loop of its own, in that thread. `start` and `stop` may be called from any other thread.

    Args:
        client: as `create_app`. A client that is brought stays the caller's to close.
        host: the address to listen on. One that others can reach needs an `api_key`.
        port: the port; 0 for any that is free.
        api_key: as `create_app`.
        defaults: as `create_app`.
        max_request_bytes: as `create_app`.
        limits: how many connections there may be, and how long each may take. Default: `ConnectionLimits()`.
        page: as `create_app`.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """

    def __init__(
        self,
        client: AsyncClient | str = "local",
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        api_key: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
        limits: ConnectionLimits | None = None,
        page: bool | History = True,
    ) -> None:
        if not isinstance(host, str):
            raise ConfigurationError(f"host must be a name or an address, not {type(host).__name__}", argument="host")
        if isinstance(port, bool) or not isinstance(port, int):
            raise ConfigurationError(f"port must be a whole number, not {port!r}", argument="port")
        check_bind(host, check_key(api_key))
        self._host, self._port, self._limits = host, port, limits or ConnectionLimits()
        self._create_app = functools.partial(
            create_app, client, api_key=api_key, defaults=defaults, max_request_bytes=max_request_bytes, page=page
        )
        self._thread: _Thread | None = None
        self._server: uvicorn.Server | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The relay's address, to put a wire's prefix after: `http://127.0.0.1:PORT`.

        Raises:
            LLMClientError: the relay is not running.
        """
        if not self._url:
            raise LLMClientError("the relay is not running")
        return self._url

    def start(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: the address cannot be listened on.
            LLMClientError: the relay is running already.
        """
        if self._thread is not None:
            raise LLMClientError("the relay is running already")
        connections = Connections(self._limits)
        # A stop waits no longer than this for answers that are under way.
        config = _config(self._create_app(), connections, grace=0.2)
        config.load()  # here, so that what is wrong with it is an error here
        listener = open_listener(self._host, self._port)
        self._url = base_url(self._host, listener)
        self._server = uvicorn.Server(config)
        # What connects before the thread has come that far waits in the listener's queue.
        self._thread = _Thread(self._server, listener, connections)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; break off what is under way. Idempotent; any thread may call it, and a signal's handler.

        It returns within three seconds, also if something in the relay's loop does not end: that is left behind then,
        in its thread, and the log says so.
        """
        thread, server = self._thread, self._server
        if thread is None or server is None:
            return
        server.should_exit = True  # the loop looks at it ten times a second
        # A signal may come before `start` has started the thread, which then ends at once; and the thread itself, as
        # in a callback of the client's, cannot wait for its own end.
        can_wait = thread.ident is not None and thread is not threading.current_thread()
        if can_wait and not thread.has_ended_within(_STOP_SECONDS):
            _log.error("the relay's thread has not ended in %g seconds: it is left behind", _STOP_SECONDS)
        if self._thread is thread:  # nobody else has stopped it meanwhile, and started it again
            self._thread = self._server = None
            self._url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    client: AsyncClient | str = "local",
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    limits: ConnectionLimits | None = None,
    page: bool | History = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; a second SIGINT does not wait for answers that are under way.

    Args:
        client: as `create_app`, and so the others that are not here.
        host: the address to listen on. One that others can reach needs an `api_key`.
        port: the port; 0 for any that is free.
        limits: as `RelayServer`.
        page: as `create_app`.
        ready: called with the relay's URL once it listens.

    Raises:
        ConfigurationError: naming the argument that is wrong; the address cannot be listened on.
        KeyboardInterrupt: it was ended by SIGINT, also where the process was started with SIGINT ignored. A handler
            that the program has set for SIGINT is called instead.
    """
    check_bind(host, check_key(api_key))
    app = create_app(client, api_key=api_key, defaults=defaults, max_request_bytes=max_request_bytes, page=page)
    listener = open_listener(host, port)
    connections = Connections(limits or ConnectionLimits())
    server = _Server(_config(app, connections, grace=5))
    with contextlib.closing(listener), _sigint_handler(signal.default_int_handler):
        if ready is not None:
            ready(base_url(host, listener))
        with _sigint_handler(server.handle_exit) as is_set:
            _run(server, listener, connections)
        if is_set and server.interrupted:
            raise KeyboardInterrupt


class _Thread(threading.Thread):
    """The thread of a `RelayServer`."""

    def __init__(self, server: uvicorn.Server, listener: Listener, connections: Connections) -> None:
        super().__init__(name="llmclients-relay", daemon=True)
        self._arguments = (server, listener, connections)
        self._has_ended = False

    def run(self) -> None:
        try:
            _run(*self._arguments)
        finally:
            self._has_ended = True

    def has_ended_within(self, seconds: float) -> bool:
        """Whether it has ended, after waiting for that.

        `join` alone takes a lock: a signal's handler that calls it in the middle of another `join` would wait for
        itself. So this looks, and leaves to `join` only the moment from the thread's last line to its end.
        """
        deadline = time.monotonic() + seconds
        while not self._has_ended and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._has_ended:
            self.join(0.1)
        return self._has_ended


class _Server(uvicorn.Server):
    """A server that knows whether a SIGINT has come."""

    interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.interrupted = self.interrupted or sig == signal.SIGINT
        super().handle_exit(sig, frame)


# What Python sets when it starts; anything else is the program's choice.
_REPLACED_HANDLERS = (signal.default_int_handler, signal.SIG_IGN)


@contextlib.contextmanager
def _sigint_handler(handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Set a handler for SIGINT, unless the program has one of its own. Yields whether it was set."""
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread can set handlers; in another one, no signal ends the server.
    if threading.current_thread() is not threading.main_thread() or before not in _REPLACED_HANDLERS:
        yield False
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield True
    finally:
        signal.signal(signal.SIGINT, before)


def _run(server: uvicorn.Server, listener: Listener, connections: Connections) -> None:
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


def _config(app: Starlette, connections: Connections, *, grace: float) -> uvicorn.Config:
    """`grace`: how long a stop waits for answers that are under way, in seconds."""
    return uvicorn.Config(
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
