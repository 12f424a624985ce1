"""An asynchronous connection gives the same head and body however the bytes are cut: at each place, and byte by byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from llmclients.testing.fault_server import chunked, http
from llmclients.transports.httpx.protocol import Connection

INTERIM = http("103 Early Hints", [("Link", "</style.css>")], None)
REPLIES = {
    "chunked": http(headers=[("X-A", "1"), ("Transfer-Encoding", "chunked")], body=None) + chunked(b"hello", b"world"),
    "length": http(headers=[("X-A", "1"), ("Content-Length", "10")], body=None) + b"helloworld",
    "bare line ends": b"HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 10\n\nhelloworld",
    "folded spaces": b"HTTP/1.1 200 OK\r\nX-A:\t 1 \r\nContent-Length: 10\r\n\r\nhelloworld",
    "after interim heads": INTERIM + INTERIM + http(headers=[("X-A", "1"), ("Content-Length", "10")], body=None) + b"helloworld",
}  # fmt: skip


class Wire(asyncio.Transport):
    """Takes the request, and can do nothing else."""

    def write(self, data: Any) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]
    yield [data[place : place + 1] for place in range(len(data))]


async def receive(sock: socket.socket, pieces: list[bytes]) -> tuple[int, str | None, bytes, bool]:
    """The status, a header, the body, and whether another exchange may follow."""
    connection = Connection(asyncio.get_running_loop(), sock, memoryview(bytearray(1024)))
    connection.connection_made(Wire())
    head = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", 5, 5)
    for piece in pieces:
        connection.data_received(piece)
    body = b""
    while data := connection.read_nowait():
        body += data
    assert data == b"", "the body is complete"
    return (await head).status, connection.headers.get("x-a"), body, connection.release()


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_a_reply_is_the_same_however_it_is_cut(reply: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for pieces in every_cut(reply):
            assert await receive(ours, pieces) == (200, "1", b"helloworld", True), pieces
