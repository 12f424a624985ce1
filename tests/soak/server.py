"""The soak's server: `python -m tests.soak.server` prints its port, serves loopback, and ends with its standard input."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
from typing import cast

from .script import CLOSE, ONCE, RESET, VARIANTS, rendered

_REQUEST = re.compile(rb'"(?:content|prompt)":"(\d+) ([a-z-]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

_struck: set[bytes] = set()  # the requests whose one fault they have had


class Connection(asyncio.Protocol):
    """Reads requests, says what the script says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self.buffer, 0, end + 2)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) >= size:
            request, self.buffer = self.buffer[:size], self.buffer[size:]
            self.answer(request, end)

    def answer(self, request: bytes, end: int) -> None:
        asked = _REQUEST.search(request, end)
        if asked is None:
            self.transport.abort()
            return
        wire = "text" if b"generateStream" in request[:100] else "reply"
        if wire == "reply" and b'"stream":true' in request:
            wire = "events"
        fault = asked[2].decode()
        if fault.endswith(ONCE):
            fault = fault.removesuffix(ONCE)
            if asked[0] in _struck:
                _struck.remove(asked[0])
                fault = "ok"
            else:
                _struck.add(asked[0])
        data, then = rendered(wire, int(asked[1]) % VARIANTS, fault)
        middle = len(data) * 2 // 3
        self.transport.write(data[:middle])
        asyncio.get_running_loop().call_soon(self.rest, data[middle:], then)

    def rest(self, data: bytes, then: str) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(data)
        if then == CLOSE:
            self.transport.close()
        elif then == RESET:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
