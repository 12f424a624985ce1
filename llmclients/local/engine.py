"""The embedded model's servers: a process of ours for each weights file, found by what a client asks for."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass, field

from llmclients.config.environment import environ
from llmclients.local.process import EngineProcess, Order
from llmclients.local.weights import MODEL_PATH_VARIABLE, find_weights, model_name

__all__ = ["Endpoint", "endpoint", "shutdown"]

# Theory of operation
#
# A server is llama.cpp's, which the package xllamacpp has as a library. It runs in a process of its own (child.py), and
# so takes nothing from the program's: not the interpreter's lock, no threads to wait for at exit, no signals. To the
# rest of the library it is an address like any other: nothing here is called while a chat runs. Every program on this
# machine can reach a loopback port, so each server has a random key, which goes to it through a pipe.
#
# The state is `_running` by what was asked for, `_lock` around it, and `_started`. Any thread may call `endpoint()` and
# `shutdown()`. The lock is held while a server starts: threads that ask for the same one in that time wait, and get it.
#
# A server ends with its program, in whatever way that ends: child.py says how. At an orderly exit it is ended first, by
# `atexit`; that takes no lock, as a thread that nobody waits for may just be starting one. So `_started` has each
# process from before it is there.
#
# A fork has copies of all this, and none of the processes is its child: it forgets them, and starts its own when it
# needs one.


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens (`base_url` ends in `/v1`), and the random key that it asks for."""

    base_url: str
    api_key: str = field(repr=False)

    def __repr__(self) -> str:
        return f"Endpoint(base_url={self.base_url!r}, api_key='***')"


_lock = threading.Lock()
_running: dict[Order, tuple[Endpoint, EngineProcess]] = {}
_started: set[EngineProcess] = set()
_orders: dict[tuple[str | None, str | None, int | None, int | None], Order] = {}
"""By what was asked for, the variable that may name a file included."""


def endpoint(
    model_path: str | os.PathLike[str] | None = None, context_size: int | None = None, threads: int | None = None
) -> Endpoint:
    """The endpoint of the server for these weights, by default those that `find_weights` finds.

    The first call of a process starts the server and waits until it answers; later calls return the same endpoint, as
    long as its process is there: of one that was killed, the next call starts another.

    Args:
        model_path: the weights, a GGUF file.
        context_size: the most tokens of a prompt and its answer together; by default 2048.
        threads: how many threads compute; by default one less than there are processors.

    Raises:
        ConfigurationError: the engine or the weights are missing, or the engine cannot load the weights.
        LLMClientError: the server's process ended while it started, or does not answer.
    """
    order = _order(model_path, context_size, threads)
    with _lock:
        if order in _running:
            found, process = _running[order]
            if process.is_running:
                return found
            del _running[order]
            _stop(process)
        process = EngineProcess(order)
        _started.add(process)
        try:
            process.start()
        except BaseException:
            _started.discard(process)
            raise
        started = Endpoint(f"{process.address}/v1", process.key)
        _running[order] = started, process
        return started


def _order(model_path: str | os.PathLike[str] | None, context_size: int | None, threads: int | None) -> Order:
    """What these arguments ask for. Files are looked at for a server that does not run yet alone: each call asks."""
    path = os.fspath(model_path) if isinstance(model_path, os.PathLike) else model_path
    asked = (None if path is None else os.path.abspath(str(path)), environ(MODEL_PATH_VARIABLE), context_size, threads)
    order = _orders.get(asked)
    if order is None or order not in _running:
        weights = find_weights(model_path)
        _orders[asked] = order = Order(weights, model_name(weights), context_size, threads)
    return order


def shutdown() -> None:
    """End the servers of this process. The next `endpoint()` starts a new one, at another address."""
    with _lock:
        while _running:
            _, (_, process) = _running.popitem()
            _stop(process)


def _stop(process: EngineProcess) -> None:
    process.stop()
    _started.discard(process)


def _at_exit() -> None:
    for process in list(_started):
        process.stop()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held the old one
    for process in _started:
        process.forget()
    _started.clear()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
