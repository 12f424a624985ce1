"""A protocol of one's own on the event loop, plain or TLS: the least that an asynchronous client can be.

It looks for the events and parses them, and checks nothing. Whoever awaits the answer is woken for each read, as every
client's caller is that takes an answer chunk by chunk.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import from_json

from benchmarks.runners import Take
from benchmarks.runners.floor import Events, length_of, request, target


class _Connection(asyncio.Protocol):
    """What has come, and who waits for more."""

    __slots__ = ("_data", "_ended", "_loop", "_waiter", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._data: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._data.append(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()

    async def read(self) -> bytes:
        """What has come since the last call, at least a byte."""
        if not self._data:
            if self._ended:
                raise EOFError
            self._waiter = self._loop.create_future()
            await self._waiter
            self._waiter = None
        data = self._data[0] if len(self._data) == 1 else b"".join(self._data)
        self._data.clear()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Async:
    """Connections are kept for the next exchange."""

    def __init__(self, url: str) -> None:
        self._host, self._port, self._path, self._body = target(url)
        self._context = ssl.create_default_context() if urlsplit(url).scheme == "https" else None
        self._idle: list[_Connection] = []

    async def stream(self, take: Take) -> None:
        connection = await self._connection()
        connection.transport.write(request(self._path, self._body))
        events = Events(take)
        while not events.feed(await connection.read()):
            pass
        self._idle.append(connection)

    async def chat(self) -> str:
        connection = await self._connection()
        connection.transport.write(request(self._path, self._body))
        data = await connection.read()
        while b"\r\n\r\n" not in data:
            data += await connection.read()
        head, _, body = data.partition(b"\r\n\r\n")
        while len(body) < length_of(head):
            body += await connection.read()
        self._idle.append(connection)
        text: str = from_json(body)["choices"][0]["message"]["content"]
        return text

    async def close(self) -> None:
        for connection in self._idle:
            connection.transport.close()

    async def _connection(self) -> _Connection:
        if self._idle:
            return self._idle.pop()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(loop), self._host, self._port, ssl=self._context
        )
        return connection
