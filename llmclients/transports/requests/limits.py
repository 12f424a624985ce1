"""What one exchange may still take, and how far it has come: known to all that urllib3 calls for it, in its thread."""

# urllib3 makes connections and responses deep inside, and has no argument to pass an exchange's own limits through. The
# transport sends in one thread from the request to the head, so a thread-local carries them: `Limits.of_exchange` sets
# it, `current()` reads it in `connection` and `strict_head`.

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmclients.config.values import Proxy
from llmclients.transports.requests.sockets import Guard, is_nested, shut_down

__all__ = ["Limits", "current", "of_exchange"]


class Limits:
    """The limits of one exchange, in seconds; points in time are on `time.monotonic`'s scale.

    Attributes:
        write: how long the server may take nothing of the request.
        total_at: when the head must be complete; None for never.
        connect_at: when a connection must be there: its name resolved, one of its addresses connected, the proxy's
            tunnel and TLS done.
        is_new_connection: whether the exchange has made a connection, not taken one that was idle.
        has_answer: whether a byte of the reply has come.
        early: what has come of the reply while the request still went out.
        proxy: what the connection leads through.
        refused_early: whether a part of the request was left unsent, as the server had answered already.
        aborted: whether another thread has given the exchange up.
        guard: ends the connection at `total_at`, where that is needed.
    """

    def __init__(self, connect: float, write: float, total: float | None, proxy: Proxy | None = None) -> None:
        now = time.monotonic()
        self.write = write
        self.total_at = None if total is None else now + total
        self.connect_at = now + connect
        if self.total_at is not None:
            self.connect_at = min(self.connect_at, self.total_at)
        self.is_new_connection = self.has_answer = self.refused_early = False
        self.aborted = False
        self.early = b""
        self.proxy = proxy
        self.guard: Guard | None = None
        self._socket: Any = None

    def use(self, sock: Any) -> None:
        """The exchange goes on over this socket.

        Raises:
            ConnectionAbortedError: it was given up meanwhile.
        """
        self._socket = sock
        if self.total_at is not None and self.guard is None and is_nested(sock):
            self.guard = Guard(sock, _left(self.total_at))
        if self.aborted:
            raise ConnectionAbortedError("given up")

    def abort(self) -> None:
        """Give the exchange up, from another thread: this ends the wait for the answer, not that for a connection."""
        self.aborted = True
        sock = self._socket
        if sock is not None:
            shut_down(sock)

    def to_connect(self) -> float:
        """Seconds that are left for connecting.

        Raises:
            TimeoutError: none.
        """
        return _left(self.connect_at)

    def to_send(self) -> float:
        """Seconds that the next piece of the request may take.

        Raises:
            TimeoutError: the exchange's time is over.
        """
        return self.write if self.total_at is None else min(self.write, _left(self.total_at))


class _Current(threading.local):
    limits: Limits | None = None


_current = _Current()


def current() -> Limits | None:
    """The limits of the exchange that this thread is sending; None while it sends none of ours."""
    return _current.limits


@contextmanager
def of_exchange(limits: Limits) -> Iterator[None]:
    """Around the sending of a request, to its response's head."""
    _current.limits = limits
    try:
        yield
    finally:
        _current.limits = None


def _left(until: float) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time is over")
    return seconds
