"""TLS as a layer between a transport and a protocol: a protocol to what is below, a transport to what is above.

asyncio's own TLS would do for most; this one is here for what asyncio does not tell or take:

- whether the peer said that it ends (`close_notify`): without it, an end is a cut;
- a session of an earlier connection, which spares both sides most of the handshake;
- TLS inside TLS, for a secure proxy, on every Python;
- an end that never waits.

States: handshake → open → over. Bytes from below are decrypted at once and handed up, however many records they are.
Everything runs in the loop's thread. `handshaken` is done when the connection is open or has failed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Any

from llmclients.transports.httpx.failures import ConnectionLostError, HandshakeFailedError
from llmclients.transports.httpx.sockets import BottomProtocol, left_unread

__all__ = ["ByteStream", "TLSLayer"]

_RECORD = 16 * 1024


class TLSLayer(BottomProtocol):
    """One TLS connection. `above` gets its bytes; `set_protocol` changes it. `sock`: the socket right below, if any."""

    __slots__ = ("_above", "_incoming", "_object", "_open", "_outgoing", "_over", "_sock", "_wire", "handshaken")

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        session: ssl.SSLSession | None,
        above: asyncio.Protocol,
        sock: socket.socket | None,
        loop: asyncio.AbstractEventLoop,
        shared: memoryview,
    ) -> None:
        super().__init__(shared)
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._above: asyncio.Protocol | None = above
        self._wire: ByteStream | None = None
        self._open = self._over = False
        self.handshaken: asyncio.Future[None] = loop.create_future()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What another connection to the same host can begin with."""
        return self._object.session

    # --- as a protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wire = transport
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._incoming.write(data)
        if not self._open:
            self._shake_hands()
        if self._open:
            self._decrypt()

    def eof_received(self) -> None:
        self._end(ConnectionLostError("it ended without close_notify"))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._sock is not None and not self._over:
            for data in left_unread(self._sock):
                self.data_received(data)
        self._end(exc)
        self._wire = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._end(error)
            return
        self._flush()
        self._open = True
        if not self.handshaken.done():
            self.handshaken.set_result(None)

    def _decrypt(self) -> None:
        tls, incoming = self._object, self._incoming
        try:
            # A read that finds nothing costs an exception: none is made where all bytes are used up.
            while waiting := incoming.pending or tls.pending():
                data = tls.read(min(max(waiting, tls.pending()), _RECORD))
                if not data:
                    self._close_notify()
                    return
                if self._above is None:
                    return
                self._above.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._close_notify()
            return
        except ssl.SSLError as error:
            self._end(error)
            return
        self._flush()

    def _close_notify(self) -> None:
        """The peer has said that it ends: all that it sent has come."""
        if not self._over:
            self._over = True
            if self._above is not None:
                self._above.eof_received()
            if self._wire is not None:
                self._wire.close()

    def _flush(self) -> None:
        if self._outgoing.pending and self._wire is not None:
            self._wire.write(self._outgoing.read())

    def _end(self, error: Exception | None) -> None:
        if error is not None:
            error.with_traceback(None)  # its frames have this layer, and asyncio's transport
        if not self.handshaken.done():
            failure = error if isinstance(error, ssl.SSLError) else HandshakeFailedError()
            failure.__cause__ = error if failure is not error else None
            self.handshaken.set_exception(failure)
            self.handshaken.exception()  # whoever waited may be gone
        self._over = True
        if self._above is not None:
            above, self._above = self._above, None
            if self._open:
                above.connection_lost(error)
        if self._wire is not None:
            self._wire.abort()

    # --- as a transport ---------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self._above = protocol

    def write(self, data: bytes | memoryview) -> None:
        if self._wire is None or self._over:
            return
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            self._end(error)
            return
        self._wire.write(self._outgoing.read())

    def close(self) -> None:
        """Say that it ends, and end, without waiting for the peer to say so too."""
        wire = self._wire
        if wire is None:
            return
        if self._open and not self._over and not wire.get_write_buffer_size():
            self._over = True
            with suppress(ssl.SSLError):  # the peer's word is not here yet: nobody waits for it
                self._object.unwrap()
            self._flush()
        self._over = True
        if wire.get_write_buffer_size():
            wire.abort()
        else:
            wire.close()

    def abort(self) -> None:
        self._over = True
        if self._wire is not None:
            self._wire.abort()

    def is_closing(self) -> bool:
        return self._over or self._wire is None or self._wire.is_closing()

    def pause_reading(self) -> None:
        if self._wire is not None:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        if self._wire is not None:
            self._wire.resume_reading()

    def get_write_buffer_size(self) -> int:
        return 0 if self._wire is None else self._wire.get_write_buffer_size()


ByteStream = asyncio.Transport | TLSLayer
"""What a connection writes to."""
