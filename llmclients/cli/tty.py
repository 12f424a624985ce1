"""What is typed while an answer comes: it is not shown, and Ctrl-C ends the answer."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible", "quiet_terminal"]

_PATIENCE = 0.2
"""For how many seconds a KeyboardInterrupt is waited for."""


@contextmanager
def quiet_terminal() -> Iterator[None]:
    """What is typed meanwhile is not shown: it waits for the next prompt. Ctrl-C works as ever."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    try:
        file = sys.stdin.fileno()
        before = termios.tcgetattr(file)
    except (OSError, ValueError, AttributeError, termios.error):  # no terminal
        yield
        return
    quiet: list[Any] = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(file, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """In the block, Ctrl-C ends a wait also when that is about to begin.

    Python notes a signal, and raises KeyboardInterrupt when the main thread runs its code again; a system call in which
    that waits is interrupted. But one that comes just before the call does not interrupt it: the wait goes on, and on a
    busy machine that is not rare. So a thread is woken by the signal itself, and ends the wait from outside.

    Args:
        stop: ends the wait, called from another thread.

    Raises:
        KeyboardInterrupt: the wait was ended so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    import socket

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    is_over, is_stopped = threading.Event(), threading.Event()

    def watch() -> None:
        while data := reader.recv(1):
            if data[0] == signal.SIGINT and not is_over.wait(_PATIENCE):
                is_stopped.set()
                stop()

    thread = threading.Thread(target=watch, daemon=True)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        thread.start()
        yield
    except Exception:
        if is_stopped.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        is_over.set()
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()
