"""`Upstream`: a provider on a socket of this machine, and servers and readers for the programs that ask it."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import os
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from llmclients.testing.fault_server import END, HOLD, FaultServer, ReceivedRequest, chunked
from llmclients.testing.fault_server import http as http_reply

EXAMPLES = Path(__file__).parents[2] / "examples"
BOUND = 10.0
"""Seconds. What is waited for is an event, and comes at once; a busy machine may take some."""

HEAD = http_reply(headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")], body=None)


class Upstream:
    """Speaks chat completions, and does what the prompt says.

    A prompt that begins with `401` or `429` is refused so, `break` breaks off after a piece, `endless` has no end,
    `silent` says a piece and no more.
    Any other is answered with `PIECES`, and each piece but the first waits until a reader says that it has the last.

    Attributes:
        seen: set by who has seen a piece, so that the next one is sent.
        left: set when the connection of an endless or silent answer was closed.
    """

    PIECES = ("# The Nile\n\n", "It is *long*,", " and old.")

    def __init__(self) -> None:
        self.seen = threading.Semaphore(0)
        self.left = threading.Event()
        self._server = FaultServer(self._script)
        self.url = self._server.url
        self.close = self._server.close

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to ask this provider in place of OpenAI, as a copy of the variables that are there."""
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**kept, "OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "the-key", "PYTHONPATH": str(EXAMPLES.parent)}

    def forget(self) -> None:
        """Begin anew, for the next test."""
        self.seen = threading.Semaphore(0)
        self.left.clear()

    def _script(self, request: ReceivedRequest) -> Iterator[Any]:
        prompt = _prompt(request)
        if prompt[:3] in ("401", "429"):
            body = json.dumps({"error": {"message": f"{prompt} of the-key", "code": None}}).encode()
            return iter(
                [http_reply(f"{prompt[:3]} No", [("Retry-After", "30"), ("Content-Type", "application/json")], body)]
            )
        if not request.json.get("stream"):
            choice = {"message": {"role": "assistant", "content": "".join(self.PIECES)}, "finish_reason": "stop"}
            return iter(
                [
                    http_reply(
                        headers=[("Content-Type", "application/json")], body=json.dumps({"choices": [choice]}).encode()
                    )
                ]
            )
        return getattr(self, f"_{prompt.split()[0]}", self._answer)()

    def _answer(self) -> Iterator[Any]:
        yield HEAD
        for number, piece in enumerate(self.PIECES):
            if number and not self.seen.acquire(timeout=BOUND):
                yield END  # it was not seen in time: the reader gets a broken answer
            yield _event(piece)
        yield _event("", "stop")
        yield chunked(b"data: [DONE]\n\n")

    def _break(self) -> Iterator[Any]:
        yield HEAD
        yield _event("Once")
        yield END

    def _endless(self) -> Iterator[Any]:
        with self._leaving():
            yield HEAD
            while True:
                yield _event("and on ")
                yield 0.005

    def _silent(self) -> Iterator[Any]:
        with self._leaving():
            yield HEAD
            yield _event("Once")
            yield HOLD

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """The server ends a script whose connection is closed."""
        try:
            yield
        finally:
            self.left.set()


def _prompt(request: ReceivedRequest) -> str:
    prompt: str = request.json["messages"][-1]["content"]
    return prompt


def _event(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return chunked(f"data: {json.dumps({'choices': [choice]})}\n\n".encode(), last=False)


@contextmanager
def example(name: str, upstream: Upstream) -> Iterator[ModuleType]:
    """An example, imported as a server imports it."""
    before = dict(os.environ)
    os.environ.update(upstream.environment)
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))
        del sys.modules[name]
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def wsgi_server(app: Callable[..., Any]) -> Iterator[int]:
    """The port of werkzeug's server, which `flask run` runs: a thread for each request."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def asgi_server(app: Callable[..., Any]) -> Iterator[int]:
    """The port of a uvicorn in a thread of its own."""
    import uvicorn

    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    server = Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert ready.wait(BOUND)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class Page:
    """A request of a reader, and what comes of its answer."""

    def __init__(self, port: int, path: str, prompt: str | None, *, post: bool = False) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND)
        query = "" if prompt is None or post else "?" + urllib.parse.urlencode({"prompt": prompt})
        body = json.dumps({"prompt": prompt}).encode() if post else None
        headers = {"Content-Type": "application/json"} if post else {}
        self._connection.request("POST" if post else "GET", path + query, body, headers)
        self.response = self._connection.getresponse()
        self.status = self.response.status

    def piece(self) -> str:
        """The next bytes, as they arrive; empty at the end."""
        return self.response.read1().decode()

    def text(self) -> str:
        """All that is left."""
        with self:
            return self.response.read().decode()

    def leave(self) -> None:
        """Go away, as a browser whose tab is closed."""
        self.response.close()
        self._connection.close()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()
