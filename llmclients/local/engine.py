"""The embedded model's servers: llama.cpp's HTTP server inside this process, on loopback, one for each weights file."""

from __future__ import annotations

import atexit
import ctypes
import http.client
import importlib
import os
import re
import secrets
import socket
import stat
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.local.install import ENGINE_PACKAGE, INSTALL_COMMAND
from llmclients.local.weights import find_weights

__all__ = ["Endpoint", "endpoint", "shutdown"]

# Theory of operation
#
# A server is an object of xllamacpp, which is llama.cpp's server as a library: C++ threads of this process that listen
# on a port of 127.0.0.1 and compute the answers. To the rest of the library it is an address like any other: nothing
# here is called while a chat runs. Every program on this machine can reach a loopback port, so each server has a
# random key.
#
# The state is `_servers`, `_lock` around it, and `_forked`. Any thread may call `endpoint()` and `shutdown()`. The
# lock is held while a server starts: threads that ask for the same weights in that time wait, and get the same server.
#
# A server lives as long as its Python object. Dropping the last reference runs a C++ destructor that stops the server
# and joins its threads. The destructor waits for ever unless three conditions hold:
#
# 1. The server's loop runs. The constructor returns a moment before that, and a server that is told to stop in this
#    moment misses it. So `_start` returns only after `_wait_until_ready`.
# 2. No client is in the middle of a request: the server waits for clients to leave. Ours are in this process, and may
#    be the very thread that stops it. So `shutdown` first closes the server's sockets under it (`_close_sockets`).
# 3. The engine's threads, of which some belong to no server, are there. In a forked child they are not: a fork copies
#    the memory, and of the threads only the one that forks.
#
# An object for which one of them may not hold is leaked (`_leak`): a server that never got ready, the parent's servers
# in a child, and a child's own. Their threads end with the process.
#
# A process ends its servers at its exit, by `atexit`, while the interpreter is whole. What remains of the engine are
# C++ objects whose destructors, in a child, would wait for the missing threads once more. So a child leaves by
# `_exit`, which runs none, called by the C library when all of Python's own exit is done and its buffers are flushed.

_SLOTS = 4  # requests answered at the same time; more wait their turn
_TOKENS_PER_SLOT = 2048  # prompt and answer together


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens (`base_url` ends in `/v1`), and the random key that it asks for."""

    base_url: str
    api_key: str = field(repr=False)

    def __repr__(self) -> str:
        return f"Endpoint(base_url={self.base_url!r}, api_key='***')"


_lock = threading.Lock()
_servers: dict[Path, tuple[Endpoint, Any]] = {}  # by weights file
_forked = False  # whether this process is the child of one that had loaded the engine


def endpoint(model_path: str | os.PathLike[str] | None = None) -> Endpoint:
    """The endpoint of the server for these weights, by default those that `find_weights` finds.

    The first call of a process starts the server and waits until it is ready; later calls return the same endpoint.

    Raises:
        ConfigurationError: the engine or the weights are missing, or the engine cannot load the weights.
        LLMClientError: the server started but does not answer.
    """
    engine = _load_engine()
    weights = find_weights(model_path)
    with _lock:
        if weights not in _servers:
            _servers[weights] = _start(engine, weights)
        return _servers[weights][0]


def shutdown() -> None:
    """Stop the servers of this process. The next `endpoint()` starts a new one, at another address."""
    with _lock:
        while _servers:
            _, (stopping, server) = _servers.popitem()
            _close_sockets(stopping)
            if _forked:
                _leak(server)
            del server  # the last reference otherwise: the destructor stops the server and joins its threads


def _load_engine() -> Any:
    try:
        return importlib.import_module(ENGINE_PACKAGE)
    except ImportError as error:
        # Installed but broken (a wheel for another machine, say) is not mended by installing: say what broke.
        missing = isinstance(error, ModuleNotFoundError) and error.name == ENGINE_PACKAGE
        detail = "is not installed" if missing else f"cannot be imported ({error})"
        raise ConfigurationError(f"the embedded model's engine {detail}; run: {INSTALL_COMMAND}") from error


def _start(engine: Any, weights: Path) -> tuple[Endpoint, Any]:
    key = secrets.token_urlsafe(32)
    try:
        server = engine.Server(_params(engine, weights, key))
    except (RuntimeError, ValueError) as error:  # it tells no reason that could be passed on
        message = f"model_path: the engine cannot load {weights}: damaged, or not a model it knows"
        raise ConfigurationError(message, argument="model_path") from error
    except AttributeError as error:  # a parameter that this engine does not know yet
        raise ConfigurationError("xllamacpp is too old; run: python -m pip install --upgrade xllamacpp") from error
    address: str = server.listening_address
    try:
        _wait_until_ready(address, key)
    except BaseException:
        _leak(server)  # whether its loop runs is not known
        raise
    return Endpoint(f"{address}/v1", key), server


def _params(engine: Any, weights: Path, key: str) -> Any:
    params = engine.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {_model_name(weights)}  # else every answer would name the model by the file's whole path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.cpuparams.n_threads = _thread_count()
    params.n_parallel = _SLOTS
    params.n_ctx = _SLOTS * _TOKENS_PER_SLOT
    params.n_batch = 256  # a long prompt is read in steps of this many tokens; between them the server can be stopped
    params.n_gpu_layers = 0  # the same answers on every machine
    params.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    params.cache_prompt = False  # a prompt read in part from the cache is answered differently, even with a fixed seed
    params.ui = False
    params.warmup = False
    params.verbosity = -1  # nothing on stdout and stderr: they are the program's, not ours
    return params


def _model_name(weights: Path) -> str:
    """`SmolLM2-135M-Instruct` of `SmolLM2-135M-Instruct.Q4_1.gguf`: how the numbers are packed is not its name."""
    return re.sub(r"[.-](I?Q\d\w*|B?F16|F32)$", "", weights.stem, flags=re.IGNORECASE)


def _thread_count() -> int:
    """All usable processors but one: that one is the program's.

    The engine's threads wait for each other in busy loops: when one loses its processor, all stall. Two threads beside
    one busy process on two processors were ten times slower than one thread.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)


def _wait_until_ready(address: str, key: str) -> None:
    """Return once the server's loop runs, which an answer from `/slots` proves; one from `/health` would not."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request("GET", "/slots", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        raise LLMClientError(f"the embedded model's server at {address} does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise LLMClientError(f"the embedded model's server at {address} answers with HTTP status {response.status}")


def _close_sockets(stopping: Endpoint) -> None:
    """Shut down the server's listening socket and its ends of all connections.

    The engine tells none of its descriptors, so they are found among this process's by the address they are bound to.
    """
    address = urlsplit(stopping.base_url)
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # Windows
        return
    for descriptor in sorted(descriptors):  # in this order the listening socket comes before what it accepted
        with suppress(OSError):  # it may be closed by now
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as end:
                if end.family == socket.AF_INET and end.getsockname() == (address.hostname, address.port):
                    end.shutdown(socket.SHUT_RDWR)


def _leak(server: Any) -> None:
    """Take a reference that nothing gives back, not even the interpreter at its end."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))


def _after_fork_in_child() -> None:
    """Forget the parent's servers, and see to it that this process leaves without waiting for their threads."""
    global _lock, _forked
    _lock = threading.Lock()  # another thread of the parent may have held the old one
    if ENGINE_PACKAGE not in sys.modules:
        return
    _forked = True
    for _, server in _servers.values():
        _leak(server)
    _servers.clear()
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # not every C library has on_exit
        libc.on_exit(libc._exit, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(shutdown)
