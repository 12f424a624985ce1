"""The process that the embedded model runs in: llama.cpp's HTTP server on loopback. A script, which nobody imports.

It reads one line of JSON from stdin, what to serve and where Python finds modules, and writes one line to stdout: the
address, or what went wrong. From then on it serves, until the process that started it ends.
"""

# Theory of operation
#
# Three things end this process: its parent kills it, the pipe on its stdin loses its other end, which the parent alone
# holds, or, on Linux, the parent's process ends. Whatever becomes of the parent, one of them happens.
#
# The pipe is watched by Python code, and the engine holds the interpreter's lock while it loads weights. A parent that
# is killed in that time is seen by the kernel instead, on Linux: PR_SET_PDEATHSIG. That signal comes when the *thread*
# that started this process ends, which is no sign of anything once the server runs. So it is taken back then.
#
# Signals that ask a whole group to end are ignored: a program that goes on after Ctrl-C, or that finishes its last
# answers after SIGTERM, still needs its model.

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Serve what stdin says, as long as there is somebody who wants it."""
    order = json.loads(sys.stdin.buffer.readline())
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the line on stdout is all there is: what the engine may print goes where stderr goes
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _end_with_parent(signal.SIGKILL if sys.platform == "linux" else 0)
    if sys.platform != "win32" and select.select([0], [], [], 0)[0]:
        return  # the parent ended before that
    sys.path += [path for path in order["path"] if path not in sys.path]
    server, answer = _serve(order)
    _end_with_parent(0)
    with report:
        report.write(f"{json.dumps(answer)}\n")
    if server is not None:
        _wait_for_parents_end(order["parent"])
    os._exit(0)  # without the server's destructor: it would wait for whoever is connected


def _serve(order: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """The engine's server, running, and its address; or None, and what went wrong."""
    try:
        import xllamacpp

        server = xllamacpp.Server(_params(xllamacpp, order))
    except ImportError as error:  # installed but broken: a wheel for another machine, say
        return None, {"error": "import", "detail": str(error)}
    except AttributeError as error:  # a parameter that this engine does not know yet
        return None, {"error": "too old", "detail": str(error)}
    except (RuntimeError, ValueError) as error:
        return None, {"error": "load", "detail": str(error)}
    return server, {"address": server.listening_address}


def _params(engine: Any, order: dict[str, Any]) -> Any:
    params = engine.CommonParams()
    params.model.path = order["weights"]
    params.model_alias = {order["name"]}  # else every answer would name the model by the file's whole path
    if order["chat_template"] is not None:
        params.chat_template = order["chat_template"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.cpuparams.n_threads = order["threads"]
    params.n_parallel = order["slots"]
    params.n_ctx = order["slots"] * order["context_size"]
    params.n_batch = 256  # a long prompt is read in steps of this many tokens; between them other requests get a turn
    params.n_gpu_layers = 0  # the same answers on every machine
    params.fit_params = False  # it tries what fits into memory, which doubles the start, and gives less in silence
    params.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    params.cache_prompt = False  # a prompt read in part from the cache is answered differently, even with a fixed seed
    params.ui = False
    params.warmup = False
    params.verbosity = -1
    return params


def _end_with_parent(signal_number: int) -> None:
    """Have the kernel send this signal when the thread that started this process ends; 0 for none. Linux alone."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)


def _wait_for_parents_end(parent: int) -> None:
    """Return when the pipe on stdin has lost its other end, or the parent has ended.

    The other end may be in more hands than the parent's: a fork, made by C code that tells Python nothing of it, copies
    it. So where the kernel tells of a process's end, that counts as well.
    """
    if not hasattr(os, "pidfd_open"):
        sys.stdin.buffer.read()
        return
    watched = [0]
    try:
        watched.append(os.pidfd_open(parent))
    except ProcessLookupError:
        return
    except OSError:  # an old kernel, or one that does not allow it
        pass
    select.select(watched, [], [])


if __name__ == "__main__":
    main()
