"""Proxies and TLS, by both transports: the small print. What users see of it, and of certificates, is in `tests/proxies`."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import APIConnectionError, APITimeoutError, ConfigurationError
from llmclients.testing.fault_server import HOLD, FaultServer, http, unused_port

from . import proxies
from .conftest import Certificates
from .helpers import at_once, server
from .sides import ASYNC, SYNC, Side, both_sides, post

SECRET = "s3cret!pass"
USER = ("user", SECRET)
LOGIN = f"user:{SECRET.replace('!', '%21')}@"


@pytest.fixture
def plain() -> Iterator[FaultServer]:
    with FaultServer([http(body=b"hello")]) as server:
        yield server


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[FaultServer]:
    with FaultServer([http(body=b"hello")], tls=certificates.server) as server:
        yield server


# --- TLS ------------------------------------------------------------------------------------------------------------


@both_sides
def test_an_authority_of_ones_own(side: Side, secure: FaultServer, certificates: Certificates) -> None:
    outcomes = side.run(*[post(secure.url)] * 2, verify=certificates.authority)
    assert [outcome.body for outcome in outcomes] == [b"hello"] * 2
    assert secure.connections == 1


def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    with FaultServer([HOLD]) as server:
        url, timeout = server.url.replace("http", "https"), Timeout(connect=0.15, read=5)
        for outcome in at_once(*(partial(side.fetch, url, timeout=timeout) for side in (SYNC, ASYNC))):
            assert isinstance(outcome.error, APITimeoutError)
            assert outcome.error.phase == "connect"
            assert outcome.seconds < 3


# --- HTTP proxies ---------------------------------------------------------------------------------------------------


@both_sides
@pytest.mark.parametrize("user", [None, USER])
def test_http_through_an_http_proxy(side: Side, plain: FaultServer, user: tuple[str, str] | None) -> None:
    with proxies.Proxy(plain.port, user) as proxy:
        url = "http://model.example/chat"
        outcome = side.fetch(url, proxy=Proxy(proxy.url(LOGIN if user else "")))
        assert outcome.body == b"hello"
        assert proxy.asked == [f"POST {url} HTTP/1.1"]


@both_sides
@pytest.mark.parametrize("user", [None, USER])
def test_https_through_an_http_proxy(
    side: Side, secure: FaultServer, certificates: Certificates, user: tuple[str, str] | None
) -> None:
    with proxies.Proxy(secure.port, user) as proxy:
        outcomes = side.run(
            *[post("https://model.example/chat")] * 2,
            proxy=Proxy(proxy.url(LOGIN if user else "")),
            verify=certificates.authority,
        )
        assert [outcome.body for outcome in outcomes] == [b"hello"] * 2, outcomes[0].error
        assert [line.split()[:2] for line in proxy.asked] == [["CONNECT", "model.example:443"]]
        assert not any(b"proxy-authorization" in request.lower() for request in secure.requests)


@both_sides
def test_https_through_an_https_proxy(side: Side, secure: FaultServer, certificates: Certificates) -> None:
    with proxies.Proxy(secure.port, USER, tls=certificates.server) as proxy:
        outcome = side.fetch("https://model.example/", proxy=Proxy(proxy.url(LOGIN)), verify=certificates.authority)
        assert outcome.body == b"hello", outcome.error
        outcome = side.fetch("https://model.example/", proxy=Proxy(proxy.url(LOGIN)))
        assert type(outcome.error) is APIConnectionError
        assert "proxy" in str(outcome.error)


@both_sides
def test_a_wrong_password_and_nothing_of_it_is_shown(side: Side, secure: FaultServer) -> None:
    with proxies.Proxy(secure.port, ("user", "other")) as proxy:
        error = side.fetch("https://model.example/", proxy=Proxy(proxy.url(LOGIN))).error
        assert type(error) is APIConnectionError
        assert f"the proxy http://127.0.0.1:{proxy.port} does not let through to model.example" in str(error)
        assert "407" in str(error)
        cause: BaseException | None = error
        while cause is not None:
            assert SECRET not in f"{cause!r} {cause} {cause.args!r}"
            assert "s3cret" not in repr(cause)
            cause = cause.__cause__ or cause.__context__


@both_sides
def test_a_proxy_that_is_not_there(side: Side) -> None:
    port = unused_port()
    for url in ("http://model.example/", "https://model.example/"):
        error = side.fetch(url, proxy=Proxy(f"http://127.0.0.1:{port}")).error
        assert type(error) is APIConnectionError
        assert str(error) == f"cannot connect to the proxy http://127.0.0.1:{port}: connection refused"
        error = side.fetch(url, proxy=Proxy("http://nonexistent.invalid:1")).error
        assert type(error) is APIConnectionError
        assert str(error) == "the name of the proxy http://nonexistent.invalid:1 could not be resolved"


def test_a_proxy_that_says_nothing_is_a_connect_timeout() -> None:
    with FaultServer([HOLD]) as server:
        options = {"proxy": Proxy(server.url), "timeout": Timeout(connect=0.15, read=5)}
        for outcome in at_once(*(partial(side.fetch, "https://model.example/", **options) for side in (SYNC, ASYNC))):
            assert isinstance(outcome.error, APITimeoutError), outcome.error
            assert outcome.error.phase == "connect"
            assert "proxy" in str(outcome.error)


@both_sides
def test_no_proxy_means_a_name_in_other_letters_by_either_spelling(
    side: Side, plain: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host if isinstance(host, str) else host.decode())
        return ask("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with proxies.Proxy(plain.port) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        names = ("bücher.example", "xn--bcher-kva.example")
        for listed in names:
            monkeypatch.setenv("NO_PROXY", listed)
            for name in names:
                assert side.fetch(f"http://{name}:{plain.port}/", trust_env=True).body == b"hello"
        assert proxy.asked == []
        assert set(asked) == {"xn--bcher-kva.example"}


# --- SOCKS ----------------------------------------------------------------------------------------------------------


@both_sides
@pytest.mark.parametrize(
    ("user", "login"), [(None, ""), (USER, LOGIN), (None, LOGIN)], ids=["open", "asks", "needs none"]
)
def test_socks_and_the_proxy_resolves_the_name(
    side: Side, plain: FaultServer, user: tuple[str, str] | None, login: str
) -> None:
    with proxies.SocksProxy(plain.port, user) as proxy:
        outcomes = side.run(*[post("http://nonexistent.invalid/")] * 2, proxy=Proxy(proxy.url(login)))
        assert [outcome.body for outcome in outcomes] == [b"hello"] * 2, outcomes[0].error
        assert proxy.asked == ["name nonexistent.invalid:80"]


@both_sides
def test_https_through_socks(side: Side, secure: FaultServer, certificates: Certificates) -> None:
    with proxies.SocksProxy(secure.port) as proxy:
        outcome = side.fetch("https://model.example/", proxy=Proxy(proxy.url()), verify=certificates.authority)
        assert outcome.body == b"hello", outcome.error
        assert secure.wait_for(0)


@both_sides
def test_a_socks_proxy_that_refuses(side: Side, plain: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with proxies.SocksProxy(plain.port, ("user", "other")) as proxy:
        error = side.fetch("http://model.example/", proxy=Proxy(proxy.url(LOGIN))).error
        assert type(error) is APIConnectionError
        assert f"the proxy socks5://127.0.0.1:{proxy.port}" in str(error)
        assert "s3cret" not in str(error)
        assert "s3cret" not in caplog.text
        error = None
        gc.collect()
    error = side.fetch("http://model.example/", proxy=Proxy(f"socks5://127.0.0.1:{unused_port()}")).error
    assert type(error) is APIConnectionError
    assert "the proxy socks5://" in str(error)


@pytest.mark.parametrize(("side", "module"), [(SYNC, "socks"), (ASYNC, "socksio")])
def test_socks_without_its_package_says_what_to_install(
    side: Side, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmclients.transports import request

    monkeypatch.setattr(request.importlib.util, "find_spec", lambda name: None)
    error = side.fetch("http://model.example/", proxy=Proxy("socks5://127.0.0.1:1")).error
    assert isinstance(error, ConfigurationError)
    assert "llmclients[socks]" in str(error)


@both_sides
def test_socks4(side: Side, plain: FaultServer) -> None:
    """The proxy resolves names (SOCKS4A); addresses go out as such, but for IPv6's, which it does not know."""
    said: list[bytes] = []
    asked = (
        ("192.0.2.7", "me@", b"\xc0\x00\x02\x07me\0"),
        ("model.example", "me@", b"\0\0\0\xffme\0model.example\0"),
        ("model.example", "", b"\0\0\0\xff\0model.example\0"),
    )
    for host, user, destination in asked:

        def serve(client: socket.socket) -> None:
            said.append(client.recv(1000))
            client.sendall(b"\0\x5a\0\0\0\0\0\0")
            client.recv(1000)
            client.sendall(http(body=b"hello"))

        with server(serve) as url:
            proxy = Proxy(url.replace("http://", f"socks4://{user}"))
            assert side.fetch(f"http://{host}/", proxy=proxy).body == b"hello"
            assert said.pop() == b"\x04\x01\x00\x50" + destination

    def refuse(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"\0\x5b\0\0\0\0\0\0")
        client.recv(1000)

    with server(refuse) as url:
        for host in ("model.example", "[2001:db8::1]"):
            error = side.fetch(f"http://{host}/", proxy=Proxy(url.replace("http", "socks4"))).error
            assert type(error) is APIConnectionError
            assert "does not let through" in str(error)


@both_sides
def test_socks5_is_given_an_address_of_ipv6_as_such(side: Side) -> None:
    said: list[bytes] = []

    def serve(client: socket.socket) -> None:
        said.append(client.recv(1000))
        client.sendall(b"\5\0")
        said.append(client.recv(1000))
        client.sendall(b"\5\0\0\x04" + bytes(18))
        client.recv(1000)
        client.sendall(http(body=b"hello"))

    with server(serve) as url:
        assert side.fetch("http://[2001:db8::1]/", proxy=Proxy(url.replace("http", "socks5"))).body == b"hello"
    assert said == [b"\5\1\0", b"\5\1\0\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + b"\x00\x50"]
