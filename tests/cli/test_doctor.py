"""`llmclients doctor`: what works on the way to a provider."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmclients.cli.main import main
from llmclients.testing import FaultServer
from llmclients.testing.script import http

MODELS = http(body=b'{"data": [{"id": "m"}]}')
CHAT = http(body=b'{"choices": [{"message": {"content": "OK"}, "finish_reason": "stop"}], "model": "m"}')
REFUSED = http("401 Unauthorized", body=b'{"error": {"message": "no such key"}}')


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, tuple[bool | None, str]]]:
    code = main(["doctor", *arguments, "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return code, {one["check"]: (one["ok"], one["text"]) for one in found}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultServer([MODELS], [CHAT], per_request=True) as server:
        code, found = doctor(capsys, "openai/m", "--base-url", server.url)
    assert code == 0
    assert list(found) == ["proxy", "name", "route", "TLS", "key", "models", "chat"]
    assert found["key"] == (True, "from $OPENAI_API_KEY")
    assert found["models"][1].startswith("1; m is among them, ")
    assert found["chat"][1].startswith("m says 'OK', ")
    assert [ok for ok, _ in found.values()] == [None, True, True, None, True, True, True]
    with FaultServer([MODELS], per_request=True) as server:
        assert main(["doctor", "openai/m", "--no-chat", "--base-url", server.url]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "-     proxy   none"
    with FaultServer([MODELS], [CHAT], per_request=True) as server:  # the only model that there is
        assert doctor(capsys, "openai", "--base-url", server.url)[1]["chat"][1].startswith("m says 'OK', ")
    with FaultServer([http(body=b'{"data": [{"id": "m"}, {"id": "n"}]}')], per_request=True) as server:
        code, found = doctor(capsys, "openai", "--base-url", server.url)
    assert (code, found["chat"]) == (0, (None, "no model is named: llmclients doctor openai/m"))


def test_each_fault_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer([REFUSED], [REFUSED], per_request=True) as server:
        code, found = doctor(capsys, "openai/m", "--base-url", server.url)
    assert (code, found["models"][0], found["chat"][0]) == (1, False, False)
    assert "no such key" in found["chat"][1]

    code, found = doctor(capsys, "openai/m", "--base-url", server.url)  # which has ended
    assert code == 1
    assert found["route"] == (False, "Connection refused: nobody listens there, or a firewall is between: see --base-url, "
        "or set HTTPS_PROXY")  # fmt: skip
    assert "key" not in found

    def no_such_name(*arguments: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_such_name)
        found = doctor(capsys, "openai/m", "--base-url", "https://nowhere.invalid/v1")[1]
    assert found["name"][1].startswith("Name or service not known: no such name, or no name server answers: see")

    monkeypatch.delenv("OPENAI_API_KEY")
    assert doctor(capsys, "openai/m")[1]["client"][1].endswith("llmclients keys set openai")


def test_a_proxy_is_on_the_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@127.0.0.1:9")
    found = doctor(capsys, "openai/m")[1]
    assert found["proxy"][1].startswith("127.0.0.1:9 (from the environment")
    assert found["route"][0] is False
    assert "secret" not in str(found)


def test_a_certificate_of_an_unknown_authority(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with FaultServer([MODELS], tls=context, per_request=True) as server:
        found = doctor(capsys, "openai/m", "--base-url", server.url)[1]
        assert found["TLS"][0] is False
        assert "SSL_CERT_FILE=" in found["TLS"][1]
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        found = doctor(capsys, "openai/m", "--base-url", server.url, "--no-chat")[1]
    assert found["TLS"][0] is True
    assert found["TLS"][1].startswith("TLSv1.3, its certificate is good until ")
