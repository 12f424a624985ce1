"""Servers, proxies and certificates, started once for all tests of this folder."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from llmclients.testing import FaultServer
from llmclients.testing.fault_server import CHUNKED_HEAD, chunked

from .servers import http_proxy, open_proxies

PASSWORD = "c4nary-pass"
USER = f"user:{PASSWORD}"
ANSWER = [CHUNKED_HEAD, chunked(b"The ", b"Nile")]


@dataclass(frozen=True)
class Certificates:
    """An authority of our own; a server it vouches for by name and address; one it vouches for by another name."""

    authority: str
    server: ssl.SSLContext
    other_host: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))

    def context(*names: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(made)
        return made

    return Certificates(str(path), context("127.0.0.1", "localhost"), context("other.example"))


@pytest.fixture(scope="session")
def plain_server() -> Iterator[FaultServer]:
    with FaultServer(ANSWER) as server:
        yield server


@pytest.fixture
def plain(plain_server: FaultServer) -> FaultServer:
    plain_server.use(ANSWER)
    return plain_server


@pytest.fixture(scope="session")
def secure_server(certificates: Certificates) -> Iterator[FaultServer]:
    with FaultServer(ANSWER, tls=certificates.server) as server:
        yield server


@pytest.fixture
def secure(secure_server: FaultServer) -> FaultServer:
    secure_server.use(ANSWER)
    return secure_server


@dataclass(frozen=True)
class Ports:
    """The ports of the proxies: open to all, and with a password."""

    http: int
    http_with_password: int
    socks: int
    socks_with_password: int


@pytest.fixture(scope="session")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with (
        http_proxy(tmp_path_factory.mktemp("http"), USER) as closed_http,
        open_proxies(tmp_path_factory.mktemp("open"), USER) as (open_http, open_socks, closed_socks),
    ):
        yield Ports(open_http, closed_http, open_socks, closed_socks)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no authority of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
