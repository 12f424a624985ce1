"""Real small proxies, each a process of its own on a free port of loopback: proxy.py for HTTP, pproxy for SOCKS5."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmclients.testing.fault_server import unused_port

SECONDS_TO_START = 20


@contextmanager
def http_proxy(folder: Path, user: str = "") -> Iterator[int]:
    """proxy.py; `user` as `name:password`. Yields its port."""
    port = unused_port()
    command = ["-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
    command += ["--num-acceptors", "1", "--data-dir", str(folder), "--log-level", "WARNING"]
    if user:
        command += ["--basic-auth", user]
    with _process(command, port, folder):
        yield port


@contextmanager
def socks_proxy(folder: Path, user: str = "") -> Iterator[int]:
    """pproxy, which resolves the names it is given; `user` as `name:password`. Yields its port."""
    port = unused_port()
    address = f"socks5://127.0.0.1:{port}" + (f"#{user}" if user else "")
    # Unless told not to, it lets in without a password whoever came from the same address with one.
    # It asks for a current event loop, which newer Pythons do not have ready, and uvloop never has.
    program = "; ".join(
        (
            "import asyncio, sys",
            "sys.modules['uvloop'] = None",
            "asyncio.set_event_loop(asyncio.new_event_loop())",
            "from pproxy.server import main",
            "main()",
        )
    )
    with _process(["-c", program, "-l", address, "--auth", "0"], port, folder):
        yield port


@contextmanager
def _process(arguments: list[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / f"proxy-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output, cwd=folder)
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the proxy did not start: {log.read_text(errors='replace')[-2000:]}")
