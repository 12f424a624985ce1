"""The relay as an HTTP server: `RelayServer` in a thread, `serve` in the foreground.

How SIGINT ends `serve`. Three parties handle the signal, one after the other:

- until the relay is ready, Python's own handler, which raises KeyboardInterrupt wherever the program is;
- from then on `DrainingServer.handle_exit`, which only notes the signal and asks the server to stop. It is set before
  asyncio and uvicorn set theirs. asyncio's would cancel the main task, and forgets a signal that comes meanwhile;
- while it serves, uvicorn, by the same method. When all is closed, uvicorn restores the handler that it found and
  raises the signal once more.

Then `serve` raises KeyboardInterrupt itself, because a SIGINT came. It does not leave that to the second signal, which
does nothing in a process that was started with SIGINT ignored, as by a shell that runs it in the background (`relay &`
in a script). A handler that the program has set itself stays, and gets the second signal: what it means is the
program's to decide.

SIGTERM has one handler from the moment that the relay listens, `DrainingServer.handle_exit`, and ends `serve` with a
plain return: what was asked for has happened. A handler of the program's own is called after that.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

from llmclients.async_client import AsyncClient
from llmclients.errors import LLMClientError
from llmclients.relay.app import make_app, resolve
from llmclients.relay.config import RelayConfig
from llmclients.relay.connections import Connections
from llmclients.relay.limits import ConnectionLimits
from llmclients.relay.listener import Listener, base_url, open_listener
from llmclients.relay.log import LOG_NAME
from llmclients.relay.reloading import Reloader
from llmclients.relay.running import DrainingServer, PromptServer, run_server, server_config
from llmclients.relay.settings import ServerSettings
from llmclients.relay.tls import server_context

if TYPE_CHECKING:
    from typing_extensions import Self

    from llmclients.history import History

__all__ = ["RelayServer", "serve"]

_STOP_SECONDS = 2.5
_GRACE_SECONDS = 5.0  # that SIGINT waits for answers

_log = logging.getLogger(LOG_NAME)


class RelayServer:
    """A relay in a thread of this process, from `with` (or `start`) until its end (or `stop`).

    The relay has an event loop of its own, in that thread. `start` and `stop` may be called from any other thread.

    Args:
        client: as `create_app`. A client that is brought stays the caller's to close.
        host: the address to listen on. One that others can reach needs a key. Default: `127.0.0.1`.
        port: the port; 0 for any that is free.
        api_key: as `create_app`.
        defaults: as `create_app`.
        max_request_bytes: as `create_app`.
        lenient: as `create_app`.
        limits: how many connections there may be, and how long each may take. Default: `ConnectionLimits()`.
        cors_origins: as `create_app`.
        certfile: the certificate's file (PEM), for TLS.
        keyfile: its key's file, where that is another one.
        page: as `create_app`.

    Raises:
        ConfigurationError: naming the argument that is wrong.
    """

    def __init__(
        self,
        client: AsyncClient | str | RelayConfig = "local",
        *,
        host: str | None = None,
        port: int = 0,
        api_key: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        max_request_bytes: int | None = None,
        lenient: bool | None = None,
        limits: ConnectionLimits | None = None,
        cors_origins: Sequence[str] | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        page: bool | History | None = None,
    ) -> None:
        changes = {
            "host": host,
            "port": port,
            "api_key": api_key,
            "max_request_bytes": max_request_bytes,
            "lenient": lenient,
            "limits": limits,
            "cors_origins": cors_origins,
            "certfile": certfile,
            "keyfile": keyfile,
            "page": page,
        }
        self._client, self._config = resolve(client, changes, defaults)
        self._config.server.check_keys(has_client_keys=bool(self._config.client_keys))
        self._thread: _Thread | None = None
        self._server: PromptServer | None = None
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
        settings = self._config.server
        context = _context(settings)
        connections = Connections(settings.limits, is_tls=context is not None)
        # A stop waits no longer than this for answers that are under way.
        config = server_config(make_app(self._client, self._config), connections, grace=0.2, context=context)
        listener = open_listener(settings.host, settings.port)
        self._url = base_url(settings.host, listener, is_tls=context is not None)
        self._server = PromptServer(config)
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
        server.should_exit = True
        server.wake()
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
    client: AsyncClient | str | RelayConfig = "local",
    *,
    host: str | None = None,
    port: int | None = None,
    api_key: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    max_request_bytes: int | None = None,
    lenient: bool | None = None,
    limits: ConnectionLimits | None = None,
    cors_origins: Sequence[str] | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
    drain_seconds: float | None = None,
    page: bool | History | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    SIGINT waits five seconds for answers that are under way, a second one does not. SIGTERM waits `drain_seconds`.
    SIGHUP reads the file of a `RelayConfig`, and the certificate, again: no stream ends for that.

    Args:
        client: as `create_app`, and so the others that are not here.
        host: the address to listen on. One that others can reach needs a key. Default: `127.0.0.1`.
        port: the port; 0 for any that is free. Default: 8811.
        limits: as `RelayServer`.
        certfile: as `RelayServer`, and so `keyfile`.
        drain_seconds: how long SIGTERM waits for answers that are under way. Default: 20.
        page: as `create_app`.
        ready: called with the relay's URL once it listens.

    Raises:
        ConfigurationError: naming the argument, or the file and the member, that is wrong; the address cannot be
            listened on.
        KeyboardInterrupt: it was ended by SIGINT, also where the process was started with SIGINT ignored. A handler
            that the program has set for SIGINT is called instead.
    """
    changes = {
        "host": host,
        "port": port,
        "api_key": api_key,
        "max_request_bytes": max_request_bytes,
        "lenient": lenient,
        "limits": limits,
        "cors_origins": cors_origins,
        "certfile": certfile,
        "keyfile": keyfile,
        "drain_seconds": drain_seconds,
        "page": page,
    }
    app, config, context = prepare(client, changes, defaults)
    settings = config.server
    reloader = Reloader(app, config, changes, defaults, context)
    listener = open_listener(settings.host, settings.port)
    connections = Connections(settings.limits, is_tls=context is not None)
    server = DrainingServer(
        server_config(app, connections, grace=_GRACE_SECONDS, context=context),
        app.state.operations,
        settings.drain_seconds,
        reloader.reload,
    )
    with contextlib.closing(listener), _handler(signal.SIGINT, signal.default_int_handler):
        with _handler(signal.SIGTERM, server.handle_exit) as is_ours, _hangup_handler(server, reloader):
            if ready is not None:
                ready(base_url(settings.host, listener, is_tls=context is not None))
            with _handler(signal.SIGINT, server.handle_exit) as is_set:
                run_server(server, listener, connections)
        if server.was_terminated and not is_ours and threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGTERM)
        if is_set and server.was_interrupted:
            raise KeyboardInterrupt


