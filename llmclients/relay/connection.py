"""`Connection`: one of the relay's TCP connections, between its socket and uvicorn: how long it may take for what.

uvicorn reads requests and writes replies. Of what a peer can do by being slow, it bounds two things only: a head's
bytes, and how long a connection idles between two requests. The rest is here: a protocol of asyncio's, which hands what
it receives to uvicorn's own protocol, and knows in which phase it is:

- `waiting`: no whole head has come since it was opened, or since the last reply. It ends after `head_seconds`.
- `reading`: the request may be answered, and its body is being read: that has to go on, and not by single bytes.
- `replying`: it may take as long as the upstream provider does; but what has been written must be taken (`Backlog`).
- `discarding`: the request was refused before it had ended. Its client may still be sending, and would not get to read
  the answer if the connection were reset at once; so what comes is thrown away for a moment, unread by uvicorn.

The phases after `waiting` are told by the application, which finds the `Connection` in ASGI's `state`. Nor has the
connection a timer: `Connections` looks at all of them once a second (`check`), so that a request costs none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from uvicorn.protocols.http.h11_impl import H11Protocol

from llmclients.relay.asgi import PEER_KEY, Peer
from llmclients.relay.backlog import Backlog
from llmclients.relay.early_answers import early_answer
from llmclients.transports.cycles import break_cycle

if TYPE_CHECKING:
    from llmclients.relay.connections import Connections

__all__ = ["Connection"]

Phase = Literal["waiting", "reading", "replying", "discarding"]

_STALLED_SECONDS = 0.2  # clients send a body with its head, or at once after it
# What is read at once is parsed at once, while the loop serves nobody else; asyncio would read 256 KiB.
_READ_BYTES = 32 * 1024
# A body may come in small chunks, but not this much of it: each costs as much as a large one.
_MAX_CHUNKED_BYTES = 128 * 1024


class Connection(Peer, asyncio.BufferedProtocol):
    """One connection.

    Attributes:
        loop: the server's.
        is_known: whether a request of it was one that may be answered.
    """

    def __init__(self, connections: Connections, arguments: dict[str, Any]) -> None:
        self.loop: asyncio.AbstractEventLoop = arguments.get("_loop") or asyncio.get_running_loop()
        self.is_known = False
        self._connections, self._limits = connections, connections.limits
        # Each request has this dict's copy in its scope: so the application finds the connection.
        state = {**arguments.pop("app_state"), PEER_KEY: self}
        self._uvicorn = H11Protocol(**arguments, app_state=state)
        self._transport: Any = None
        self._buffer: memoryview | None = None  # not before the first byte: many a connection has none
        self._phase: Phase = "waiting"
        self._since = self._progress_at = self.loop.time()
        self._received = self._received_before = self._seen = 0
        self._requests = 0
        self._discarded: asyncio.Future[None] | None = None
        self._backlog = Backlog(self._limits.write_seconds, self._limits.body_bytes_per_second)

    @property
    def descriptor(self) -> int:
        """The socket's."""
        return int(self._transport.get_extra_info("socket").fileno())

    # --- asyncio's side -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._uvicorn.connection_made(transport)  # type: ignore[arg-type]
        if not self._connections.add(self):
            self.answer_and_close(503, "the relay has no connection left: try again later")

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(_READ_BYTES))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        if self._phase != "discarding":
            assert self._buffer is not None
            self._uvicorn.data_received(bytes(self._buffer[:nbytes]))
        elif self._received - self._received_before > self._limits.discard_bytes:
            self._end_discarding()

    def eof_received(self) -> None:
        if self._phase == "discarding":
            self._end_discarding()
        self._uvicorn.eof_received()

    def pause_writing(self) -> None:
        self._backlog.paused(self._transport.get_write_buffer_size(), self.loop.time())
        self._uvicorn.pause_writing()

    def resume_writing(self) -> None:
        self._backlog.resumed(self.loop.time())
        self._uvicorn.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        if self._discarded is not None and not self._discarded.done():
            self._discarded.set_result(None)
        # uvicorn's timer for idle connections goes on where one ends with an error, and has the protocol.
        self._uvicorn.connection_lost(None)
        # Three cycles, which would keep all of it, the buffer too, until the collector comes to them.
        break_cycle(self._transport)
        self._uvicorn.cycle = None  # type: ignore[assignment]
        del self._uvicorn, self._buffer

    # --- the application's side ---------------------------------------------------------------------------------------

    def begin_request(self) -> None:
        """A whole head has come."""
        self._requests += 1
        self._connections.keep(self)
        self._enter("replying")

    def begin_body(self) -> None:
        self.is_known = True
        self._connections.read(self)
        self._enter("reading")

    def end_body(self) -> None:
        self._connections.keep(self)
        self._enter("replying")

    def is_wasteful(self, size: int) -> bool:
        received = self._received - self._received_before
        return received > _MAX_CHUNKED_BYTES and size < 0.8 * (received - _MAX_CHUNKED_BYTES)

    def write_chunk(self, data: bytes) -> bool:
        # Between a reply's head and its end, h11 has nothing to know of a body in chunks. The way there through ASGI,
        # and h11, takes as long as reading the provider's chunk does.
        if self._backlog.is_paused or self._transport.is_closing():
            return False  # uvicorn waits, or knows that nobody is there
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    async def discard(self) -> None:
        self._begin_discarding()
        self._discarded = self.loop.create_future()
        await self._discarded

    def end_request(self) -> None:
        """The reply is complete, or broken off. The next request of a pipeline may have begun."""
        self._requests -= 1
        if not self._requests and self._phase != "discarding":
            self._enter("waiting")
            if not self._transport.is_closing():
                self._connections.release(self)

    # --- limits -------------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End the connection if it has been too slow."""
        waited, limits = now - self._since, self._limits
        unsent = self._transport.get_write_buffer_size()
        if self._backlog.is_stuck(unsent, now):
            self.closed_because = "the client does not read the answer"
            self.abort()
        elif self._phase == "discarding" and waited > limits.discard_seconds:
            self._end_discarding()
        elif self._transport.is_closing() or unsent:
            return
        elif self._phase == "waiting" and waited > limits.head_seconds:
            if self._received == self._received_before:
                self._transport.close()
            else:
                self.answer_and_close(408, f"no whole head has come in {limits.head_seconds:g} seconds")
        elif self._phase == "reading" and self._body_is_late(now, waited):
            self.answer_and_close(408, "the body comes too slowly")

    def is_stalled(self) -> bool:
        """Whether nothing of the body has come since the last look at it, however short ago, but not since just now."""
        waited = self.loop.time() - self._since
        return waited > _STALLED_SECONDS and self._received - self._received_before == self._seen

    def _body_is_late(self, now: float, waited: float) -> bool:
        limits, received = self._limits, self._received - self._received_before
        if received != self._seen:
            self._seen, self._progress_at = received, now
        allowed = limits.body_seconds + received / limits.body_bytes_per_second
        return waited > allowed or now - self._progress_at > limits.body_pause_seconds

    def answer_and_close(self, status: int, message: str) -> None:
        """Say it past uvicorn, before it has a whole request."""
        self.closed_because = message
        self._transport.write(early_answer(status, message))
        if self._transport.can_write_eof():  # TLS has no such thing: there, its client learns it at the end
            self._transport.write_eof()
        self._begin_discarding()

    def abort(self) -> None:
        """End the connection at once."""
        self._connections.remove(self)
        self._transport.abort()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._progress_at = self.loop.time()
        self._received_before, self._seen = self._received, 0

    def _begin_discarding(self) -> None:
        self._enter("discarding")
        self._connections.release(self)
        self._transport.resume_reading()  # uvicorn may have paused it, as nobody reads the body

    def _end_discarding(self) -> None:
        """Close; the application does so itself, where it waits for this."""
        if self._discarded is None:
            self.abort()
        elif not self._discarded.done():
            self._discarded.set_result(None)
