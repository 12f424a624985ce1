"""Exchanges over the caller's own `httpx.AsyncClient` (or httpx2's): through its public interface, and no other way.

The client is used as it is, with its headers, authentication, proxies and certificates, and left open. Its exceptions
are httpx's; what they mean is in `exceptions`. The body is what `response.stream` gives, before httpx decodes it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from llmclients.config.values import Timeout
from llmclients.transports.base import DRAIN_BYTES, DRAIN_SECONDS, HTTPRequest
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.errors import (
    CERTIFICATE,
    CONNECT,
    CONNECTION_LOST,
    INVALID_REQUEST,
    MALFORMED,
    PROXY,
    RESOLVE,
    SLOW_ANSWER,
    SLOW_CONNECT,
    SLOW_SENDING,
    SYSTEM_ROWS,
    TLS,
    ErrorContext,
    Row,
    closed_locally,
)
from llmclients.transports.framing import can_serve_again
from llmclients.transports.httpx.per_loop import within
from llmclients.transports.httpx.response import run_in_loop
from llmclients.transports.request import header_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["StreamResponse", "exceptions", "send_with"]

_STEP = 256 * 1024

_HTTPX: tuple[Row, ...] = (
    (httpx.ProxyError, None, PROXY),
    (ssl.SSLCertVerificationError, None, CERTIFICATE),
    (httpx.ConnectTimeout, None, SLOW_CONNECT),
    (httpx.PoolTimeout, None, SLOW_CONNECT),
    (httpx.WriteTimeout, None, SLOW_SENDING),
    (httpx.TimeoutException, None, SLOW_ANSWER),
    (asyncio.TimeoutError, None, SLOW_ANSWER),  # Python 3.10 has it apart from the system's
    (ssl.SSLError, None, TLS),
    (httpx.ConnectError, None, CONNECT),
    (httpx.UnsupportedProtocol, None, INVALID_REQUEST),
    (httpx.LocalProtocolError, None, INVALID_REQUEST),
    (httpx.InvalidURL, None, INVALID_REQUEST),
    (httpx.CookieConflict, None, INVALID_REQUEST),
    (httpx.DecodingError, None, MALFORMED),
    (httpx.HTTPError, None, CONNECTION_LOST),
    (httpx.StreamError, None, CONNECTION_LOST),
    *SYSTEM_ROWS,
    (UnicodeError, "open", INVALID_REQUEST),
    (ValueError, "open", INVALID_REQUEST),
    (RuntimeError, None, CONNECTION_LOST),  # what aiohttp raises for a connection that was closed under it
)
_AIOHTTP = (
    ("ClientConnectorDNSError", RESOLVE),
    ("ClientHttpProxyError", PROXY),
    ("ClientProxyConnectionError", CONNECT),
    ("ClientConnectorCertificateError", CERTIFICATE),
    ("ServerFingerprintMismatch", CERTIFICATE),
    ("ConnectionTimeoutError", SLOW_CONNECT),
    ("ServerTimeoutError", SLOW_ANSWER),
    ("ClientSSLError", TLS),
    ("ClientConnectorError", CONNECT),
    ("ClientPayloadError", CONNECTION_LOST),
    ("ClientResponseError", MALFORMED),
    ("InvalidURL", INVALID_REQUEST),
    ("NonHttpUrlClientError", INVALID_REQUEST),
    ("ClientError", CONNECTION_LOST),
)


@cache
def exceptions(*, aiohttp: bool) -> tuple[Row, ...]:
    """What httpx's exceptions mean; see `llmclients.transports.errors`.

    Args:
        aiohttp: whether aiohttp's come first. A client over httpx-aiohttp raises some of them, and wraps others in
            exceptions of httpx whose names do not fit. Nobody has such a client without having loaded aiohttp.
    """
    if not aiohttp:
        return _HTTPX
    module = sys.modules["aiohttp"]
    return (*((getattr(module, name), None, fault) for name, fault in _AIOHTTP if hasattr(module, name)), *_HTTPX)


def send_with(client: httpx.AsyncClient, request: HTTPRequest, timeout: Timeout) -> Awaitable[httpx.Response]:
    """The caller's client sends the request; the response to come, its body not read."""
    defaults = ("accept", "accept-encoding", "connection")
    user_headers = {
        name for name, value in client.headers.items() if name not in defaults and not value.startswith("python-httpx")
    }
    limits = {
        "connect": timeout.connect,
        "read": timeout.read_seconds,
        "write": timeout.write_seconds,
        "pool": timeout.connect,
    }
    built = client.build_request(
        request.method,
        request.url,
        headers=header_lines(request, user_headers),
        content=request.body,
        extensions={"timeout": limits},
    )
    return client.send(built, stream=True, follow_redirects=False)


