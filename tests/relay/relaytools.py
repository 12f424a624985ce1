"""What the relay's tests share: scripted providers behind it, raw HTTP in front of it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from llmclients import AsyncClient
from llmclients.relay import RelayServer
from llmclients.transports.mock import MockTransport, Reply

PROVIDERS = ("ylokh", "yqcloud", "yqcloud-legacy", "ai365vip", "openai")
WIRES = (*PROVIDERS, "anthropic", "openai-responses", "gemini", "ollama")
"""All wires that the relay serves; the library's clients test the first ones, the official SDKs the rest."""

RAW_TEXT = ("yqcloud", "yqcloud-legacy", "ai365vip")
PREFIX = {name: f"/{name}" for name in WIRES} | {"openai": "/openai/v1", "openai-responses": "/openai/v1"}
PATH = {
    "ylokh": "/v1/chat/completions",
    "yqcloud": "/api/generateStream",
    "yqcloud-legacy": "/api/generateStream",
    "ai365vip": "/api/chat",
    "openai": "/chat/completions",
    "anthropic": "/v1/messages",
    "openai-responses": "/responses",
    "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
    "ollama": "/api/chat",
}
HI = [{"role": "user", "content": "Hi"}]
BODY: dict[str, dict[str, Any]] = {
    "ylokh": {"messages": HI},
    "yqcloud": {"prompt": "Hi"},
    "yqcloud-legacy": {"prompt": "Hi"},
    "ai365vip": {"messages": HI},
    "openai": {"messages": HI, "stream": True},
    "anthropic": {"messages": HI, "stream": True, "max_tokens": 9},
    "openai-responses": {"input": "Hi", "stream": True},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}]},
    "ollama": {"model": "m", "messages": HI},
}
"""The least that each wire takes for a streamed answer."""

MODEL = {"openai": {"model": "m"}}
"""What a client needs besides the address."""


def event(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def delta(text: str, **members: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **members})


def end(reason: str = "stop") -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
GOOD_STREAM = (delta("Hel", model="up-1"), delta("lo 😀"), end(), event({"choices": [], "usage": USAGE}), DONE)
GOOD_REPLY = {
    "id": "up",
    "model": "up-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello 😀"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def good(request: Any) -> Reply:
    """An OpenAI-style provider that always says the same."""
    if request.url.endswith("/models"):
        return Reply(json={"data": [{"id": "up-1"}, {"id": "up-2"}]})
    if json.loads(request.body).get("stream"):
        return Reply(chunks=GOOD_STREAM, headers={"content-type": "text/event-stream"})
    return Reply(json=GOOD_REPLY)


def upstream_client(script: Any = good, provider: str = "openai/up-1", **arguments: Any) -> AsyncClient:
    """A client of a scripted provider, which tries each call once."""
    mock = script if isinstance(script, MockTransport) else MockTransport(script)
    key = {"api_key": "upstream-key"} if provider.startswith("openai") else {}
    return AsyncClient(provider, base_url="http://upstream/v1", transport=mock, retry=None, **key, **arguments)


@contextmanager
def relay_over(
    script: Any = good, provider: str = "openai/up-1", **arguments: Any
) -> Iterator[tuple[RelayServer, Any]]:
    """A running relay, and the requests that its provider gets."""
    mock = MockTransport(script)
    with RelayServer(upstream_client(mock, provider), **arguments) as relay:
        yield relay, mock


class Answer:
    """What came back: status, headers in lower case, the body with everything that changes taken out."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.raw = body
        self.body = re.sub(
            rb'"(created|created_at)":\d+', rb'"\1":0', re.sub(rb"(chatcmpl-|msg_|resp_)[0-9a-f]{24}", b"ID", body)
        )

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def error_message(answer: Answer) -> str:
    """What an error says, in whatever form its wire has for it."""
    error = answer.json.get("error", answer.json)
    return str(error if isinstance(error, str) else error["message"])


def send(
    url: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Answer:
    """One request as it is; a body that is neither bytes nor None goes as JSON."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def post(url: str, wire: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    return send(url, PREFIX[wire] + PATH[wire], BODY[wire] if body is None else body, headers)


def raw_post(url: str, path: str, body: Any, limit: int | None = None) -> bytes:
    """The bytes of the whole connection, or its first `limit`."""
    with open_post(url, path, body) as connection:
        data = b""
        while (limit is None or len(data) < limit) and (piece := connection.recv(65536)):
            data += piece
        return data


def open_post(
    url: str, path: str, body: Any, headers: Mapping[str, str] | None = None, *, close: bool = True
) -> socket.socket:
    parts = urlsplit(url)
    payload = json.dumps(body).encode()
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    head += "Connection: close\r\n" if close else ""
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    connection.sendall(f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
    return connection


class SlowProvider:
    """An OpenAI-style server that streams one word for each `go()`, and notices when its client leaves."""

    def __init__(self, first: bool = True) -> None:
        self.asked, self.left = threading.Event(), threading.Event()
        self._first = first
        self._go = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve)

    def go(self) -> None:
        self._go.release()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(0.01)
            data = b""
            while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                try:
                    data += connection.recv(65536)
                except TimeoutError:
                    continue
            self.asked.set()
            if self._first:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            words = 0
            while True:
                if self._go.acquire(blocking=False):
                    words += 1
                    connection.sendall(delta(f"w{words} "))
                try:
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        self.left.set()

    def __enter__(self) -> SlowProvider:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()


def client_of(url: str, provider: str, **more: Any) -> dict[str, Any]:
    key = {"api_key": "none"} if provider == "openai" else {}
    return (
        {"provider": provider, "base_url": url + PREFIX[provider], "retry": None} | key | MODEL.get(provider, {}) | more
    )
