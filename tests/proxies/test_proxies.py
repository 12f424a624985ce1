"""Through real proxies to real servers, both clients alike."""

from __future__ import annotations

import socket

import pytest

from llmclients.errors import APIConnectionError, APIStatusError
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import unused_port

from .conftest import PASSWORD, USER, Certificates, Ports
from .talk import both, everything_said, failure, talk

ANSWER = "The Nile"


def by_name(server: FaultServer) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def refuse_to_resolve(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that this process asked for, and did not get."""
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def getaddrinfo(host: object, *rest: object, **more: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host)
        asked.append(name)
        if name == "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "not here")
        return resolve(host, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# --- HTTP -----------------------------------------------------------------------------------------------------------


@both
def test_http_through_an_http_proxy(
    side: str, plain: FaultServer, proxies: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse_to_resolve(monkeypatch)  # so there is no way but by the proxy
    assert talk(side, by_name(plain), proxy=f"http://127.0.0.1:{proxies.http}") == ANSWER
    assert len(plain.requests) == 2
    assert "localhost" not in asked


@both
def test_https_through_a_tunnel(side: str, secure: FaultServer, proxies: Ports, certificates: Certificates) -> None:
    proxy = f"http://127.0.0.1:{proxies.http}"
    assert talk(side, by_name(secure), proxy=proxy, verify=certificates.authority) == ANSWER
    assert len(secure.requests) == 2


@both
def test_a_password_opens_the_proxy(
    side: str, plain: FaultServer, secure: FaultServer, proxies: Ports, certificates: Certificates
) -> None:
    proxy = f"http://{USER}@127.0.0.1:{proxies.http_with_password}"
    assert talk(side, plain.url, proxy=proxy) == ANSWER
    assert talk(side, by_name(secure), proxy=proxy, verify=certificates.authority) == ANSWER
    assert len(plain.requests) == len(secure.requests) == 2
    for request in secure.requests:
        assert "proxy-authorization" not in request.headers, "it is the proxy's, not the server's"


@both
@pytest.mark.parametrize("login", ["", "user:wr0ng-pass@"], ids=["none", "wrong"])
def test_a_wrong_password_at_a_tunnel_is_a_connection_error(
    side: str, login: str, secure: FaultServer, proxies: Ports, certificates: Certificates
) -> None:
    proxy = f"http://{login}127.0.0.1:{proxies.http_with_password}"
    error = failure(side, by_name(secure), proxy=proxy, verify=certificates.authority)
    assert type(error) is APIConnectionError
    assert "it answered 407 Proxy Authentication Required" in str(error)
    assert f"the proxy http://127.0.0.1:{proxies.http_with_password} " in str(error)
    assert "wr0ng" not in everything_said(error)
    assert secure.requests == []


@both
def test_a_wrong_password_without_a_tunnel_is_what_the_proxy_answered(
    side: str, plain: FaultServer, proxies: Ports
) -> None:
    error = failure(side, plain.url, proxy=f"http://user:wr0ng-pass@127.0.0.1:{proxies.http_with_password}")
    assert isinstance(error, APIConnectionError | APIStatusError)
    assert "407" in str(error)
    assert not isinstance(error, APIStatusError) or error.status_code == 407
    assert "wr0ng" not in everything_said(error)
    assert plain.requests == []


@both
def test_a_proxy_that_is_not_there(side: str, plain: FaultServer) -> None:
    port = unused_port()
    error = failure(side, plain.url, proxy=f"http://{USER}@127.0.0.1:{port}")
    assert type(error) is APIConnectionError
    assert f"cannot connect to the proxy http://127.0.0.1:{port}: connection refused" in str(error)
    assert PASSWORD not in everything_said(error)


@both
def test_a_server_that_the_proxy_cannot_reach(side: str, proxies: Ports) -> None:
    url = f"https://127.0.0.1:{unused_port()}"
    error = failure(side, url, proxy=f"http://{USER}@127.0.0.1:{proxies.http_with_password}")
    assert type(error) is APIConnectionError
    assert PASSWORD not in everything_said(error)


# --- SOCKS ----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_through_a_socks_proxy_that_resolves_the_name(
    side: str, scheme: str, plain: FaultServer, proxies: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse_to_resolve(monkeypatch)
    assert talk(side, by_name(plain), proxy=f"{scheme}://127.0.0.1:{proxies.socks}") == ANSWER
    assert len(plain.requests) == 2
    assert "localhost" not in asked


@both
def test_https_through_a_socks_proxy_with_a_password(
    side: str, secure: FaultServer, proxies: Ports, certificates: Certificates
) -> None:
    proxy = f"socks5h://{USER}@127.0.0.1:{proxies.socks_with_password}"
    assert talk(side, by_name(secure), proxy=proxy, verify=certificates.authority) == ANSWER


@both
@pytest.mark.parametrize("login", ["", "user:wr0ng-pass@"], ids=["none", "wrong"])
def test_a_wrong_socks_password(side: str, login: str, plain: FaultServer, proxies: Ports) -> None:
    error = failure(side, plain.url, proxy=f"socks5h://{login}127.0.0.1:{proxies.socks_with_password}")
    assert type(error) is APIConnectionError
    assert "proxy" in str(error)
    assert "wr0ng" not in everything_said(error)
    assert plain.requests == []


# --- the environment ------------------------------------------------------------------------------------------------


def test_the_environment_names_the_proxy(
    plain: FaultServer, proxies: Ports, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """By any of its names; the clients, which look there in one way, take turns."""
    url = f"http://localhost:{plain.port}"
    for kind, port, sides in (("http", proxies.http, "sync async"), ("socks", proxies.socks, "async sync")):
        for name, side in zip(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"], 2 * sides.split(), strict=True):
            with subtests.test(name, kind=kind, side=side), monkeypatch.context() as patch:
                patch.setenv(name, f"{kind}://127.0.0.1:{port}")
                asked = refuse_to_resolve(patch)  # so there is no way but by the proxy
                assert talk(side, url) == ANSWER
                assert "localhost" not in asked


@both
def test_no_proxy_goes_straight(side: str, plain: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    assert type(failure(side, plain.url)) is APIConnectionError
    for no_proxy in ("127.0.0.1", "*", "127.0.0.0/8", "example.com, 127.0.0.1"):
        monkeypatch.setenv("NO_PROXY", no_proxy)
        assert talk(side, plain.url) == ANSWER, no_proxy


@both
@pytest.mark.parametrize("option", [{"proxy": False}, {"trust_env": False}], ids=["proxy=False", "trust_env=False"])
def test_the_environment_can_be_left_alone(
    side: str, option: dict[str, bool], plain: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks://127.0.0.1:{unused_port()}")
    assert talk(side, plain.url, **option) == ANSWER


@both
def test_a_proxy_of_ones_own_comes_before_the_environments(
    side: str, plain: FaultServer, proxies: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("NO_PROXY", "*")
    refuse_to_resolve(monkeypatch)
    assert talk(side, by_name(plain), proxy=f"http://127.0.0.1:{proxies.http}") == ANSWER
