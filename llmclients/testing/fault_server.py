"""A loopback server over bare sockets that says exactly the bytes it is told to, and remembers what it heard.

```python
with FaultServer([http("503 Service Unavailable"), END], [CHUNKED_HEAD, chunked(b"Hel", last=False), RESET]) as server:
    client = Client("yqcloud", base_url=server.url)
```

What scripts are made of is in `script`, scripts for every fault there is in `faults`.
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
    "Reaction",
    "ReceivedRequest",
    "Script",
    "Step",
    "chunked",
    "drip",
    "http",
    "read_request",
    "unused_port",
    "wait_until",
]


Reaction: TypeAlias = Script | Callable[[ReceivedRequest], Script]
"""A script, or a function that has one for a request."""


class FaultServer:
    """Each connection follows the next script; the last one serves all further connections.

    Args:
        scripts: what to say, or functions of a request that return it. May be replaced with `use`.
        tls: speak TLS with this context.
        refuse: take a port, but refuse all connections.
        per_request: each request, not each connection, follows the next script.

    Attributes:
        heard: the requests of each connection, in the order of connections.
        exchanges: how many times a script was begun: as many as requests, and connections that were not to send any.
    """

    def __init__(
        self, *scripts: Reaction, tls: ssl.SSLContext | None = None, refuse: bool = False, per_request: bool = False
    ) -> None:
        self._scripts = scripts
        self._tls = tls
        self._per_request = per_request
        self.heard: list[list[ReceivedRequest]] = []
        self.exchanges = 0
        self._changed = threading.Condition()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._under_way: set[threading.Thread] = set()
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
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, and the threads that serve them."""
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

    def use(self, *scripts: Reaction) -> None:
        """Other scripts, the first for the next connection; what was heard and counted until now is forgotten."""
        with self._changed:
            self._scripts = scripts
            self.heard = []
            self.exchanges = 0

    @property
    def connections(self) -> int:
        """How many connections there were."""
        return len(self.heard)

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests."""
        return [request for requests in self.heard for request in requests]

    def open_connections(self) -> int:
        """How many connections are open, busy or not."""
        with self._changed:
            return len(self._open)

    def open_exchanges(self) -> int:
        """How many scripts are under way."""
        with self._changed:
            return len(self._under_way)

    def wait_for(self, connections: int, seconds: float = 2.0) -> bool:
        """Whether so many connections are open, soon."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) == connections, seconds)

    def wait_for_exchanges(self, exchanges: int, seconds: float = 2.0) -> bool:
        """Whether so many scripts are under way, soon."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._under_way) == exchanges, seconds)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._changed:
                heard: list[ReceivedRequest] = []
                self.heard.append(heard)
                args = (connection, len(self.heard) - 1, heard)
                thread = threading.Thread(target=self._serve, args=args, daemon=True)
                self._open[thread] = connection
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection: socket.socket, number: int, heard: list[ReceivedRequest]) -> None:
        this = threading.current_thread()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open[this] = connection
            while self._once(connection, number, heard):
                with self._changed:
                    self._under_way.discard(this)
                    self._changed.notify_all()
        except (OSError, ValueError):  # the client went away, or the test did
            pass
        finally:
            connection.close()
            with self._changed:
                self._under_way.discard(this)
                del self._open[this]
                self._changed.notify_all()

    def _once(self, connection: socket.socket, number: int, heard: list[ReceivedRequest]) -> bool:
        """One exchange; whether the connection goes on."""
        request = ReceivedRequest()
        script = self._script(number)
        early = not callable(script) and EARLY in script
        if not early and not (request := ReceivedRequest(read_request(connection))):
            return False
        with self._changed:
            script = self._script(number)
            self.exchanges += 1
            if request:
                heard.append(request)
            self._under_way.add(threading.current_thread())
            self._changed.notify_all()
        steps = steps_of(script(request) if callable(script) else script)
        return all(self._say(connection, step) for step in steps) and not early

    def _script(self, number: int) -> Reaction:
        return self._scripts[min(self.exchanges if self._per_request else number, len(self._scripts) - 1)]

    def _say(self, connection: socket.socket, step: bytes | float | str | Forever) -> bool:
        """One step; whether the connection goes on."""
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Forever):
            while all(self._say(connection, inner) for inner in steps_of(step.steps)):
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
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 2.0) -> bool:
    """Whether `condition()` becomes true, soon."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
