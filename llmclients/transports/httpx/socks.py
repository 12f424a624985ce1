"""httpx's own transport through a SOCKS5 proxy, with a handshake that is bounded in time and cleaned up after."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import httpx

from llmclients.config.values import Proxy
from llmclients.errors import ConfigurationError
from llmclients.transports.request import require

__all__ = ["SocksTransport"]


class SocksTransport(httpx.AsyncHTTPTransport):
    """Connections through one proxy, which resolves names, whatever its scheme says.

    httpx bounds the connection to the proxy, but not the handshake that follows, and leaves the socket open when that
    fails; its `trace` extension tells of both.
    """

    def __init__(self, proxy: Proxy, context: ssl.SSLContext | None) -> None:
        if not proxy.scheme.startswith("socks5"):
            raise ConfigurationError("the asynchronous client speaks to SOCKS5 proxies only", argument="proxy")
        require("socksio")
        url = proxy.url_without_credentials.replace(proxy.scheme, "socks5h", 1)
        super().__init__(
            verify=context or False,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=15),
            proxy=_QuietProxy(url, auth=proxy.credentials),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        handshake = _Handshake(request.extensions.get("timeout", {}).get("connect"))
        request.extensions["trace"] = handshake.trace
        try:
            return await super().handle_async_request(request)
        except BaseException as error:
            await handshake.drop()
            if handshake.expired:
                raise httpx.ConnectTimeout("the proxy says nothing", request=request) from error
            if handshake.timer is not None and isinstance(error, Exception) and not isinstance(error, httpx.HTTPError):
                # A reply that is not SOCKS; httpx lets socksio's exceptions through.
                raise httpx.ProxyError("it does not speak SOCKS", request=request) from error
            raise
        finally:
            handshake.end()


class _Handshake:
    """Follows a new connection until the proxy has let it through; closes it when that takes longer than `seconds`."""

    def __init__(self, seconds: float | None) -> None:
        self.expired = False
        self.timer: asyncio.TimerHandle | None = None
        self._seconds = seconds
        self._stream: Any = None
        self._dropping: asyncio.Task[None] | None = None

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self._stream = info["return_value"]
            if self._seconds is not None:
                self.timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        elif event.endswith("setup_socks5_connection.complete"):
            self.end()

    def _expire(self) -> None:
        self.expired = True
        self._dropping = asyncio.ensure_future(self.drop())

    async def drop(self) -> None:
        if self._stream is not None:
            with suppress(Exception):
                await self._stream.aclose()

    def end(self) -> None:
        """It is through, or failed."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class _QuietProxy(httpx.Proxy):
    """A proxy whose user and password are not in the lines that httpcore logs."""

    @property
    def raw_auth(self) -> tuple[bytes, bytes] | None:
        return self.auth and (_Quiet(self.auth[0].encode()), _Quiet(self.auth[1].encode()))


class _Quiet(bytes):
    def __repr__(self) -> str:
        return "b'***'"
