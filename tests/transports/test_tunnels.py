"""What proxies say before they let through, to both clients: kept apart from what the server says, and in its time."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import Any

import pytest

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import APIConnectionError, APITimeoutError
from llmclients.testing.fault_server import FaultServer, http
from llmclients.testing.received import read_request

from . import proxies
from .conftest import Certificates
from .helpers import at_once, server
from .sides import ASYNC, SYNC, Side, both_sides

OPENED = {
    "a length of nothing": http(),
    "a length without a body": http(headers=[("Content-Length", "5")], body=None),
    "a length that is none": http(headers=[("Content-Length", "five")], body=None),
    "a transfer coding": http(headers=[("Transfer-Encoding", "gzip")], body=None),
    "HTTP/1.0": b"HTTP/1.0 200 Connection established\r\n\r\n",
    "interim heads": http("100 Continue", body=None) + http("103 Early Hints", body=None) + http(body=None),
    "204": http("204 No Content", body=None),
    "lines that end in LF": b"HTTP/1.1 200 OK\n\n",
}
REFUSED = {
    "a body": (http(body=b"hello"), "it refused"),
    "not HTTP": (b"hello\r\n\r\n", "it refused"),
    "a page": (http("407 Proxy Authentication Required", body=b"x" * 100_000), "it answered 407 Proxy Authentication"),
    "a redirect": (http("302 Found", [("Location", "http://other.example/")]), "it answered 302 Found"),
    "another protocol": (http("101 Switching Protocols", body=None), "it refused"),
}
ACCEPTED, GRANTED = b"\5\0", b"\5\0\0\1\0\0\0\0\0\0"


@both_sides
def test_a_reply_to_connect_that_opens_a_tunnel(
    side: Side, certificates: Certificates, subtests: pytest.Subtests
) -> None:
    for name, reply in OPENED.items():

        def serve(client: socket.socket, reply: bytes = reply) -> None:
            read_request(client)
            client.sendall(reply)
            with certificates.server.wrap_socket(client, server_side=True) as inner:
                read_request(inner)
                inner.sendall(http(body=b"hello"))
                inner.recv(1)

        with subtests.test(name), server(serve) as url:
            outcome = side.fetch("https://model.example/", proxy=Proxy(url), verify=certificates.authority)
            assert (outcome.error, outcome.body) == (None, b"hello")


@both_sides
def test_an_address_of_ipv6_is_asked_for_in_brackets(side: Side, certificates: Certificates) -> None:
    with FaultServer([http(body=b"hello")], tls=certificates.server) as faults, proxies.Proxy(faults.port) as proxy:
        outcome = side.fetch("https://[::1]:444/", proxy=Proxy(proxy.url()), verify=certificates.authority)
        assert (outcome.error, outcome.body) == (None, b"hello")
        assert proxy.asked == ["CONNECT [::1]:444 HTTP/1.1"]
        assert faults.requests[0].headers["host"] == "[::1]:444"


@both_sides
def test_a_reply_to_connect_that_opens_none_is_the_proxys_fault(side: Side, subtests: pytest.Subtests) -> None:
    for name, (reply, reason) in REFUSED.items():

        def serve(client: socket.socket, reply: bytes = reply) -> None:
            read_request(client)
            client.sendall(reply)
            client.recv(1)

        with subtests.test(name), server(serve) as url:
            error = side.fetch("https://model.example/", proxy=Proxy(url)).error
            assert type(error) is APIConnectionError
            assert f"the proxy {url} does not let through to model.example: {reason}" in str(error)


@both_sides
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_socks_proxy_says_beyond_its_answer_is_not_the_servers(side: Side, scheme: str) -> None:
    def serve(client: socket.socket) -> None:
        for answer in (ACCEPTED, GRANTED + http(body=b"evil")):
            client.recv(1000)
            client.sendall(answer)
        client.recv(1)

    with server(serve) as url:
        outcome = side.fetch(f"{scheme}://model.example/", proxy=Proxy(url.replace("http", "socks5")))
        assert (outcome.body, type(outcome.error)) == (b"", APIConnectionError)
        assert "does not let through" in str(outcome.error)


def test_a_proxy_that_drips_and_one_whose_name_takes_long_have_the_time_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve = socket.getaddrinfo

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        if str(host).endswith(".test"):
            time.sleep(3)
        return resolve(host, *args, **options)

    def drip(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(ACCEPTED)
        client.recv(1000)
        for byte in b"\5\0\0\3\xff" + bytes(250):
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with server(drip) as url:
        urls = (url.replace("http", "socks5"), "socks5://slow.test:1080", "http://slow.test:3128")
        calls = [
            partial(side.fetch, "https://model.example/", proxy=Proxy(one), timeout=Timeout(connect=0.3, read=5))
            for side in (SYNC, ASYNC)
            for one in urls
        ]
        for outcome in at_once(*calls):
            assert isinstance(outcome.error, APITimeoutError), outcome.error
            assert outcome.error.phase == "connect"
            assert outcome.seconds < 2
