"""A loopback server over bare sockets that says exactly the bytes it is told to, and remembers what it heard.

A script is a list of steps: bytes are sent, numbers are seconds of silence, `RESET` and `END` end the connection, `HOLD` waits
for the client to end it, `EARLY` makes what follows happen before a request was read. A script that does not end the connection
serves the next request on it from the start.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

RESET, END, HOLD, EARLY = "reset", "end", "hold", "early"

Step = bytes | float | str
Script = Sequence[Step]


def http(
    status: str = "200 OK", headers: Sequence[tuple[str, str]] = (), body: bytes | None = b"", version: str = "1.1"
) -> bytes:
    """A response; with `body=None` only its head, without a length."""
    lines = [f"HTTP/{version} {status}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*pieces: bytes, last: bool = True) -> bytes:
    """Pieces in the chunked transfer coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if last else b"")


CHUNKED_HEAD = http(headers=[("Transfer-Encoding", "chunked")], body=None)


class RawServer:
    """Each connection follows the next script; the last one serves all further connections.

    Attributes:
        heard: the requests of each connection, in the order of connections.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.heard: list[list[bytes]] = []
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    @property
    def connections(self) -> int:
        """How many connections there were."""
        return len(self.heard)

    @property
    def requests(self) -> list[bytes]:
        """All requests."""
        return [request for requests in self.heard for request in requests]

    def open_connections(self) -> int:
        with self._changed:
            return len(self._open)

    def wait_for(self, connections: int, seconds: float = 2.0) -> bool:
        """Whether so many connections are open, soon."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) == connections, seconds)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._changed:
                number = len(self.heard)
                self.heard.append([])
                self._open.add(connection)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        raw = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            script = self._scripts[min(number, len(self._scripts) - 1)]
            while self._once(connection, script, self.heard[number]):
                pass
        except (OSError, ValueError):  # the client went away, or the test did
            pass
        finally:
            connection.close()
            with self._changed:
                self._open.discard(raw)
                self._changed.notify_all()

    def _once(self, connection: socket.socket, script: Script, heard: list[bytes]) -> bool:
        """One exchange; whether the connection goes on."""
        if EARLY not in script:
            request = read_request(connection)
            if not request:
                return False
            heard.append(request)
        for step in script:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, str):
                if step == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                if step == END:
                    return False
                if step == HOLD:
                    while connection.recv(65536):
                        pass
                    return False
            elif self._stopping.wait(step):
                return False
        return EARLY not in script


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; none when the client has closed the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_until(condition: object, seconds: float = 2.0) -> bool:
    """Whether `condition()` becomes true, soon."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
