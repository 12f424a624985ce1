"""Small proxies on loopback: HTTP with CONNECT, and SOCKS5 that resolves names itself. Both send every host to one port."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType

from llmclients.testing.fault_server import read_request


class Proxy:
    """Relays to `target`, a port on loopback, whatever host it is asked for.

    Attributes:
        asked: what clients asked it for: the first line of a request, or the host of a SOCKS command.
        answer: what it answers itself, in place of the target.
    """

    answer = b""

    scheme = "http"

    def __init__(self, target: int, user: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self._target = target
        self._user = user
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._sockets: list[socket.socket] = [self._socket]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, user: str = "") -> str:
        return f"{'https' if self._tls else self.scheme}://{user}127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._start(self._serve, client)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _serve(self, client: socket.socket) -> None:
        self._sockets.append(client)
        with suppress(OSError, IndexError, ValueError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._sockets.append(client)
            if (first := self._greet(client)) is not None:
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(server)
                server.sendall(first)
                self._start(_copy, server, client)
                _copy(client, server)
        with suppress(OSError):
            client.close()

    def _greet(self, client: socket.socket) -> bytes | None:
        """What to send to the target first; None to hang up."""
        request = read_request(client)
        head, _, _ = request.partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        self.asked.append(line)
        if self._user is not None:
            token = base64.b64encode(":".join(self._user).encode()).decode()
            sent = dict(header.split(": ", 1) for header in headers)
            if f"Basic {token}" not in [value for name, value in sent.items() if name.lower() == "proxy-authorization"]:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return None
        if self.answer:
            client.sendall(self.answer)
            return None
        if line.startswith("CONNECT"):
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return b""
        return request


class SocksProxy(Proxy):
    """SOCKS5."""

    scheme = "socks5"

    def _greet(self, client: socket.socket) -> bytes | None:
        methods = client.recv(2)[1]
        offered = client.recv(methods)
        wanted = 0 if self._user is None else 2
        client.sendall(bytes([5, wanted if wanted in offered else 255]))
        if wanted not in offered:
            return None
        if self._user is not None:
            client.recv(1)
            user, password = (client.recv(client.recv(1)[0]).decode() for _ in range(2))
            client.sendall(bytes([1, (user, password) != self._user]))
            if (user, password) != self._user:
                return None
        address_type = client.recv(4)[3]
        host = client.recv(client.recv(1)[0]).decode() if address_type == 3 else socket.inet_ntoa(client.recv(4))
        port = int.from_bytes(client.recv(2), "big")
        self.asked.append(f"{'name' if address_type == 3 else 'address'} {host}:{port}")
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        return b""


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