class StreamResponse:
    """An open exchange over the caller's client.

    Args:
        response: httpx's response, its body not read.
        context: makes the errors; has the timeouts and the deadline.
        limit: the most bytes of the body, decoded and as they are sent.
    """

    def __init__(self, response: httpx.Response, context: ErrorContext, limit: int) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._stream: Any = response.stream
        self._ended = self._closed = False
        self.status = response.status_code
        self.headers: Mapping[str, str] = _joined(response.headers.raw)
        encoded = self.headers
        if response.is_stream_consumed:  # a hook of the caller's client has read and decoded it
            self._parts = _once(response.content)
            encoded = {}
        else:
            assert isinstance(self._stream, AsyncIterable)
            self._parts = aiter(self._stream)
        try:
            self._decoder = BodyDecoder(encoded, limit, _STEP)
        except BaseException:
            self.abort()
            raise

    async def read(self) -> bytes:
        """The next bytes of the body; `b""` at its end."""
        try:
            while not self._ended:
                if self._closed:
                    raise closed_locally()
                data = b""
                if self._decoder.pending:
                    await asyncio.sleep(0)  # decompression goes on in the loop's next turn
                elif not (data := await self._next()):
                    await self._end()
                    break
                if data := self._decoder.feed(data):
                    return data
            self._decoder.finish()
        except BaseException as error:
            closed = self._closed
            self.abort()
            if closed:
                raise closed_locally() from None
            if isinstance(error, Exception):
                raise self._context.error(error, "read") from error
            raise
        return b""

    async def _next(self) -> bytes:
        return await within(self._context.remaining(), anext(self._parts, b""))

    async def drain(self) -> None:
        """Take the body's end off the wire if it comes soon, and free the connection."""
        try:
            with suppress(Exception):  # the answer is complete: at worst its connection is not used again
                if not self._ended and not self._closed and can_serve_again(self.headers):
                    await within(DRAIN_SECONDS, self._take_end())
        except BaseException:  # cancelled
            self.abort()
            raise
        await self.close()

    async def _take_end(self) -> None:
        taken = 0
        while not self._ended and taken < DRAIN_BYTES:
            data = await self._next()
            taken += len(data)
            if not data:
                await self._end()

    async def _end(self) -> None:
        """The body is complete: the connection may serve another exchange."""
        if self._closed:
            raise closed_locally()
        self._ended = True
        await self._stream.aclose()

    async def close(self) -> None:
        """Free the connection. Idempotent."""
        if not self._ended and not self._closed:
            self._closed = True
            await _close_stream(self._stream)

    def abort(self) -> None:
        """Free the connection without waiting. Idempotent; callable from any thread, and after the loop's end."""
        if not self._ended and not self._closed:
            self._closed = True
            run_in_loop(self._loop, _Closing(self._loop, self._stream).begin)

    def __del__(self) -> None:
        if hasattr(self, "_decoder"):
            self.abort()


class _Closing:
    """Closes a stream in a task of its own: httpx has no way to do it without awaiting."""

    tasks: set[asyncio.Task[None]] = set()  # noqa: RUF012 - all of them: a loop alone does not keep its tasks

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: Any) -> None:
        self._loop = loop
        self._stream = stream

    def begin(self) -> None:
        task = self._loop.create_task(_close_stream(self._stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _close_stream(stream: Any) -> None:
    # It may be in any state, and nobody waits for what it has to say.
    with suppress(Exception):
        await stream.aclose()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
