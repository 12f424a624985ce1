"""What a `FaultServer` hears."""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = ["ReceivedRequest", "read_request"]


class ReceivedRequest(bytes):
    """A request, byte for byte."""

    @property
    def method(self) -> str:
        """GET, POST, or what it was."""
        return self.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The path, or all of the URL where a proxy is asked."""
        return self.split(b" ", 2)[1].decode("latin-1")

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        lines = self.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        """What follows the head."""
        return self.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


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
        piece = connection.recv(65536)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body
