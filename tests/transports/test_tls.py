"""TLS over asyncio: an end that was announced, sessions that are used again, and TLS inside TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme

from llmclients.errors import StreamInterruptedError
from llmclients.testing.fault_server import END, FaultServer, http
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from tests.transports.sides import ASYNC, PATIENCE, post


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    made, path = trustme.CA(), tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, str(path)


def server_context(authority: trustme.CA, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@contextmanager
def secure_server(context: ssl.SSLContext, reply: bytes, *, announce: bool) -> Iterator[str]:
    """One reply on each connection, which then ends, with `close_notify` or without."""

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(reply)
            if announce:
                connection.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("announce", [True, False])
def test_an_end_without_close_notify_is_a_cut(
    authority: tuple[trustme.CA, str], version: ssl.TLSVersion, announce: bool
) -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nhello"
    with secure_server(server_context(authority[0], version), reply, announce=announce) as url:
        outcome = ASYNC.fetch(url, verify=authority[1])
        assert outcome.body == b"hello"
        assert type(outcome.error) is (type(None) if announce else StreamInterruptedError)


@pytest.mark.parametrize("announce", [True, False])
def test_a_body_with_a_length_needs_no_close_notify(authority: tuple[trustme.CA, str], announce: bool) -> None:
    reply = http(headers=[("Connection", "close")], body=b"hello")
    with secure_server(server_context(authority[0]), reply, announce=announce) as url:
        outcome = ASYNC.fetch(url, verify=authority[1])
        assert (outcome.body, outcome.error) == (b"hello", None)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_used_again(authority: tuple[trustme.CA, str], version: ssl.TLSVersion) -> None:
    context = server_context(authority[0], version)
    with FaultServer([http(body=b"hello"), END], tls=context) as faults:
        outcomes = ASYNC.run(*[post(faults.url)] * 4, verify=authority[1])
        assert [outcome.body for outcome in outcomes] == [b"hello"] * 4
        assert faults.connections == 4
        assert context.session_stats()["hits"] == 3


def test_large_bodies_both_ways(authority: tuple[trustme.CA, str]) -> None:
    with FaultServer(lambda request: [http(body=request.body)], tls=server_context(authority[0])) as faults:
        body = bytes(range(256)) * 20_000
        outcomes = ASYNC.run(post(faults.url, body), post(faults.url, body), verify=authority[1])
        assert [outcome.body == body for outcome in outcomes] == [True, True]
        assert faults.connections == 1


def test_a_connection_is_closed_with_close_notify(authority: tuple[trustme.CA, str]) -> None:
    ends: list[object] = []
    context = server_context(authority[0])
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
        transport = HttpxTransport(TransportSettings(trust_env=False, verify=authority[1]))
        response = await transport.open(post(f"https://127.0.0.1:{listener.getsockname()[1]}"), PATIENCE, None)
        assert (await response.read(), await response.read()) == (b"hello", b"")
        await transport.close()

    thread = threading.Thread(target=serve)
    thread.start()
    asyncio.run(main())
    thread.join(5)
    listener.close()
    assert ends == [b""]
