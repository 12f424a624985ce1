"""What several of the transports' tests need: usual settings and scripts, bytes in pieces, a look at open descriptors."""

from __future__ import annotations

import os
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
