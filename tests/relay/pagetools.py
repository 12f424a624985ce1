"""What the page's tests share: its addresses as its script asks them, and a browser with its remote control."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from relaytools import delta, send

from llmclients import AsyncClient

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # it stays on this machine
    "--lang=en-US",
)


def get(url: str, path: str, **headers: str) -> Any:
    answer = send(url, f"/page/{path}", headers=headers, method="GET")
    assert answer.status == 200, answer.raw
    return answer.json


def post(url: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
    answer = send(url, f"/page/{path}", data or {})
    assert answer.status == 200, answer.raw
    return answer.json


@contextmanager
def events(url: str, path: str, data: Mapping[str, Any] | None = None) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a reply, as they come. Leaving closes the connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    body = None if data is None else json.dumps(data)
    connection.request("GET" if data is None else "POST", f"/page/{path}", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    try:
        assert response.status == 200, response.read()
        yield (json.loads(line[6:]) for line in response if line.startswith(b"data: "))
    finally:
        response.close()
        connection.close()


def ask(url: str, text: str = "", **members: Any) -> list[dict[str, Any]]:
    """Ask, and read the events to the end."""
    with events(url, "ask", {"text": text, **members}) as found:
        return list(found)


class _Counting(http.server.BaseHTTPRequestHandler):
    """An OpenAI-style provider that says two words, and then nothing until the server ends."""

    over: threading.Event

    def do_GET(self) -> None:
        self._reply("application/json", b'{"data": [{"id": "up-1"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._reply("text/event-stream", delta("w1 "))
        self.over.wait(0.7)
        self.wfile.write(delta("w2 "))
        self.over.wait(30)

    def _reply(self, content_type: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing."""


@contextmanager
def counting_client() -> Iterator[AsyncClient]:
    """A client of that provider."""
    over = threading.Event()
    handler = type("Counting", (_Counting,), {"over": over})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        yield AsyncClient("openai/up-1", base_url=url, api_key="none", retry=None)
        over.set()
        server.shutdown()
        thread.join()


@contextmanager
def open_browser(profile: Path, *flags: str) -> Iterator[Any]:
    """Chromium, without a window; the test is skipped where there is none, or no driver for it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with a chromedriver (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
