"""`ModelServer`: chat completions over HTTP, in real time: what a session in another process talks to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

__all__ = ["CUT", "ModelServer"]

CUT = None
"""As a piece: the connection ends here."""

Piece = str | float | dict[str, Any] | None


class ModelServer:
    """Answers each request with the pieces that `answer` gives for its last message: text, seconds to wait, deltas."""

    def __init__(self, answer: Callable[[str], Sequence[Piece]]) -> None:
        self.sent: list[dict[str, Any]] = []
        sent = self.sent

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sent.append(body)
                content = body["messages"][-1]["content"]
                pieces = answer(content if isinstance(content, str) else content[-1]["text"])
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self._send(body["model"], pieces)

            def _send(self, model: str, pieces: Sequence[Piece]) -> None:
                reason = "tool_calls" if any(isinstance(piece, dict) for piece in pieces) else "stop"
                usage = {"prompt_tokens": 9, "completion_tokens": len(pieces), "cost": 0.0012}
                for piece in pieces:
                    if piece is CUT:
                        return
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        delta = {"content": piece} if isinstance(piece, str) else piece
                        self._event({"model": model, "choices": [{"delta": delta}]})
                self._event({"model": model, "choices": [{"delta": {}, "finish_reason": reason}], "usage": usage})
                self._write("[DONE]")

            def _event(self, event: dict[str, Any]) -> None:
                self._write(json.dumps(event))

            def _write(self, data: str) -> None:
                with suppress(OSError):  # the client has left
                    self.wfile.write(f"data: {data}\n\n".encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
