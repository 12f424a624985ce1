"""The benchmark's processes: the server on one core, one for each runner on the other. All end with this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import certifi
import trustme
from typing_extensions import Self

from benchmarks.machine import SERVER_CORE, pin
from benchmarks.runners import RUNNERS

__all__ = ["Addresses", "RunnerFailedError", "Server", "Workers", "interpreter_of"]

ROOT = Path(__file__).parent.parent
_JOB_TIMEOUT = 300.0  # seconds
_LOG = Path(__file__).parent / "results" / "workers.log"
_FILES = Path(tempfile.gettempdir()) / f"llmclients-benchmark-{os.getpid()}"
_CERTIFICATE = _FILES / "server.pem"
_AUTHORITIES = _FILES / "authorities.pem"
"""The server's authority, and after it those of the public: a real program loads as many."""


class RunnerFailedError(Exception):
    """A runner could not do its job; the message is its error's."""


def interpreter_of(runner: str) -> Path:
    """The Python that has the runner's library."""
    environment = RUNNERS[runner].environment
    return Path(sys.prefix) / environment / "bin" / "python" if environment else Path(sys.executable)


def environment() -> dict[str, str]:
    """Neither the proxies nor the keys of whoever runs it; no library may reach out for data of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    bundle = {name: str(_AUTHORITIES) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    return kept | bundle | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server listens."""

    plain: str
    secure: str

    def of(self, *, tls: bool) -> str:
        return self.secure if tls else self.plain


class Server:
    """The canned server, in a process of its own."""

    def __enter__(self) -> Addresses:
        _issue_certificate()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", str(_CERTIFICATE)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: pin(SERVER_CORE),
        )
        assert self._process.stdout is not None
        plain, secure = map(int, self._process.stdout.readline().split())
        return Addresses(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        _end(self._process)
        shutil.rmtree(_FILES)


def _issue_certificate() -> None:
    _FILES.mkdir(mode=0o700)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(_CERTIFICATE))
    _AUTHORITIES.write_bytes(authority.cert_pem.bytes() + Path(certifi.where()).read_bytes())


class Workers:
    """One process for each runner, kept from job to job unless a job asks for a fresh one."""

    def __init__(self) -> None:
        self._kept: dict[str, subprocess.Popen[str]] = {}
        self._log = _LOG.open("w")

    def do(self, runner: str, job: dict[str, Any], *, fresh: bool = False) -> dict[str, float]:
        """The measurements of a job.

        Raises:
            RunnerFailedError: with the reason.
        """
        process = self._kept.pop(runner, None) if not fresh else None
        if process is None:
            process = self._start(runner)
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(_JOB_TIMEOUT, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps({"runner": runner, **job}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            _end(process)
            raise RunnerFailedError(f"its process ended with {process.returncode}")
        if fresh:
            process.stdin.close()
            _end(process)
        else:
            self._kept[runner] = process
        answer = json.loads(line)
        if "error" in answer:
            raise RunnerFailedError(answer["error"])
        numbers: dict[str, float] = answer["numbers"]
        return numbers

    def _start(self, runner: str) -> subprocess.Popen[str]:
        python = interpreter_of(runner)
        if not python.exists():
            raise RunnerFailedError("not installed")
        return subprocess.Popen(
            [str(python), "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._kept.values():
            with suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
            _end(process)
        self._log.close()


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
