"""Real small proxies, each a process of its own on a free port of loopback: proxy.py for HTTP, pproxy for SOCKS5."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llmclients.testing.fault_server import unused_port

SECONDS_TO_START = 20


@contextmanager
def http_proxy(folder: Path, user: str) -> Iterator[int]:
    """proxy.py; `user` as `name:password`. Yields its port."""
    port = unused_port()
    command = ["-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
    command += ["--num-acceptors", "1", "--data-dir", str(folder), "--log-level", "WARNING", "--basic-auth", user]
    with _process(command, [port], folder):
        yield port


@contextmanager
def open_proxies(folder: Path, user: str) -> Iterator[tuple[int, int, int]]:
    """pproxy, which resolves the names it is given. Yields the ports of HTTP, of SOCKS, and of SOCKS for `user` only."""
    ports = unused_port(), unused_port(), unused_port()
    schemes = zip(("http", "socks5", "socks5"), ports, ("", "", f"#{user}"), strict=True)
    listen = [word for scheme, port, login in schemes for word in ("-l", f"{scheme}://127.0.0.1:{port}{login}")]
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
    with _process(["-c", program, *listen, "--auth", "0"], ports, folder):
        yield ports


@contextmanager
def _process(arguments: list[str], ports: Sequence[int], folder: Path) -> Iterator[None]:
    log = folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output, cwd=folder)
    try:
        for port in ports:
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
