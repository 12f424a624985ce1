"""`ConnectionLimits`: how many connections the relay's server keeps, and how long each may take over what."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from llmclients.errors import ConfigurationError

__all__ = ["ConnectionLimits"]

_MAX_CONNECTIONS = 1000
_OTHER_DESCRIPTORS = 64  # the listener, the loop, files, what the program has open besides


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    Attributes:
        connections: the most that are open at once. Default: by the descriptors that this process may have, as a
            request that is answered needs a second one, to the provider; 1,000 at most.
        head_bytes: the longest head of a request.
        head_seconds: how long a connection may be open without a whole head.
        idle_seconds: how long a connection is kept for a next request.
        body_pause_seconds: the longest pause in a body.
        body_seconds: how long a body may take, besides a second for each `body_bytes_per_second` bytes of it.
        body_bytes_per_second: the least speed of a long body.
        write_seconds: how long a client may take nothing of a reply that waits for it.
        discard_bytes: what is still read, and thrown away, of a request that was refused before its end, so that its
            client gets to read the answer.
        discard_seconds: and for how long.

    Raises:
        ConfigurationError: a limit is no positive number.
    """

    connections: int | None = None
    head_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    idle_seconds: float = 5.0
    body_pause_seconds: float = 15.0
    body_seconds: float = 20.0
    body_bytes_per_second: float = 500.0
    write_seconds: float = 30.0
    discard_bytes: int = 1024 * 1024
    discard_seconds: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "connections":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ConfigurationError(f"limits: {field.name} must be a positive number", argument="limits")

    def max_connections(self) -> int:
        """The most connections that are open at once, where it was not said: from the process's limit at this time."""
        if self.connections is not None:
            return int(self.connections)
        try:
            import resource
        except ImportError:  # Windows has no such limit
            return _MAX_CONNECTIONS
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors == resource.RLIM_INFINITY:
            return _MAX_CONNECTIONS
        return min(_MAX_CONNECTIONS, max(4, (descriptors - _OTHER_DESCRIPTORS) // 2))
