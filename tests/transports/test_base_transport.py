"""The asynchronous transport's connections below an `httpx.AsyncClient` of one's own."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
import trustme

from llmclients import AsyncClient
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, Script, chunked, http, unused_port
from llmclients.transports.httpx.base_transport import AsyncioTransport
from tests.transports import proxies
from tests.transports.helpers import OPEN_BODY


async def test_it_serves_a_client_with_its_cookies_and_bodies() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b"lo"

    answer = http(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Id", "7")], body=b"hi")
    with FaultServer([answer]) as server:
        async with httpx.AsyncClient(transport=AsyncioTransport(), headers={"X-Theirs": "1"}) as client:
            for _ in range(2):
                response = await client.post(f"{server.url}/a b?q=ä", content=pieces())
                assert (response.status_code, response.text, response.headers["x-id"]) == (200, "hi", "7")
            assert dict(client.cookies) == {"a": "1", "b": "2"}
        assert server.connections == 1
        first, second = server.requests
        assert (first.body, second.headers["cookie"], first.headers["x-theirs"]) == (b"hello", "a=1; b=2", "1")
        assert first.headers["content-length"] == "5"
        assert "transfer-encoding" not in first.headers


@pytest.mark.parametrize(
    ("script", "class_"),
    [
        ([END], httpx.ReadError),
        ([HOLD], httpx.ReadTimeout),
        ([b"SSH-2.0\r\n\r\n", HOLD], httpx.RemoteProtocolError),
        ([CHUNKED_HEAD + b"a\r\nhello", END], httpx.RemoteProtocolError),
        ([CHUNKED_HEAD + b"zz\r\nhello", HOLD], httpx.RemoteProtocolError),
        (OPEN_BODY, httpx.ReadTimeout),
    ],
)
async def test_faults_have_httpx_s_names(script: Script, class_: type[Exception]) -> None:
    with FaultServer(script) as server:
        async with httpx.AsyncClient(transport=AsyncioTransport(), timeout=0.2) as client:
            with pytest.raises(class_) as caught:
                await client.get(server.url)
            assert isinstance(caught.value, httpx.RequestError)
            assert str(caught.value.request.url).rstrip("/") == server.url


async def test_connecting_fails_by_httpx_s_names() -> None:
    async with httpx.AsyncClient(transport=AsyncioTransport()) as client:
        for url in (f"http://127.0.0.1:{unused_port()}/", "http://nonexistent.invalid/"):
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
    proxy = f"http://127.0.0.1:{unused_port()}"
    async with httpx.AsyncClient(transport=AsyncioTransport(proxy=proxy)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://model.example/")


async def test_leaving_a_stream_frees_its_connection() -> None:
    with FaultServer(OPEN_BODY) as server:
        async with httpx.AsyncClient(transport=AsyncioTransport()) as client:
            async with client.stream("GET", server.url) as response:
                async for data in response.aiter_raw():
                    assert data == b"hello"
                    break
            assert await asyncio.to_thread(server.wait_for, 0)
            dropped = await client.send(client.build_request("GET", server.url), stream=True)
            assert dropped.status_code == 200
            del dropped
            gc.collect()
            assert await asyncio.to_thread(server.wait_for, 0)


async def test_a_proxy_and_a_client_certificate() -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("model.example").configure_cert(theirs)
    authority.configure_trust(theirs)
    theirs.verify_mode = ssl.CERT_REQUIRED
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    with FaultServer([http(body=b"hello")], tls=theirs) as server, proxies.Proxy(server.port) as proxy:

        async def ask() -> str:
            transport = AsyncioTransport(proxy=proxy.url(), ssl_context=ours)
            async with httpx.AsyncClient(transport=transport) as client:
                return (await client.get("https://model.example/")).text

        with pytest.raises(httpx.TransportError):
            await ask()
        authority.issue_cert("us").configure_cert(ours)
        assert await ask() == "hello"


async def test_our_own_client_takes_such_a_client() -> None:
    with FaultServer([CHUNKED_HEAD, chunked(b"The ", b"Nile")]) as server:
        async with (
            httpx.AsyncClient(transport=AsyncioTransport()) as theirs,
            AsyncClient("yqcloud", base_url=server.url, transport=theirs) as client,
        ):
            assert (await client.chat("Name a river.")).text == "The Nile"
            assert "".join([chunk.text async for chunk in client.stream("Name a river.")]) == "The Nile"
