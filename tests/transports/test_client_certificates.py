"""A client's own certificate: shown to servers that ask for one, by both clients, and refused at once where it is none."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmclients import AsyncClient, Client, ConfigurationError
from llmclients.config.certificates import client_certificate
from llmclients.testing.fault_server import FaultServer, http
from tests.transports.sides import ASYNC, SYNC, Side


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's certificate, one of a client's in each form, and a key that is another's."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("client", "other"):
        issued = authority.issue_cert(f"{name}.example")
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.both.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    locked = ["openssl", "pkcs8", "-topk8", "-in", "client.key", "-out", "locked.key", "-passout", "pass:open sesame"]
    subprocess.run(locked, cwd=folder, check=True, capture_output=True)
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


def asking_server(folder: Path, reply: bytes) -> FaultServer:
    """It speaks only to who has a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return FaultServer([reply], tls=context)


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
@pytest.mark.parametrize(
    "files", [("client.both.pem",), ("client.pem", "client.key"), ("client.pem", "locked.key", "open sesame")]
)
def test_a_server_that_asks_for_a_certificate_gets_it(side: Side, folder: Path, files: tuple[str, ...]) -> None:
    cert: Any = (*(folder / file for file in files[:2]), *files[2:])
    with asking_server(folder, http(body=b"hello")) as server:
        found = client_certificate(cert if len(cert) > 1 else cert[0])
        assert side.fetch(server.url, verify=str(folder / "ca.pem"), cert=found).body == b"hello"


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
def test_without_one_such_a_server_says_no(side: Side, folder: Path) -> None:
    with asking_server(folder, http(body=b"hello")) as server:
        assert side.fetch(server.url, verify=str(folder / "ca.pem")).error is not None


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_what_is_no_certificate_is_refused_when_the_client_is_made(make: Any, folder: Path) -> None:
    at = folder.joinpath
    refused = [
        (5, "must be a path, or a tuple"),
        ((), "must be a path, or a tuple"),
        ((at("client.pem"), at("client.key"), "x", "y"), "must be a path, or a tuple"),
        ((at("client.pem"), None), "must be a path, or a tuple"),
        ((at("client.pem"), at("locked.key"), b"open sesame"), "the password must be text, not bytes"),
        (at("missing.pem"), "no such file: .*missing.pem"),
        (folder, "no such file"),
        ((at("client.pem"), at("missing.key")), "no such file: .*missing.key"),
        (at("client.pem"), "cannot be used"),  # no key in it
        ((at("client.pem"), at("other.key")), "cannot be used: key values mismatch"),
        ((at("client.pem"), at("locked.key")), "cannot be used"),
        ((at("client.pem"), at("locked.key"), "wrong"), "cannot be used"),
    ]
    for cert, reason in refused:
        with pytest.raises(ConfigurationError, match=reason) as caught:
            make("openai/m", api_key="k", cert=cert)
        assert caught.value.argument == "cert"
        assert "sesame" not in str(caught.value)
