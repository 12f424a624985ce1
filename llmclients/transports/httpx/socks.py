"""SOCKS5's handshake: which messages go to the proxy, and how many bytes its answers have. The proxy resolves names.

socksio makes the messages and reads them, each whole. How long an answer is, is found here: the network may cut it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmclients.config.values import Proxy
from llmclients.errors import ConfigurationError
from llmclients.transports.httpx.failures import ConnectionLostError, ProxyFailedError
from llmclients.transports.request import require

if TYPE_CHECKING:
    from socksio.socks5 import SOCKS5Connection

__all__ = ["SocksHandshake", "check_socks"]

_MAX_BYTES = 1024
_ADDRESS_SIZES = {1: 4, 4: 16}


def check_socks(proxy: Proxy) -> None:
    """Make sure that a SOCKS proxy can be spoken to.

    Raises:
        ConfigurationError: its version is not 5, or socksio is not installed.
    """
    if not proxy.scheme.startswith("socks5"):
        raise ConfigurationError("the asynchronous client speaks to SOCKS5 proxies only", argument="proxy")
    require("socksio")


class SocksHandshake(asyncio.Protocol):
    """Speaks with the proxy on a new connection; `run` has ended when that leads to the target."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._received = b""
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _MAX_BYTES:
            self._ended = True
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self, host: str, port: int, credentials: tuple[str, str] | None) -> None:
        """Ask for a way to `host`.

        Raises:
            ProxyFailedError: the proxy refuses, or what it says is not SOCKS.
        """
        from socksio import ProtocolError, SOCKSError
        from socksio.socks5 import SOCKS5Connection

        try:
            await self._run(SOCKS5Connection(), host, port, credentials)
        except (ProtocolError, SOCKSError, ConnectionLostError, OverflowError, ValueError):
            raise ProxyFailedError from None  # its words may hold what was sent
        if self._received:
            raise ProxyFailedError

    async def _run(self, socks: SOCKS5Connection, host: str, port: int, credentials: tuple[str, str] | None) -> None:
        from socksio import socks5

        method = socks5.SOCKS5AuthMethod
        methods = [method.NO_AUTH_REQUIRED if credentials is None else method.USERNAME_PASSWORD]
        await self._ask(socks, socks5.SOCKS5AuthMethodsRequest(methods))
        answer = socks.receive_data(await self._take(2))
        if getattr(answer, "method", None) not in methods:
            raise ProxyFailedError
        if credentials is not None:
            user, password = (part.encode() for part in credentials)
            await self._ask(socks, socks5.SOCKS5UsernamePasswordRequest(user, password))
            if not getattr(socks.receive_data(await self._take(2)), "success", False):
                raise ProxyFailedError
        await self._ask(socks, socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port)))
        head = await self._take(5)
        size = 1 + head[4] if head[3] == 3 else _ADDRESS_SIZES.get(head[3], 0)
        answer = socks.receive_data(head + await self._take(max(size - 1, 0) + 2))
        if getattr(answer, "reply_code", None) != socks5.SOCKS5ReplyCode.SUCCEEDED:
            raise ProxyFailedError

    async def _ask(self, socks: SOCKS5Connection, request: Any) -> None:
        socks.send(request)
        self._transport.write(socks.data_to_send())

    async def _take(self, size: int) -> bytes:
        """Exactly so many of the proxy's bytes."""
        while len(self._received) < size:
            if self._ended:
                raise ConnectionLostError
            self._waiter = self._loop.create_future()
            await self._waiter
        taken, self._received = self._received[:size], self._received[size:]
        return taken
