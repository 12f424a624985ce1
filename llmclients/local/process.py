"""`EngineProcess`: starts the process that serves one weights file, and ends it."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.local.chat_template import chat_template
from llmclients.local.gguf import context_length
from llmclients.local.packages import ENGINE_PACKAGE, INSTALL_COMMAND
from llmclients.local.weights import cached_weights

__all__ = ["EngineProcess", "Order"]

_CHILD = Path(__file__).with_name("child.py")
_SLOTS = 4  # requests answered at the same time; more wait their turn
_DEFAULT_CONTEXT_SIZE = 2048
_SILENCE = 0.5  # seconds of loading after which a terminal is told
_PATIENCE = 5.0  # seconds for a killed process to be gone


class Order(NamedTuple):
    """What a server is to be: one of its own for each.

    Attributes:
        weights: the GGUF file, an absolute path.
        name: what the model is called in answers.
        context_size: the most tokens of a prompt and its answer together; None for 2048, or less if the model has less.
        threads: how many compute; None for all usable processors but one.
    """

    weights: Path
    name: str
    context_size: int | None = None
    threads: int | None = None


class EngineProcess:
    """The process of one server.

    `start` returns once it answers. Whatever interrupts that, KeyboardInterrupt included, leaves no process behind:
    the process ends when nobody holds the other end of its stdin any more.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        key: what the server asks for.
    """

    def __init__(self, order: Order) -> None:
        self.address = ""
        self.key = secrets.token_urlsafe(32)
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it answers. A terminal is told after half a second.

        Raises:
            ConfigurationError: the engine is missing or broken, or it cannot load the weights as it is told to.
            LLMClientError: the process ended, or does not answer.
        """
        _check_engine()
        _check_context_size(self._order)
        self._process = process = _spawn()
        try:
            with _loading_notice():
                self.address = self._hand_over(process)
                self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the process, whatever it is doing. Idempotent."""
        process = self._process
        if process is None:
            return
        _close(process.stdin)
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        _close(process.stdout)

    def forget(self) -> None:
        """In a fork of the process that started it: let go of the pipe, and of the process, which is not ours."""
        process, self._process = self._process, None
        if process is not None:
            _close(process.stdin)
            _close(process.stdout)
            process.returncode = 0  # else it would be missed aloud

    def _hand_over(self, process: subprocess.Popen[bytes]) -> str:
        """Give the process its order; the address that it reports."""
        assert process.stdin is not None
        assert process.stdout is not None
        order = self._order
        asked = {
            "parent": os.getpid(),
            "path": [os.path.abspath(path) for path in sys.path if isinstance(path, str)],
            "weights": str(order.weights),
            "name": order.name,
            "key": self.key,
            "chat_template": chat_template(order.weights),
            "slots": _SLOTS,
            "context_size": order.context_size or _DEFAULT_CONTEXT_SIZE,
            "threads": order.threads or _default_threads(),
        }
        with suppress(BrokenPipeError):  # then it has ended, and says nothing
            process.stdin.write(f"{json.dumps(asked)}\n".encode())
        report = process.stdout.readline()
        if not report:
            raise LLMClientError(f"the local model's process ended while it loaded {order.weights}: {_ending(process)}")
        answer: dict[str, str] = json.loads(report)
        process.stdout.close()
        if "address" not in answer:
            raise _failure(answer, order)
        return answer["address"]

    def _wait_until_ready(self) -> None:
        """Return once the server answers a question that needs the model: of its health it would tell sooner."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        try:
            connection.request("GET", "/slots", headers={"Authorization": f"Bearer {self.key}"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LLMClientError(f"the local model's server at {self.address} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise LLMClientError(
                f"the local model's server at {self.address} answers with HTTP status {response.status}"
            )


def _check_engine() -> None:
    """Raise ConfigurationError if there is no engine. It is not loaded: this process has no need of it."""
    try:
        found = importlib.util.find_spec(ENGINE_PACKAGE) is not None
    except ValueError:  # what find_spec raises when sys.modules says None
        found = False
    if not found:
        raise ConfigurationError(f"the local model's engine is not installed; run: {INSTALL_COMMAND}")
    if not sys.executable or getattr(sys, "frozen", False):
        raise ConfigurationError("the local model needs a Python interpreter to run in, and sys.executable is none")


def _check_context_size(order: Order) -> None:
    """Raise ConfigurationError for more tokens than the model takes: the engine would give less, and say nothing."""
    limit = None if order.context_size is None else context_length(order.weights)
    if limit is not None and order.context_size is not None and order.context_size > limit:
        raise ConfigurationError(
            f"context_size: {order.name} takes at most {limit} tokens, not {order.context_size}",
            argument="context_size",
        )


def _spawn() -> subprocess.Popen[bytes]:
    """The process, which waits for its order. It runs nothing of the program's, and no terminal's signals reach it."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        return subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=sys.platform != "win32",
            creationflags=flags,
        )
    except OSError as error:
        raise LLMClientError(f"the local model's process cannot be started ({sys.executable}): {error}") from error


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _default_threads() -> int:
    """All usable processors but one: that one is the program's.

    The engine's threads wait for each other in busy loops: when one loses its processor, all stall. Two threads beside
    one busy process on two processors were ten times slower than one thread.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)


@contextmanager
def _loading_notice() -> Iterator[None]:
    """If the block takes long, and a person sits before stderr, say what is going on."""
    stream = sys.stderr
    if stream is None or stream.closed or not stream.isatty():
        yield
        return
    timer = threading.Timer(_SILENCE, print, ("loading the local model …",), {"file": stream, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How a process that has closed its stdout ended, in words."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    code = process.returncode
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _failure(report: dict[str, str], order: Order) -> ConfigurationError:
    """The error for what the process reports in place of an address."""
    if report["error"] == "import":
        return ConfigurationError(
            f"the local model's engine cannot be imported ({report['detail']}); run: {INSTALL_COMMAND}"
        )
    if report["error"] == "too old":
        return ConfigurationError("xllamacpp is too old; run: python -m pip install --upgrade xllamacpp")
    if order.weights == cached_weights():
        return ConfigurationError(f"the engine cannot load {order.weights}: damaged; run: {INSTALL_COMMAND}")
    return ConfigurationError(  # the engine tells no reason that could be passed on
        f"model_path: the engine cannot load {order.weights}: damaged, or not a model it knows", argument="model_path"
    )
