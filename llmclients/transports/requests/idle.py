"""`IdleConnections`: what a pool of urllib3 keeps its idle connections in, without a lock."""

# urllib3 has `queue.LifoQueue` for that, whose lock is held for a moment with each exchange. A signal's handler that
# closes the client just then, in the same thread, would wait for that lock for ever. A deque needs none: each of its
# operations is one step, for other threads and for handlers. The limit on how many are kept need not be exact.

from __future__ import annotations

import queue
from collections import deque
from typing import Any

__all__ = ["IdleConnections"]


class IdleConnections:
    """The methods of `queue.LifoQueue` that a pool calls which does not block.

    Args:
        maxsize: how many are kept.
    """

    def __init__(self, maxsize: int) -> None:
        self._kept: deque[Any] = deque()
        self._maxsize = maxsize

    def put(self, connection: Any, block: bool = False, timeout: float | None = None) -> None:
        """Keep one.

        Raises:
            queue.Full: there are enough.
        """
        if len(self._kept) >= self._maxsize:
            raise queue.Full
        self._kept.append(connection)

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """The one that was kept last.

        Raises:
            queue.Empty: there is none.
        """
        try:
            return self._kept.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        """How many there are."""
        return len(self._kept)
