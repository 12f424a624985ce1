"""A connected socket, by name and port, within one limit for everything: resolving the name, and all its addresses."""

# `socket.create_connection` gives each address of a name the whole timeout, and nothing bounds the name's resolution.
# Here a name is resolved in a thread that can be left, and addresses are tried side by side: see `addresses`.

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from llmclients.transports.addresses import NEXT_AFTER, Address, in_turn, look_up, numeric_address
from llmclients.transports.waiting import LOOK_UP, short_waits

__all__ = ["connect_first", "resolve"]

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}


def resolve(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a host, at least one.

    Raises:
        Exception: `look_up`'s.
        TimeoutError: nobody has answered within `seconds`. The lookup is left to its own thread, and ends there.
    """
    if (numeric := numeric_address(host, port)) is not None:
        return [numeric]
    answers: queue.SimpleQueue[list[Address] | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up(host, port))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            answers.put(error)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    answer: list[Address] | BaseException | None = None
    for wait in short_waits(seconds):
        with suppress(queue.Empty):
            answer = answers.get(timeout=wait)
            break
    if answer is None:
        raise TimeoutError(f"the name {host} was not resolved in time")
    if isinstance(answer, BaseException):
        raise answer
    return answer


def connect_first(
    addresses: Sequence[Address], seconds: float, options: Iterable[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """A blocking socket that is connected to the first of these addresses that answers.

    Raises:
        OSError: of the last address that failed, when all have.
        TimeoutError: none has answered within `seconds`.
    """
    until = time.monotonic() + seconds
    waiting = in_turn(addresses)
    failure: OSError | None = None
    with selectors.DefaultSelector() as selector:
        try:
            next_at = 0.0
            while waiting or selector.get_map():
                now = time.monotonic()
                if now >= until:
                    raise TimeoutError("no address has answered in time")
                if waiting and (now >= next_at or not selector.get_map()):
                    try:
                        selector.register(_begin(waiting.pop(0), options), selectors.EVENT_WRITE)
                    except OSError as error:
                        failure = error
                    next_at = now + NEXT_AFTER
                    continue
                longest = (min(until, next_at) if waiting else until) - now
                for key, _ in selector.select(min(longest, LOOK_UP)):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    selector.unregister(sock)
                    if code == 0:
                        sock.setblocking(True)
                        return sock
                    sock.close()
                    failure, next_at = OSError(code, os.strerror(code)), 0.0
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    assert failure is not None, "no address at all"
    raise failure


def _begin(address: Address, options: Iterable[tuple[int, int, int | bytes]]) -> socket.socket:
    """A socket that is connecting."""
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.setblocking(False)
        code = sock.connect_ex(place)
        if code not in {0, *_UNDER_WAY}:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock
