"""One HTTP exchange over ASGI: the request's body in, the reply out, and whether anyone still listens."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from llmclients.relay.errors import Failure

__all__ = ["Exchange", "Gone", "Refused"]


class Gone(Exception):
    """The client went away."""


class Refused(Exception):
    """The request is not to be answered, for this reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Exchange:
    """`status` is the reply's, or 0 until its head is out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.headers = Headers(scope=scope)
        self.status = 0
        self._receive = receive
        self._send = send

    async def body(self, most: int) -> bytes:
        """The request's whole body.

        Raises:
            Refused: it is longer than `most` bytes.
            Gone: it does not come to its end.
        """
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                raise Refused(Failure(413, f"the request is longer than {most} bytes"))
            if not message.get("more_body", False):
                return b"".join(pieces)

    async def start(self, status: int, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the reply's head."""
        self.status = status
        pairs = (("content-type", content_type), *headers)
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
            }
        )

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the reply's body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def reply(self, status: int, content_type: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send a whole reply."""
        await self.start(status, content_type, (("content-length", str(len(body))), *headers))
        await self.write(body, last=True)

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, but cancel it as soon as the client goes away.

        Raises:
            Gone: it did.
        """
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:  # also when the server stops and cancels all this
            task.cancel()
            gone.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)
        if task.cancelled():
            raise Gone
        task.result()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
