"""Ctrl-C and SIGTERM while a run is under way: the first has it drain, the second breaks it off."""

# A handler is set only in the main thread, where Python lets one be set, only for the time of the run, and never for a
# signal that is ignored. After the run, the signal gets what it would have got before: the handler that was there is
# called, or the default one, which raises KeyboardInterrupt, or ends the process by SIGTERM. So a program that is told
# to end does end, a little later and with nothing lost.

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["draining"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def draining(drain: Callable[[], None], cancel: Callable[[], None]) -> Iterator[None]:
    """Around a run, in the thread that waits for it. Both functions may be called while any line of it runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        (drain if len(received) == 1 else cancel)()

    before = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if handler is not None and handler != signal.SIG_IGN:
            before[number] = handler
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            first = signal.Signals(received[0])
            previous = before[first]
            if callable(previous):
                previous(first, None)
            else:
                signal.raise_signal(first)
