"""`FaultServer`: a loopback server over bare sockets that sends exactly the bytes of a script, and keeps the requests.

```python
with FaultServer([http("503 Service Unavailable"), END], [CHUNKED_HEAD, chunked(b"Hel", last=False), RESET]) as server:
    client = Client("yqcloud", base_url=server.url)
```

What scripts are made of is in `script`, scripts for every fault there is in `faults`.

One thread accepts, and each connection has a thread that plays its scripts. `_changed` guards what they share: the
scripts, the requests, the count of exchanges, and which threads have a connection or are in the middle of a script.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from llmclients.testing.received import ReceivedRequest, read_request
from llmclients.testing.script import (
    CHUNKED_HEAD,
    EARLY,
    END,
    HOLD,
    RESET,
    Forever,
    Script,
    Step,
    chunked,
    drip,
    http,
    reset,
    steps_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "CHUNKED_HEAD",
    "EARLY",
    "END",
    "HOLD",
    "RESET",
    "FaultServer",
    "Forever",
    "ReceivedRequest",
    "Script",
    "ScriptSource",
    "Step",
    "chunked",
    "drip",
    "http",
    "read_request",
    "unused_port",
    "wait_until",
]

ScriptSource: TypeAlias = Script | Callable[[ReceivedRequest], Script]
"""A script, or a function that returns one for a request."""


class FaultServer:
    """A server on a free port of 127.0.0.1, from its creation to `close`, or the end of `with`.

    Each connection plays the next script, once for each request; the last script serves all further connections.

    Args:
        scripts: what to send, or functions of a request that return it. May be replaced with `use`.
        tls: speak TLS with this context.
        refuse: take a port, but refuse all connections.
        per_request: each request, not each connection, takes the next script.

    Attributes:
        port: the port.
        url: `http://127.0.0.1:PORT`, or `https`.
        received: the requests of each connection, in the order of connections.
        exchanges: how many times a script was begun: for each request, and for each connection whose script is `EARLY`.
    """

    def __init__(
        self, *scripts: ScriptSource, tls: ssl.SSLContext | None = None, refuse: bool = False, per_request: bool = False
    ) -> None:
        self._scripts = scripts
        self._tls = tls
        self._per_request = per_request
        self.received: list[list[ReceivedRequest]] = []
        self.exchanges = 0
        self._changed = threading.Condition()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._playing: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        if not refuse:
            self._socket.listen(2048)
            self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, and the threads that serve them, waiting 5 seconds at most for each."""
        self._stopping.set()
        with suppress(OSError):  # it does not listen
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._acceptor.ident is not None:
            self._acceptor.join(5)
        with self._changed:
            threads = list(self._open)
            for connection in self._open.values():
                with suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        self._socket.close()

    def use(self, *scripts: ScriptSource) -> None:
        """Replace the scripts, the first being for the next connection, and forget all requests and counts."""
        with self._changed:
            self._scripts = scripts
            self.received = []
            self.exchanges = 0

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return len(self.received)

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests of all connections."""
        return [request for requests in self.received for request in requests]

    def open_connections(self) -> int:
        """How many connections are open, busy or idle."""
        with self._changed:
            return len(self._open)

    def open_exchanges(self) -> int:
        """How many connections are in the middle of a script."""
        with self._changed:
            return len(self._playing)

    def wait_for(self, connections: int, seconds: float = 2.0) -> bool:
        """Wait until exactly so many connections are open; False if that takes longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) == connections, seconds)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._changed:
                requests: list[ReceivedRequest] = []
                self.received.append(requests)
                args = (connection, len(self.received) - 1, requests)
                thread = threading.Thread(target=self._serve, args=args, daemon=True)
                self._open[thread] = connection
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection: socket.socket, number: int, requests: list[ReceivedRequest]) -> None:
        this = threading.current_thread()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open[this] = connection
            while self._exchange(connection, number, requests):
                with self._changed:
                    self._playing.discard(this)
                    self._changed.notify_all()
        except (OSError, ValueError):  # the client went away, or the test did
            pass
        finally:
            connection.close()
            with self._changed:
                self._playing.discard(this)
                del self._open[this]
                self._changed.notify_all()

    def _exchange(self, connection: socket.socket, number: int, requests: list[ReceivedRequest]) -> bool:
        """Read a request and play a script; whether the connection goes on.

        A script that is `EARLY` is played before any request, once.
        """
        request = ReceivedRequest()
        source = self._script_source(number)
        early = not callable(source) and EARLY in source
        if not early and not (request := ReceivedRequest(read_request(connection))):
            return False
        with self._changed:
            source = self._script_source(number)  # again: `use`, or another request, may have come meanwhile
            self.exchanges += 1
            if request:
                requests.append(request)
            self._playing.add(threading.current_thread())
            self._changed.notify_all()
        steps = steps_of(source(request) if callable(source) else source)
        return all(self._play(connection, step) for step in steps) and not early

    def _script_source(self, number: int) -> ScriptSource:
        return self._scripts[min(self.exchanges if self._per_request else number, len(self._scripts) - 1)]

    def _play(self, connection: socket.socket, step: bytes | float | str | Forever) -> bool:
        """Perform one step; whether the connection goes on."""
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Forever):
            while all(self._play(connection, inner) for inner in steps_of(step.steps)):
                pass
            return False
        elif not isinstance(step, str):
            return not self._stopping.wait(step)
        elif step == HOLD:
            while connection.recv(65536):
                pass
            return False
        elif step == RESET:
            reset(connection)
            return False
        return step != END


def unused_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, as yet."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 2.0) -> bool:
    """Wait until `condition()` is true; False if that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
