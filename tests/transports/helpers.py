"""What several of the transports' tests need: usual settings and scripts, bytes in pieces, a look at open descriptors."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, chunked, wait_until
from llmclients.transports.base import TransportSettings

T = TypeVar("T")

NO_ENVIRONMENT = TransportSettings(trust_env=False)
OPEN_BODY = [CHUNKED_HEAD + chunked(b"hello", last=False), HOLD]
"""A script: a body that begins, and does not go on."""


@contextmanager
def server(serve: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server over bare sockets, or TLS: each connection is served in a thread, and closed."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls is None:
                    serve(connection)
                else:
                    with tls.wrap_socket(connection, server_side=True) as secure:
                        connections.append(secure)
                        serve(secure)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    threading.Thread(target=one, args=(connections[-1],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http{'' if tls is None else 's'}://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def splits(data: bytes) -> list[list[bytes]]:
    """`data` whole, byte by byte, and in two at each place."""
    pairs = [[data[:place], data[place:]] for place in range(1, len(data))]
    return [[data], [data[place : place + 1] for place in range(len(data))], *pairs]


def at_once(*calls: Callable[[], T]) -> list[T]:
    """What the calls return. Each is made in a thread of its own, so that they wait for their timeouts together."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def descriptors() -> set[str]:
    """The open files and sockets of this process, each by number and inode. None are known without /proc."""
    folder, found = "/proc/self/fd", set()
    for number in os.listdir(folder) if os.path.exists(folder) else ():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(f"{number} {os.readlink(f'{folder}/{number}')}")
    return {one for one in found if not one.endswith(os.devnull)}  # uvloop opens it once, and keeps it


@contextmanager
def no_new_descriptors() -> Iterator[None]:
    """Whatever is opened inside the block is closed soon after it: by the code itself, not by the collector."""
    before = descriptors()
    yield
    assert wait_until(lambda: descriptors() <= before), descriptors() - before
