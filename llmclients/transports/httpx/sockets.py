"""Sockets themselves: a connected one to begin with, and what one holds unread or unsent."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress

from llmclients.transports.addresses import NEXT_AFTER, Address, in_turn
from llmclients.transports.cycles import break_cycle
from llmclients.transports.httpx.failures import ConnectFailedError

__all__ = [
    "BottomProtocol",
    "connect_first",
    "is_readable",
    "left_unread",
    "shared_buffer",
]

_BUFFER_SIZE = 256 * 1024
_READ_SIZE = 64 * 1024
_MAX_UNREAD = 1024 * 1024


class BottomProtocol(asyncio.BufferedProtocol, asyncio.Protocol):
    """A protocol that may be right on a socket, and is given a buffer to read into: all of a loop share one.

    Else asyncio makes 256 KiB for each read, of which nearly all goes back to the system at once: two page faults and
    three system calls for each chunk of a stream. It asks a `BufferedProtocol` where to read to. uvloop, which has a
    buffer of its own, sees a `Protocol` and calls `data_received` itself.
    """

    __slots__ = ("_below", "_shared")

    def __init__(self, shared: memoryview) -> None:
        self._shared = shared
        self._below: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._below is not None:
            break_cycle(self._below)
            self._below = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._shared

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._shared[:nbytes]))


def shared_buffer() -> memoryview:
    """One event loop's buffer. What is in it is copied before the next read."""
    return memoryview(bytearray(_BUFFER_SIZE))


async def connect_first(addresses: Sequence[Address]) -> socket.socket:
    """A socket that is connected to the first of these addresses that takes it: see `addresses`.

    Raises:
        ConnectFailedError: none does. The cause is the error of the first.
    """
    errors: list[OSError] = []
    if len(addresses) == 1:
        try:
            return await _connected(addresses[0])
        except OSError as error:
            raise ConnectFailedError from error
    loop = asyncio.get_running_loop()
    waiting = in_turn(addresses)
    tasks: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or tasks:
            if waiting:
                tasks.add(loop.create_task(_connected(waiting.pop(0))))
            done, tasks = await asyncio.wait(
                tasks, timeout=NEXT_AFTER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            connected = [task for task in done if task.exception() is None]
            errors += [failure for task in done if isinstance(failure := task.exception(), OSError)]
            if connected:
                tasks.update(connected[1:])
                return connected[0].result()
        raise ConnectFailedError from errors[0]
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(address: Address) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


def is_readable(sock: socket.socket) -> bool:
    """Whether bytes, or the connection's end, wait to be taken off the socket."""
    if sock.fileno() < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def left_unread(sock: socket.socket) -> Iterator[bytes]:
    """What came before a connection was reset, and nobody has taken off the socket.

    An event loop whose write fails reads no more: so a server's answer to a request that it did not want to read to its
    end would be lost.
    """
    left = _MAX_UNREAD
    with suppress(OSError):
        while left > 0 and sock.fileno() >= 0 and (data := sock.recv(_READ_SIZE)):
            left -= len(data)
            yield data
