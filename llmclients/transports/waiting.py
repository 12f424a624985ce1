"""`short_waits`: a wait of the main thread in pieces, so that a Ctrl-C is seen during all of it."""

# Python notes a signal when it comes, and runs its handler, which raises KeyboardInterrupt, when the main thread goes
# on with its code. A wait that has begun is interrupted for that. But a signal that comes in the moment before, or that
# the system gives to another thread, interrupts nothing: the handler runs at the wait's end, which may be minutes away.
#
# So whatever waits in a thread of the caller's waits a short while at a time, and looks up: Python's code runs, and so
# does the handler. All such waits go by `short_waits`: for an answer's bytes (`requests.strict_head`), for a connection
# (`requests.connect`), between attempts (`driver`), for tools (`calls.threaded_calls`), for the results of `map` and
# the end of `bulk`. Not those of a TLS handshake and of sending, which begin when the server is already there, and end
# by the timeouts for connecting and for writing; nor those of a tool, and of an event loop, which are the caller's own.
#
# Signals are the main thread's. In others, nothing is cut.

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import overload

__all__ = ["LOOK_UP", "short_waits"]

LOOK_UP = 0.25
"""Seconds until a Ctrl-C is seen that has interrupted nothing."""


@overload
def short_waits() -> Iterator[float | None]: ...
@overload
def short_waits(seconds: float) -> Iterator[float]: ...
def short_waits(seconds: float | None = None) -> Iterator[float | None]:
    """How long to wait, again and again, until what is waited for is there. It ends when `seconds` are over.

    Args:
        seconds: of all together; None for no end.
    """
    is_cut = threading.current_thread() is threading.main_thread()
    while seconds is None:
        yield LOOK_UP if is_cut else None
    while seconds > 0:
        yield (wait := min(seconds, LOOK_UP) if is_cut else seconds)
        seconds -= wait
