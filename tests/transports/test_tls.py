"""TLS over asyncio: an end that was announced, sessions that are used again, and TLS inside TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import APIResponseError, APITimeoutError, StreamInterruptedError
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, chunked, http
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport
from tests.transports import proxies
from tests.transports.conftest import Certificates
from tests.transports.helpers import OPEN_BODY, server
from tests.transports.sides import ASYNC, PATIENCE, Side, both_sides, post


def reply_and_end(reply: bytes, *, announce: bool) -> Callable[[Any], None]:
    """One reply on each connection, which then ends, with `close_notify` or without."""

    def serve(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(reply)
        if announce:
            connection.unwrap()

    return serve


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("announce", [True, False])
@both_sides
def test_an_end_without_close_notify_is_a_cut(
    side: Side, certificates: Certificates, version: ssl.TLSVersion, announce: bool
) -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nhello"
    with server(reply_and_end(reply, announce=announce), certificates.new_server(version)) as url:
        outcome = side.fetch(url, verify=certificates.authority)
        assert outcome.body == b"hello"
        assert type(outcome.error) is (type(None) if announce else StreamInterruptedError)


@pytest.mark.parametrize("announce", [True, False])
def test_a_body_with_a_length_needs_no_close_notify(certificates: Certificates, announce: bool) -> None:
    reply = http(headers=[("Connection", "close")], body=b"hello")
    with server(reply_and_end(reply, announce=announce), certificates.server) as url:
        outcome = ASYNC.fetch(url, verify=certificates.authority)
        assert (outcome.body, outcome.error) == (b"hello", None)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_used_again(certificates: Certificates, version: ssl.TLSVersion) -> None:
    context = certificates.new_server(version)
    with FaultServer([http(body=b"hello"), END], tls=context) as faults:
        outcomes = ASYNC.run(*[post(faults.url)] * 4, verify=certificates.authority)
        assert [outcome.body for outcome in outcomes] == [b"hello"] * 4
        assert faults.connections == 4
        assert context.session_stats()["hits"] == 3


def test_large_bodies_both_ways(certificates: Certificates) -> None:
    with FaultServer(lambda request: [http(body=request.body)], tls=certificates.server) as faults:
        body = bytes(range(256)) * 8_000
        outcomes = ASYNC.run(post(faults.url, body), post(faults.url, body), verify=certificates.authority)
        assert [outcome.body == body for outcome in outcomes] == [True, True]
        assert faults.connections == 1


def test_a_connection_is_closed_with_close_notify(certificates: Certificates) -> None:
    ends: list[object] = []
    context = certificates.server
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True, suppress_ragged_eofs=False) as connection:
            connection.recv(65536)
            connection.sendall(http(body=b"hello"))
            try:
                ends.append(connection.recv(100))
            except ssl.SSLError as error:
                ends.append(error)

    async def main() -> None:
        transport = HttpxTransport(TransportSettings(trust_env=False, verify=certificates.authority))
        response = await transport.open(post(f"https://127.0.0.1:{listener.getsockname()[1]}"), PATIENCE, None)
        assert (await response.read(), await response.read()) == (b"hello", b"")
        await transport.close()

    thread = threading.Thread(target=serve)
    thread.start()
    asyncio.run(main())
    thread.join(5)
    listener.close()
    assert ends == [b""]


@both_sides
def test_nothing_is_read_behind_a_malformed_chunk(side: Side, certificates: Certificates) -> None:
    """Each piece is a record of its own, and all of them come at once."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        for piece in (CHUNKED_HEAD, chunked(b"hello", last=False), b"xyz\r\n", chunked(b"world")):
            connection.sendall(piece)
        connection.recv(1)

    with server(serve, certificates.server) as url:
        for _ in range(5):
            outcome = side.fetch(url, verify=certificates.authority)
            assert (outcome.body, type(outcome.error)) == (b"hello", APIResponseError)