def prepare(
    client: AsyncClient | str | RelayConfig, changes: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> tuple[Starlette, RelayConfig, ssl.SSLContext | None]:
    """All that `serve` needs besides an address to listen on: the application, its configuration, TLS.

    Raises:
        ConfigurationError: as `serve`.
    """
    answers, config = resolve(client, changes, defaults)
    config.server.check_keys(has_client_keys=bool(config.client_keys))
    return make_app(answers, config), config, _context(config.server)


def _context(settings: ServerSettings) -> ssl.SSLContext | None:
    return None if settings.certfile is None else server_context(settings.certfile, settings.keyfile)


def _hangup_handler(server: DrainingServer, reloader: Reloader) -> contextlib.AbstractContextManager[Any]:
    """Read again on SIGHUP, where there is something to read, and such a signal."""
    if not reloader.has_files or not hasattr(signal, "SIGHUP"):
        return contextlib.nullcontext()
    return _handler(signal.SIGHUP, server.handle_hangup)


class _Thread(threading.Thread):
    """The thread of a `RelayServer`."""

    def __init__(self, server: uvicorn.Server, listener: Listener, connections: Connections) -> None:
        super().__init__(name="llmclients-relay", daemon=True)
        self._arguments = (server, listener, connections)
        self._has_ended = False

    def run(self) -> None:
        try:
            run_server(*self._arguments)
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


# What Python sets when it starts; anything else is the program's choice.
_REPLACED_HANDLERS = (signal.default_int_handler, signal.SIG_IGN, signal.SIG_DFL)


@contextlib.contextmanager
def _handler(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Set a handler for a signal, unless the program has one of its own. Yields whether it was set."""
    before = signal.getsignal(number)
    # Only the main thread can set handlers; in another one, no signal ends the server.
    if threading.current_thread() is not threading.main_thread() or before not in _REPLACED_HANDLERS:
        yield False
        return
    signal.signal(number, handler)
    try:
        yield True
    finally:
        signal.signal(number, before)
