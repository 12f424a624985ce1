"""The soak's other processes: `python -m tests.relay_soak.servers upstream [INTERVAL]|uvicorn|client …`.

Each prints its port, if it has one, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any, cast

from llmclients.relay.collector import spare_streams

from .load import run_lightly
from .script import CHUNKS, HEAD, INTERVAL, LAST, NAME, event, framed, length, pause


class Upstream(asyncio.Protocol):
    """A provider: a chunk each `interval`. `GET /` lists the streams that were sent whole, and when others' connections ended."""

    interval: float
    left: dict[str, int]
    sent: list[str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""
        self.name = ""
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.buffer.startswith(b"GET "):
            body = json.dumps({"left": self.left, "sent": self.sent}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            self.buffer = b""
        elif b"\r\n\r\n" in self.buffer and self.buffer.endswith(b"}"):
            found = NAME.search(self.buffer)
            assert found, self.buffer
            self.name, self.buffer = found[1].decode(), b""
            self.transport.write(HEAD)
            self.wait(length(self.name), asyncio.get_running_loop().time() + pause(self.interval))

    def send(self, left: int, due: float) -> None:
        if not left:
            self.sent.append(self.name)
            self.name = ""
            self.transport.write(framed(LAST) + b"0\r\n\r\n")
            return
        self.transport.write(framed(event()))
        self.wait(left - 1, due + self.interval)

    def wait(self, left: int, due: float) -> None:
        self.timer = asyncio.get_running_loop().call_at(due, self.send, left, due)

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.name:
            self.left[self.name] = time.monotonic_ns()


async def upstream(interval: float = INTERVAL) -> None:
    Upstream.left, Upstream.sent, Upstream.interval = {}, [], interval
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The least that an ASGI application does to stream the same."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        received = await receive()
        body += received.get("body", b"")
        if not received.get("more_body"):
            break
    found = NAME.search(body)
    assert found, body
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    loop = asyncio.get_running_loop()
    due = loop.time() + pause()
    for _ in range(length(found[1].decode())):
        await asyncio.sleep(due - loop.time())
        await send({"type": "http.response.body", "body": event(), "more_body": True})
        due += INTERVAL
    await asyncio.sleep(due - loop.time())
    await send({"type": "http.response.body", "body": LAST, "more_body": False})


async def bare_uvicorn() -> None:
    import uvicorn

    config = uvicorn.Config(echo, port=0, http="h11", ws="none", lifespan="off", log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await ended()
    server.should_exit = server.force_exit = True
    await serving


async def own_client(url: str, width: int) -> None:
    """`AsyncClient`, which reads as many streams, and does nothing with them."""
    from llmclients import AsyncClient

    async with AsyncClient("openai/m", base_url=f"{url}/v1", api_key="none", retry=None, trust_env=False) as client:

        async def read(number: int) -> None:
            await asyncio.sleep(random.random() * CHUNKS * INTERVAL)
            while True:
                async for _ in client.stream(f"own {number}"):
                    pass

        tasks = [asyncio.ensure_future(read(number)) for number in range(width)]
        print(0, flush=True)
        await ended()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ended() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    spare_streams()  # as the relay: what a process here does else would be taken for the relay's doing
    if kind == "client":
        asyncio.run(own_client(rest[0], int(rest[1])))
    else:
        run_lightly(upstream(*map(float, rest))) if kind == "upstream" else asyncio.run(bare_uvicorn())
