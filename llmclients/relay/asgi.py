"""`ASGIExchange`: one HTTP request and its reply over ASGI, and whether the client is still there.

How a client that disconnects is noticed. In ASGI, `receive` gives the request's body, piece by piece; when that has
ended, it waits until the client disconnects (or the reply is complete), and then gives `http.disconnect`. `send` need
not tell: a server may drop bytes for a client that is gone. So there are two phases:

- `body` calls `receive` until the request has ended. Nothing else is done meanwhile.
- `cancel_on_disconnect` runs the work on the reply in one task, and waits for `http.disconnect` in another. Whichever
  ends first ends the other one. The work is cancelled at its next `await`, which is where it waits for the upstream
  provider: the `async with` around the upstream's stream closes that connection, so nobody goes on paying for an answer
  that no one reads.

How a request is refused before its body has been read. A client that goes on sending would hold the connection, or make
the server read all of it for nothing. So, unless what is left is known to be short, the reply says `Connection: close`,
and what serves the connection, the `Peer`, throws away for a moment what still comes: were the connection reset at
once, the client would lose the reply. The reply is complete for the client, by its length, before that moment begins.

How a piece of a reply is written. Its head, its last piece and its end go through `send`, and so does all of a body
that has a length. Of a body in chunks the other pieces go straight to the connection, where that can take them
(`Peer.write_chunk`): the server has nothing to know of them, and its own way takes an eighth of a relayed chunk's time.

Invariants: only one of the two calls `receive` at any time, as ASGI wants it; the work's task has ended, its `finally`
blocks included, when `cancel_on_disconnect` returns or raises, also if it is cancelled itself because the server stops.
An exchange belongs to the task that serves its request, and to the two tasks that it starts; nobody else uses it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
from collections.abc import Coroutine, Iterable
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from llmclients.relay.accounts import Account
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.records import RequestRecord

__all__ = ["PEER_KEY", "ASGIExchange", "ClientDisconnected", "Peer"]

PEER_KEY = "llmclients.relay.peer"
"""The name of the connection's `Peer` in a scope's `state`."""

_NO_GOODBYE = struct.pack(
    "hh" if sys.platform == "win32" else "ii", 1, 0
)  # a socket is closed by a reset, and not by an end
_SHORT_BODY = 64 * 1024  # what is left of a refused request may be read, as with any other request


class Peer:
    """What serves the connection, as far as it takes part: a server other than the relay's own does not.

    Attributes:
        closed_because: why the relay itself has closed the connection, or "".
    """

    closed_because = ""
    _transport: Any = None  # asyncio's, where it is known

    def begin_body(self) -> None:
        """The request may be answered: its body is read now."""

    def end_body(self) -> None:
        """The request has ended."""

    def is_wasteful(self, size: int) -> bool:
        """Whether far more bytes have come than this many of the body."""
        return False

    def write_chunk(self, data: bytes) -> bool:
        """Send a piece of a reply whose body is in chunks, past the server's own code. False: that has to do it."""
        return False

    async def discard(self) -> None:
        """Throw away what the client still sends, for a moment."""

    def reset(self) -> None:
        """End the connection at once, so that its client cannot take that for the end of a reply."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_GOODBYE)
            self._transport.abort()


_NO_PEER = Peer()


class ClientDisconnected(Exception):
    """The client has closed the connection before the reply was complete."""


class ASGIExchange:
    """One request and its reply.

    Attributes:
        method: the request's, in upper case.
        headers: the request's.
        path_params: the parts of the path that its route has names for.
        query: what the address asks besides, by name; the last value of each counts.
        content: the request's whole body, decoded, once it has been read.
        status: the reply's HTTP status, or 0 until its head has been sent.
        record: what the log and the metrics get to know of it.
        account: whose request it is; None until that is known.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.headers = Headers(scope=scope)
        self.path_params: dict[str, Any] = scope.get("path_params", {})
        self.query = QueryParams(scope.get("query_string", b""))
        self.content: bytes | None = None
        self.status = 0
        self.record = RequestRecord(self.method, scope["path"])
        self.account: Account | None = None
        self._receive = receive
        self._send = send
        self._peer: Peer = scope.get("state", {}).get(PEER_KEY, _NO_PEER)
        self._is_read = self._is_complete = False
        self._has_chunks = scope.get("http_version", "1.1") >= "1.1"
        self._is_in_chunks = False  # the reply's body, once it has begun

    @property
    def closed_because(self) -> str:
        """Why the relay has closed the connection, or ""."""
        return self._peer.closed_because

    async def body(self, limit: int) -> bytes:
        """The request's whole body.

        Raises:
            RequestRejected: it is longer than `limit` bytes, or comes in chunks too small.
            ClientDisconnected: it does not come to its end.
        """
        if (length := self._length()) is not None and length > limit:
            raise _too_long(limit)
        self._peer.begin_body()
        pieces: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnected
            pieces.append(event.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise _too_long(limit)
            if not event.get("more_body", False):
                self._is_read = True
                self._peer.end_body()
                return b"".join(pieces)
            if self._peer.is_wasteful(size):
                raise RequestRejected(Failure(400, "the request comes in chunks too small"))

    def _length(self) -> float | None:
        """How long the request's body is, by its head; None where that does not tell."""
        if "transfer-encoding" in self.headers:
            return None
        digits = self.headers.get("content-length", "0")
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else math.inf

    async def start(self, status: int, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the reply's head."""
        self.status = status
        self.record.reply_begins(status)
        pairs = (("content-type", content_type), *headers)
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
            }
        )
        self._is_in_chunks = (
            self._has_chunks and self.method != "HEAD" and all(name != "content-length" for name, _ in pairs)
        )

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the reply's body."""
        if self._is_in_chunks and data and not last and self._peer.write_chunk(data):
            return
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        self._is_complete = last

    def cut(self) -> None:
        """Nothing more is sent: of a reply that is not complete, the client is to notice.

        The server closes the connection. Without chunks, as in HTTP/1.0, that alone would be the end of the reply.
        """
        if self.status and not self._is_complete and not self._has_chunks:
            self._peer.reset()

    async def reply(self, status: int, content_type: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send a whole reply; the module's docstring says how where the request has not been read."""
        headers = (("content-length", str(len(body))), *headers)
        self.record.is_whole = True
        length = self._length()
        if self._is_read or (length is not None and length <= _SHORT_BODY):
            await self.start(status, content_type, headers)
            await self.write(body, last=True)
            return
        await self.start(status, content_type, (*headers, ("connection", "close")))
        await self.write(body)
        await self._peer.discard()
        await self.write(b"", last=True)

    def hand_on(self) -> tuple[RequestRecord, Account | None]:
        """For an answer that goes on without its request: what is told of it from now on, and whose it is."""
        account, self.account = self.account, None
        return self.record.handed_on(), account

    async def cancel_on_disconnect(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, but cancel it as soon as the client disconnects. Only after the request's body has been read.

        Raises:
            ClientDisconnected: it did. Whatever `work` raises.
        """
        task, disconnect = asyncio.ensure_future(work), asyncio.ensure_future(self._disconnect())
        try:
            await asyncio.wait((task, disconnect), return_when=asyncio.FIRST_COMPLETED)
        finally:  # also when the server stops and cancels all this
            task.cancel()
            disconnect.cancel()
            await asyncio.gather(task, disconnect, return_exceptions=True)
        if task.cancelled():  # if both have ended at once, the work is done, and counts
            raise ClientDisconnected
        try:
            task.result()
        finally:
            # What it raises has this frame in its traceback, and the task has it: together they would keep the
            # request's body until the collector comes by, which it does seldom.
            del task

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _too_long(limit: int) -> RequestRejected:
    return RequestRejected(Failure(413, f"the request is longer than {limit} bytes"))
