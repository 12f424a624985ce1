"""The sending half of a connection of the asynchronous transport, and the clock that watches both halves.

Theory of operation. A request goes out in one write, or, where it is large, in slices: asyncio is handed the next one
when it has room. So a refusal in the middle of an upload is seen in time, and what is left is never handed over.

Two limits, one timer:

- `read`: so many seconds after the last byte that came, or after the wait began, it is a ReadTimeoutError.
- `write`: while anything of the request is on its way, so many seconds after the last sign that the peer takes it, it
  is a WriteTimeoutError. The sign is that less is on its way than before: in our hands, in asyncio's, or in the
  system's. So a slow link counts as progress though asyncio's buffer does not move for minutes.

The timer is not set anew for each packet: when it fires it looks at the clock (`_check`), and sleeps for what is left.
It counts only while somebody waits (`_awaited`). Everything runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from time import monotonic

from llmclients.transports.httpx.failures import ReadTimeoutError, WriteTimeoutError
from llmclients.transports.httpx.sockets import BottomProtocol
from llmclients.transports.httpx.tls import ByteStream
from llmclients.transports.outgoing import unacknowledged

__all__ = ["Sender"]

_SLICE = 256 * 1024
_WRITE_CHECKS = 8  # in the time of the limit
_TIMER_SLACK = 0.001  # a timer may fire a little early


class Sender(BottomProtocol):
    """What `Connection` is built on. `sock` is the socket at the bottom."""

    __slots__ = (
        "_active_at", "_loop", "_outstanding", "_read_limit", "_timer", "_unsent", "_wire", "_write_limit",
        "_write_paused", "sock",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, shared: memoryview) -> None:
        super().__init__(shared)
        self._loop = loop
        self._wire: ByteStream | None = None
        self.sock = sock
        self._timer: asyncio.TimerHandle | None = None
        self._active_at = self._read_limit = self._write_limit = 0.0
        self._outstanding = 0  # bytes on their way when the timer last fired
        self._unsent: memoryview | None = None
        self._write_paused = False

    @abstractmethod
    def _awaited(self) -> bool:
        """Whether somebody waits for the peer."""

    @abstractmethod
    def _fail(self, failure: Exception) -> None:
        """End the connection at once; whoever waits gets the failure."""

    def connection_made(self, transport: ByteStream) -> None:  # type: ignore[override]  # a TLS layer is no Transport
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wire = transport

    def _send(self, head: bytes, body: bytes, read: float, write: float) -> None:
        """Send a request, and begin to wait."""
        if (read, write) != (self._read_limit, self._write_limit) or len(body) > _SLICE:
            self._cancel_timer()
        self._read_limit, self._write_limit = read, write
        assert self._wire is not None
        if len(body) <= _SLICE:
            self._wire.write(head + body if body else head)
        else:
            self._unsent = memoryview(body)
            self._wire.write(head)
            self._send_more()
        self._start_waiting()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._active_at = monotonic()
        self._send_more()

    def _send_more(self) -> None:
        """Hand on slices of the request while they go out at once."""
        wire = self._wire
        while self._unsent is not None and wire is not None and not self._write_paused and not wire.is_closing():
            slice_, rest = self._unsent[:_SLICE], self._unsent[_SLICE:]
            self._unsent = rest if rest else None
            wire.write(slice_)

    def _sent(self) -> bool:
        return self._unsent is None and (self._wire is None or not self._wire.get_write_buffer_size())

    def _outgoing(self) -> int:
        """Bytes of the request that the peer does not have yet."""
        if self._wire is None:
            return 0
        held = self._wire.get_write_buffer_size() + unacknowledged(self.sock)
        return held + (len(self._unsent) if self._unsent is not None else 0)

    def _start_waiting(self) -> None:
        self._active_at = monotonic()
        if self._timer is None:
            sending = not self._sent()
            self._outstanding = self._outgoing() if sending else 0
            limit = self._write_limit / _WRITE_CHECKS if sending else min(self._read_limit, self._write_limit)
            self._timer = self._loop.call_later(limit, self._check)

    def _check(self) -> None:
        """The timer: is anybody still waiting, and for how long has nothing happened?"""
        self._timer = None
        if not self._awaited():
            return
        now = monotonic()
        outstanding = self._outgoing()
        if outstanding < self._outstanding:
            self._active_at = now
        self._outstanding = outstanding
        limit = self._write_limit if outstanding else self._read_limit
        left = self._active_at + limit - now
        if left <= _TIMER_SLACK:
            self._fail(WriteTimeoutError() if outstanding else ReadTimeoutError())
            return
        if outstanding:
            left = min(left, limit / _WRITE_CHECKS)
        self._timer = self._loop.call_later(left, self._check)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
