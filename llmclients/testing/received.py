"""`ReceivedRequest`: a request as a `FaultServer` has read it, and its parts."""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = ["ReceivedRequest", "read_request"]


class ReceivedRequest(bytes):
    """A request, byte for byte. Its properties trust it to be well formed."""

    @property
    def method(self) -> str:
        """GET, POST, or what it was."""
        return self.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The path and query; the whole URL where a proxy is asked."""
        return self.split(b" ", 2)[1].decode("latin-1")

    @property
    def headers(self) -> dict[str, str]:
        """By name, in lower case; of several with one name, the last."""
        lines = self.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        """What follows the head."""
        return self.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        """The body, parsed.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body)


def read_request(connection: socket.socket) -> bytes:
    """Read one request, head and body; empty if the client closes the connection before it is complete.

    The body is as long as `Content-Length` says. Chunked ones are not read: no client here sends any.
    """
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