@both_sides
def test_a_name_that_ends_in_a_dot(side: Side, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is resolved as it is; certificates, and the header Host, do not have the dot."""
    resolve, asked = socket.getaddrinfo, []

    def loopback(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", loopback)
    with FaultServer([http(body=b"hello")], tls=certificates.server) as faults:
        outcome = side.fetch(f"https://model.example.:{faults.port}/", verify=certificates.authority)
        assert (outcome.error, outcome.body) == (None, b"hello")
        assert faults.requests[0].headers["host"] == f"model.example:{faults.port}"
        assert asked == ["model.example."]


def test_a_proxys_session_is_not_offered_to_the_server_behind_it(certificates: Certificates) -> None:
    """A session stands for a certificate that was checked: the proxy's, which is not the server's."""
    context = certificates.new_server()
    with FaultServer([http(body=b"hello")], tls=context) as faults, proxies.Proxy(1, tls=context) as proxy:
        proxy.answer = http(body=b"from the proxy")

        async def main() -> None:
            settings = TransportSettings(trust_env=False, verify=certificates.authority, proxy=Proxy(proxy.url()))
            transport = HttpxTransport(settings)
            for request in (post(f"http://127.0.0.1:{faults.port}/"), post(f"{faults.url}/")._replace(direct=True)):
                response = await transport.open(request, PATIENCE, None)
                assert await response.read()
                assert await response.read() == b""
            await transport.close()

        asyncio.run(main())
        assert (len(proxy.asked), faults.connections, context.session_stats()["hits"]) == (1, 1, 0)


# --- TLS inside TLS: behind a proxy that is spoken to over TLS --------------------------------------------------------


@both_sides
def test_a_cut_behind_a_secure_proxy_is_one(side: Side, certificates: Certificates) -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nhello"
    for announce in (True, False):
        with (
            server(reply_and_end(reply, announce=announce), certificates.server) as url,
            proxies.Proxy(int(url.rpartition(":")[2]), tls=certificates.server) as proxy,
        ):
            outcome = side.fetch("https://model.example/", verify=certificates.authority, proxy=Proxy(proxy.url()))
            assert outcome.body == b"hello"
            assert type(outcome.error) is (type(None) if announce else StreamInterruptedError)


def test_waits_behind_a_secure_proxy_can_be_ended(certificates: Certificates) -> None:
    with (
        FaultServer(OPEN_BODY, tls=certificates.server) as faults,
        proxies.Proxy(faults.port, tls=certificates.server) as proxy,
    ):
        settings = TransportSettings(trust_env=False, verify=certificates.authority, proxy=Proxy(proxy.url()))
        transport, request = RequestsTransport(settings), post("https://model.example/")
        response = transport.open(request, PATIENCE, None)
        assert response.read() == b"hello"
        threading.Timer(0.05, response.close).start()
        with pytest.raises(StreamInterruptedError, match="closed"):
            response.read()
        assert faults.wait_for(0)
        faults.use([HOLD])
        threading.Timer(0.2, transport.abort, (request,)).start()
        with pytest.raises(StreamInterruptedError, match="closed"):
            transport.open(request, PATIENCE, None)
        assert faults.wait_for(0)
        transport.close()


@both_sides
def test_what_drips_behind_a_secure_proxy_has_an_end(side: Side, certificates: Certificates) -> None:
    """A record of the handshake, and one of the reply: each byte of theirs comes in good time, the last one never."""

    def serve(outer: socket.socket) -> None:
        outer.recv(65536)
        outer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = certificates.server.wrap_bio(received, sent, server_side=True)
        received.write(outer.recv(65536))
        while shakes_hands:
            try:
                inner.do_handshake()
                inner.write(http(body=b"hello" * 100))
                break
            except ssl.SSLWantReadError:
                outer.sendall(sent.read())
                received.write(outer.recv(65536))
        for byte in sent.read() if shakes_hands else b"\x16\3\3\x40\0" + bytes(300):
            outer.sendall(bytes([byte]))
            time.sleep(0.02)

    with server(serve, certificates.server) as url:
        options = {"verify": certificates.authority, "proxy": Proxy(url)}
        for shakes_hands, limits, phase in (  # noqa: B007 - `serve` reads it
            (False, {"timeout": Timeout(connect=0.3, read=5)}, "connect"),
            (True, {"within": 0.3}, "total"),
        ):
            outcome = side.fetch("https://model.example/", **options, **limits)
            assert isinstance(outcome.error, APITimeoutError), outcome.error
            assert outcome.error.phase == phase
            assert outcome.seconds < 3


@both_sides
def test_a_server_that_takes_no_more_over_tls(side: Side, certificates: Certificates) -> None:
    """What it has sent are TLS's own messages: no answer."""
    with server(lambda connection: threading.Event().wait(2), certificates.server) as url:
        [outcome] = side.run(
            post(url, bytes(8_000_000)), timeout=Timeout(read=5, write=0.2), verify=certificates.authority
        )
        assert isinstance(outcome.error, APITimeoutError)
        assert outcome.error.phase == "write"
