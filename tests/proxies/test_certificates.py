"""Certificates: a private authority works, anything else is refused in words, once, by both clients alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmclients.errors import APIConnectionError
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import EARLY, HOLD, http

from .conftest import ANSWER as SCRIPT
from .conftest import Certificates, Ports
from .talk import both, failure, talk

ANSWER = "The Nile"


@both
def test_a_private_authority_by_its_file(side: str, secure: FaultServer, certificates: Certificates) -> None:
    assert talk(side, secure.url, verify=certificates.authority) == ANSWER
    assert talk(side, secure.url, verify=Path(certificates.authority)) == ANSWER


@both
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_of_the_environment(
    side: str, variable: str, secure: FaultServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, certificates.authority)
    assert talk(side, secure.url) == ANSWER
    assert type(failure(side, secure.url, trust_env=False)) is APIConnectionError


@both
def test_an_authority_that_nobody_knows(side: str, secure: FaultServer) -> None:
    error = failure(side, secure.url, trust_env=False)
    assert type(error) is APIConnectionError
    assert f"the certificate of 127.0.0.1:{secure.port} was not accepted: unable to get local issuer" in str(error)
    assert "verify=" in str(error)
    assert not error.retryable
    assert (secure.connections, secure.requests, error.previous_errors) == (1, [], ())
    assert secure.wait_for(0)


@both
def test_a_certificate_of_another_host(side: str, certificates: Certificates) -> None:
    with FaultServer(SCRIPT, tls=certificates.other_host) as server:
        error = failure(side, server.url, verify=certificates.authority, trust_env=False)
        assert type(error) is APIConnectionError
        assert "was not accepted: IP address mismatch" in str(error)
        assert not error.retryable
        assert (server.connections, server.requests) == (1, [])


@both
@pytest.mark.parametrize("kind", ["http", "socks"])
def test_an_authority_that_nobody_knows_behind_a_proxy(
    side: str, kind: str, secure: FaultServer, proxies: Ports
) -> None:
    port = proxies.http if kind == "http" else proxies.socks
    url = secure.url.replace("127.0.0.1", "localhost")
    error = failure(side, url, proxy=f"{kind}://127.0.0.1:{port}", trust_env=False)
    assert type(error) is APIConnectionError
    assert "was not accepted" in str(error)
    assert not error.retryable
    assert (secure.connections, secure.requests) == (1, [])


@both
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_checks_can_be_turned_off(side: str, secure: FaultServer) -> None:
    assert talk(side, secure.url, verify=False) == ANSWER


@both
def test_a_server_that_does_not_speak_tls(side: str) -> None:
    with FaultServer([EARLY, http("400 Bad Request"), HOLD]) as server:
        error = failure(side, server.url.replace("http", "https"), trust_env=False)
        assert type(error) is APIConnectionError
        assert "no secure connection" in str(error)
        assert server.wait_for(0)
