"""What goes out: the same bytes from both transports, and nothing that the request does not have."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest

from llmclients._version import __version__
from llmclients.testing.fault_server import FaultServer, http
from llmclients.transports.base import HTTPRequest

from .sides import Side, both_sides, post

USUAL = f"User-Agent: llmclients/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"


def sent(side: Side, *requests: HTTPRequest, **options: Any) -> list[bytes]:
    with FaultServer([http()]) as server:
        replaced = [HTTPRequest(r.method, server.url + r.url, r.headers, r.body) for r in requests]
        for outcome in side.run(*replaced, **options):
            assert outcome.error is None, outcome.error
        return [request.replace(str(server.port).encode(), b"PORT") for request in server.requests]


@both_sides
def test_every_byte_of_a_request(side: Side) -> None:
    headers = (
        ("X-Zed", "1"),
        ("Content-Type", "application/json"),
        ("x-lower", "é".encode().decode("latin-1")[:0] or "2"),
    )
    assert sent(side, post("/v1/chat?alt=sse&b=%20c", b'{"a":1}', headers)) == [
        (
            "POST /v1/chat?alt=sse&b=%20c HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Zed: 1\r\nContent-Type: application/json\r\n"
            f"x-lower: 2\r\n{USUAL}Content-Length: 7\r\n\r\n" + '{"a":1}'
        ).encode()
    ]


@both_sides
def test_a_get_has_no_body(side: Side) -> None:
    [request] = sent(side, HTTPRequest("GET", "/v1/models", (), b""))
    assert request == f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n{USUAL}\r\n".encode()


@both_sides
def test_an_empty_post_has_no_content_type_of_ours(side: Side) -> None:
    [request] = sent(side, HTTPRequest("POST", "/", (), b""))
    assert request == f"POST / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n{USUAL}Content-Length: 0\r\n\r\n".encode()
    [request] = sent(side, HTTPRequest("POST", "/", (), b"x"))
    assert b"Content-Type" not in request


@both_sides
def test_a_host_of_the_request_stands_alone(side: Side) -> None:
    for name in ("Host", "host"):
        [request] = sent(side, post("/v1", b"{}", ((name, "inner.example"),)))
        lines = request.lower().split(b"\r\n")
        assert [line for line in lines if line.startswith(b"host:")] == [b"host: inner.example"]


@both_sides
def test_headers_of_the_request_replace_the_usual_ones(side: Side) -> None:
    headers = (
        ("user-agent", "me"),
        ("ACCEPT", "text/event-stream"),
        ("Accept-Encoding", "gzip"),
        ("A", "1"),
        ("a", "2"),
    )
    [request] = sent(side, post("/", b"", headers))
    assert request.split(b"\r\n")[2:-2] == [
        b"user-agent: me",
        b"ACCEPT: text/event-stream",
        b"Accept-Encoding: gzip",
        b"A: 1, 2",
        b"Content-Length: 0",
    ]


@both_sides
def test_cookies_are_neither_kept_nor_sent(side: Side) -> None:
    with FaultServer([http(headers=[("Set-Cookie", "id=1; Path=/")])]) as server:
        side.run(post(server.url + "/a"), post(server.url + "/b"))
        assert len(server.requests) == 2
        assert not any(b"cookie" in request.lower() for request in server.requests)


@both_sides
def test_netrc_is_not_read(side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer([http()]) as server:
        side.fetch(server.url, trust_env=True)
        assert b"authorization" not in server.requests[0].lower()


@both_sides
def test_a_large_body_arrives_whole_and_without_a_warning(side: Side) -> None:
    body = bytes(range(256)) * 4_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [request] = sent(side, post("/", body))
        gc.collect()
    assert request.partition(b"\r\n\r\n")[2] == body
    assert b"chunked" not in request[:500].lower()


@both_sides
def test_repeated_headers_of_a_response_are_joined_and_latin_1(side: Side) -> None:
    headers = [("X-A", "1"), ("x-a", "2"), ("X-Word", "gr\xfc\xdfe"), ("X-Space", "  a b  ")]
    with FaultServer([http(headers=headers)]) as server:
        outcome = side.fetch(server.url)
    assert outcome.headers == {"x-a": "1, 2", "x-word": "gr\xfc\xdfe", "x-space": "a b", "content-length": "0"}
