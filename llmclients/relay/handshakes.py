"""`Handshakes`: sockets that were accepted, but whose TLS is not there yet: no `Connection` knows of them.

asyncio waits a minute for a handshake, so a client that connects and says nothing would hold a descriptor so long. The
socket is all that can be reached of it: shut down, it ends asyncio's handshake.
"""

from __future__ import annotations

import contextlib
import socket
import time

__all__ = ["Handshakes"]

_STALLED_SECONDS = 1.0


class Handshakes:
    """The handshakes of one server, the oldest first."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[socket.socket, float]] = {}  # by descriptor

    def __len__(self) -> int:
        return len(self._begun)

    def begin(self, accepted: socket.socket) -> None:
        """A socket was accepted."""
        descriptor = accepted.fileno()
        self._begun.pop(descriptor, None)  # one that was closed meanwhile had the same
        self._begun[descriptor] = accepted, time.monotonic()

    def end(self, descriptor: int) -> None:
        """Its TLS is there."""
        self._begun.pop(descriptor, None)

    def end_oldest(self, seconds: float = _STALLED_SECONDS) -> bool:
        """End the oldest one, if it has taken so long. Whether there was one."""
        for descriptor, (accepted, since) in list(self._begun.items()):
            if accepted.fileno() == descriptor:
                if time.monotonic() - since <= seconds:
                    return False
                del self._begun[descriptor]
                with contextlib.suppress(OSError):
                    accepted.shutdown(socket.SHUT_RDWR)
                return True
            del self._begun[descriptor]  # closed by itself
        return False

    def end_late(self, seconds: float) -> None:
        """End all that have taken so long."""
        while self.end_oldest(seconds):
            pass
