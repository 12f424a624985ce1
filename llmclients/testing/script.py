"""The language of a `FaultServer`'s scripts: steps, and functions that make them.

A script is a list of steps, and lists of them: bytes are sent, numbers are seconds of silence, `RESET` and `END` end
the connection, `HOLD` waits for the client to end it, `EARLY` makes what follows happen before a request was read,
`Forever` repeats its steps for as long as the client listens. A script that does not end the connection serves the next
request on it from the start.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

__all__ = [
    "CHUNKED_HEAD",
    "EARLY",
    "END",
    "HOLD",
    "RESET",
    "Forever",
    "Script",
    "Step",
    "chunked",
    "drip",
    "http",
    "reset",
    "steps_of",
]

RESET = "reset"
"""End the connection with a TCP reset."""
END = "end"
"""End the connection cleanly."""
HOLD = "hold"
"""Send nothing more; wait for the client to end the connection."""
EARLY = "early"
"""Begin before a request was read."""

Step: TypeAlias = Union[bytes, float, str, "Forever", "Script"]
Script: TypeAlias = Sequence[Step]


@dataclass(frozen=True)
class Forever:
    """These steps again and again, until the client goes away."""

    steps: Script


def http(
    status: str = "200 OK", headers: Sequence[tuple[str, str]] = (), body: bytes | None = b"", version: str = "1.1"
) -> bytes:
    """The bytes of a response with a `Content-Length`; with `body=None` only its head, without one."""
    lines = [f"HTTP/{version} {status}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*pieces: bytes, last: bool = True) -> bytes:
    """Pieces in the chunked transfer coding, a chunk each; the empty one that ends a body follows if `last` is true."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if last else b"")


def drip(data: bytes, seconds: float, size: int = 1) -> list[Step]:
    """Steps that send `data` in pieces of `size` bytes, and nothing for so many seconds after each."""
    return [step for at in range(0, len(data), size) for step in (data[at : at + size], seconds)]


def steps_of(script: Script) -> Iterator[bytes | float | str | Forever]:
    """The steps of a script, one by one, those of the lists in it included."""
    for step in script:
        if isinstance(step, (bytes, float, int, str, Forever)):
            yield step
        else:
            yield from steps_of(step)


def reset(connection: socket.socket) -> None:
    """Make the next `close` of this socket a TCP reset: it drops what was not sent yet, and does not linger."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CHUNKED_HEAD = http(headers=[("Transfer-Encoding", "chunked")], body=None)
"""The head of a response whose body comes in chunks."""
