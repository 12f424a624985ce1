"""The dialogue with a proxy on a new connection, until that leads to the target: HTTP's CONNECT, or SOCKS."""

from __future__ import annotations

import asyncio
from typing import Any

from llmclients.config.values import Proxy
from llmclients.transports.cycles import break_cycle
from llmclients.transports.head import HeadReader, host_in_url, request_head
from llmclients.transports.httpx.failures import ConnectionLostError, ProxyFailedError
from llmclients.transports.request import proxy_authorization
from llmclients.transports.socks import SocksError, socks_dialogue

__all__ = ["ProxyDialogue"]


class ProxyDialogue(asyncio.Protocol):
    """Speaks with the proxy. When one of its methods has ended, the next bytes are the target's.

    Raises:
        ProxyFailedError: the proxy does not let through, or speaks when it is not asked.
        ConnectionLostError: it has ended the connection; the cause says why, if it was not in good order.
        MalformedError: what it says is not HTTP.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._received = b""
        self._end: ConnectionLostError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def connect(self, host: str, port: int, proxy: Proxy) -> None:
        """HTTP's CONNECT. The length that a reply gives to its body says nothing: after a good one comes the tunnel."""
        name = f"{host_in_url(host)}:{port}"
        headers = {"Host": name, **proxy_authorization(proxy)}
        self._write(request_head("CONNECT", name, headers.items()))
        reader, head = HeadReader(), None
        while head is None:
            await self._more()
            data, self._received = self._received, b""
            head = reader.feed(data)
        if head.status >= 300:
            raise ProxyFailedError(head.status, head.reason)
        self._received = reader.rest
        self._finish()

    async def socks(self, host: str, port: int, proxy: Proxy) -> None:
        """SOCKS."""
        dialogue = socks_dialogue(proxy, host, port)
        try:
            message, size = next(dialogue)
            while True:
                self._write(message)
                while len(self._received) < size:
                    await self._more()
                answer, self._received = self._received[:size], self._received[size:]
                message, size = dialogue.send(answer)
        except StopIteration:
            self._finish()
        except SocksError:
            raise ProxyFailedError from None

    def _write(self, data: bytes) -> None:
        if self._transport is not None:  # else `_more` says what has ended it
            self._transport.write(data)

    async def _more(self) -> None:
        """Something has come since."""
        known = len(self._received)
        while len(self._received) == known:
            if self._end is not None:
                try:
                    raise self._end
                finally:
                    self._end = None  # else this would have the error, and the error, by its traceback, this
            self._waiter = self._loop.create_future()
            await self._waiter

    def _finish(self) -> None:
        if self._received or self._end is not None:
            raise ProxyFailedError

    # --- what asyncio, or the TLS layer, calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def eof_received(self) -> None:
        self._over(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(exc)
        break_cycle(self._transport)
        self._transport = None

    def _over(self, exc: Exception | None) -> None:
        if self._end is None:
            self._end = ConnectionLostError()
            self._end.__cause__ = None if exc is None else exc.with_traceback(None)  # that has the transport
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
