"""How much of what was sent is still on its way, as far as the system tells."""

from __future__ import annotations

import socket
import sys

if sys.platform == "linux":
    import fcntl
    import termios

__all__ = ["unacknowledged"]


def unacknowledged(sock: socket.socket) -> int:
    """How many bytes the system holds that the peer has not acknowledged; 0 where the system does not tell."""
    if sys.platform != "linux" or sock.fileno() < 0:
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)
