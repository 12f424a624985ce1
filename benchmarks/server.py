"""The canned server: prerendered bytes on a loopback port. The path says which:

| path | answer |
| --- | --- |
| `/chat/…` | a whole reply |
| `/delayed/MS/…` | the same after MS ms |
| `/burst/COUNT/EACH/…` | a stream of COUNT texts, all at once, EACH of them in an HTTP chunk |
| `/paced/MS/COUNT/SPREAD/…` | a text every MS ms that says when it was sent; the streams begin within SPREAD ms |
| `/long/COUNT/…` | as `burst`, an HTTP chunk for each, in blocks as the client takes them |

One port is plain, the other TLS, with the certificate and key in the file that is the argument. Run by the benchmark in
a process of its own; ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import re
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks import wire
from benchmarks.machine import allow_many_files

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MAX_LIFE = 4 * 3600  # seconds
_BLOCK = 1000  # texts
_GOLDEN = 0.6180339887

_block = functools.cache(wire.content_events)
_burst = functools.cache(wire.burst)
_chat = functools.cache(wire.chat_reply)
_opening = functools.cache(wire.opening)
_closing = functools.cache(wire.closing)
_streams = itertools.count()


class Connection(asyncio.Protocol):
    """One client's connection: one exchange after the other."""

    def __init__(self) -> None:
        self._input = b""
        self._timer: asyncio.TimerHandle | None = None
        self._blocks = 0  # still to be written
        self._may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._input += data
        head, end, rest = self._input.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(rest) < int(length[1]):
            return
        self._input = b""
        path, *numbers = head.split(b" ", 2)[1].decode().split("/v1")[0].strip("/").split("/")
        answer: Callable[..., None] = getattr(self, f"_answer_{path}")
        answer(*map(int, numbers))

    def connection_lost(self, exc: Exception | None) -> None:
        self._blocks = 0
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._write_blocks()

    def _answer_chat(self) -> None:
        self._transport.write(_chat())

    def _answer_delayed(self, milliseconds: int) -> None:
        self._timer = self._loop.call_later(milliseconds / 1000, self._answer_chat)

    def _answer_burst(self, count: int, per_chunk: int) -> None:
        self._transport.write(_burst(count, per_chunk))

    def _answer_long(self, count: int) -> None:
        self._blocks = count // _BLOCK
        self._transport.write(_opening())
        self._write_blocks()

    def _write_blocks(self) -> None:
        while self._blocks and self._may_write:
            self._blocks -= 1
            self._transport.write(_block(_BLOCK) if self._blocks else _block(_BLOCK) + _closing())

    def _answer_paced(self, milliseconds: int, count: int, spread: int) -> None:
        # Spread evenly however many there are: each stream wakes its reader alone, as streams from afar do.
        start = self._loop.time() + next(_streams) * _GOLDEN % 1 * spread / 1000
        self._transport.write(_opening())
        if spread:
            self._timer = self._loop.call_at(start, self._pace, start, milliseconds / 1000, count, 0)
        else:
            self._pace(start, milliseconds / 1000, count, 0)

    def _pace(self, start: float, interval: float, count: int, index: int) -> None:
        part = wire.paced_event(index, time.monotonic())
        if index + 1 == count:
            self._transport.write(part + _closing())
            return
        self._transport.write(part)
        when = start + (index + 1) * interval
        self._timer = self._loop.call_at(when, self._pace, start, interval, count, index + 1)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1])
    plain = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    secure = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096, ssl=context)
    ports = tuple(server.sockets[0].getsockname()[1] for server in (plain, secure))
    os.write(sys.stdout.fileno(), b"%d %d\n" % ports)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    loop.call_later(_MAX_LIFE, ended.set)
    await ended.wait()


if __name__ == "__main__":
    allow_many_files()
    uvloop.run(_serve())
