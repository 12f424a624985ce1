"""What is typed while an answer comes: it is not shown, and Ctrl-C ends the answer."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["interruptible", "quiet_terminal"]

_PATIENCE = 0.2
"""For how many seconds a KeyboardInterrupt is waited for."""


@contextmanager
def quiet_terminal() -> Iterator[None]:
    """What is typed meanwhile is not shown: it waits for the next prompt. Ctrl-C and Ctrl-Z work as ever."""
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

    def quieten(*signal_and_frame: object) -> None:
        if not _is_in_background(file):  # else this would stop the program
            mode: list[Any] = termios.tcgetattr(file)
            mode[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(file, termios.TCSADRAIN, mode)

    quieten()
    try:
        with _handler(signal.SIGCONT, quieten):  # the shell had the terminal, and has set it as it likes it
            yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _is_in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # it is not the one that the program was started from, which alone has a foreground
        return False


@contextmanager
def _handler(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


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
