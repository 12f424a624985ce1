"""HTTP heads: what is read and made, beside h11, which is as strict."""

from __future__ import annotations

import h11
import pytest

from llmclients.errors import APIResponseError
from llmclients.transports.framing import ChunkedBody, ContentLengthBody, UntilCloseBody
from llmclients.transports.head import end_of_head, parse_head, request_head, response_framing
from llmclients.transports.httpx.failures import InvalidRequestError, MalformedError
from llmclients.transports.httpx.target import parse_target

GOOD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 204\r\n\r\n",
    b"HTTP/1.0 404 Not  Found \r\nA:b\r\nC: \t d \t\r\n\r\n",
    b"HTTP/1.1 200 OK\nX-A: 1\nX-B:\n\n",
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: a=b; c\r\n\r\n",
    b"HTTP/1.1 503 \xe9\xff\r\nX-Latin: \xe9\r\n\r\n",
]
BAD = [
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 99 OK\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX A: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A : x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A: x\x00y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A: x\ry\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n X-A: x\r\n\r\n",
]


def test_good_heads_are_read_as_h11_reads_them(subtests: pytest.Subtests) -> None:
    for data in GOOD:
        with subtests.test(repr(data)):
            connection = h11.Connection(h11.CLIENT)
            connection.receive_data(data)
            theirs = connection.next_event()
            assert isinstance(theirs, h11.Response)

            ours = parse_head(data)

            assert end_of_head(data) == len(data)
            assert (ours.status, ours.reason) == (theirs.status_code, theirs.reason.decode("latin-1").strip())
            assert f"1.{ours.version}".encode() == theirs.http_version
            assert [(n.encode(), v.encode("latin-1")) for n, v in ours.pairs] == [(n, v) for n, v in theirs.headers]


def test_bad_heads_are_refused_as_h11_refuses_them(subtests: pytest.Subtests) -> None:
    for data in BAD:
        with subtests.test(repr(data)):
            connection = h11.Connection(h11.CLIENT)
            connection.receive_data(data)
            with pytest.raises(h11.RemoteProtocolError):
                connection.next_event()
            with pytest.raises(MalformedError):
                parse_head(data)


def test_a_line_that_continues_another_is_refused() -> None:
    with pytest.raises(MalformedError):  # HTTP has forbidden them; h11 still joins them
        parse_head(b"HTTP/1.1 200 OK\r\nX-A: x\r\n y\r\n\r\n")


def test_too_many_lines() -> None:
    with pytest.raises(MalformedError):
        parse_head(b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n")


def test_where_a_head_ends(subtests: pytest.Subtests) -> None:
    for data, end in (
        (b"a\r\n\r\nb", 5),
        (b"a\n\nb", 3),
        (b"a\n\r\nb", 4),
        (b"a\r\nb\r\n", -1),
        (b"a\n\nb\r\n\r\n", 3),
        (b"", -1),
    ):
        with subtests.test(repr(data)):
            assert end_of_head(data) == end


def test_how_a_body_ends(subtests: pytest.Subtests) -> None:
    cases: list[tuple[bytes, type[object]]] = [
        (b"HTTP/1.1 200 OK\r\n\r\n", UntilCloseBody),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ContentLengthBody),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", ContentLengthBody),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", ChunkedBody),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ChunkedBody),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", ContentLengthBody),
    ]
    for head, framing in cases:
        with subtests.test(repr(head)):
            parsed = parse_head(head)
            assert type(response_framing(parsed, parsed.joined())) is framing


def test_a_length_that_is_none(subtests: pytest.Subtests) -> None:
    for length in ("five", "-1", "+5", "5, 6", "", "1e3", "0x5", "9" * 30):
        with subtests.test(length):
            head = parse_head(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
            with pytest.raises(MalformedError):
                response_framing(head, head.joined())


def test_an_unknown_transfer_coding(subtests: pytest.Subtests) -> None:
    for coding in ("gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", ""):
        with subtests.test(coding):
            head = parse_head(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n".encode())
            with pytest.raises(APIResponseError, match="transfer coding"):
                response_framing(head, head.joined())


def test_a_requests_head() -> None:
    head = request_head("POST", "/v1/chat?a=b", [("Host", "x"), ("X-Api-Key", "k\xe9y")])
    assert head == b"POST /v1/chat?a=b HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\xe9y\r\n\r\n"


def test_nothing_is_smuggled_into_a_request(subtests: pytest.Subtests) -> None:
    for header in (("X-A", "a\r\nX-B: b"), ("X-A", "a\nb"), ("X-A", "a\0"), ("X A", "a"), ("", "a")):
        with subtests.test(repr(header)):
            with pytest.raises(InvalidRequestError) as caught:
                request_head("POST", "/", [("Host", "x"), header])
            assert str(caught.value) == ""
            with pytest.raises(InvalidRequestError):
                request_head("POST", "/", [("X-A", "\u20ac")])


def test_a_url_in_parts(subtests: pytest.Subtests) -> None:
    cases: list[tuple[str, tuple[object, ...]]] = [
        ("http://a.example/v1", (False, "a.example", 80, "/v1", "a.example")),
        ("https://a.example", (True, "a.example", 443, "/", "a.example")),
        ("https://A.example:8443/x y?q=ä", (True, "a.example", 8443, "/x%20y?q=%C3%A4", "a.example:8443")),
        ("http://[::1]:8080/", (False, "::1", 8080, "/", "[::1]:8080")),
        (
            "http://bücher.example/%20?a=%2F",
            (False, "xn--bcher-kva.example", 80, "/%20?a=%2F", "xn--bcher-kva.example"),
        ),
        ("http://a.example:80/", (False, "a.example", 80, "/", "a.example")),
    ]
    for url, expected in cases:
        with subtests.test(url):
            assert tuple(parse_target(url)) == expected


def test_a_url_that_is_none(subtests: pytest.Subtests) -> None:
    for url in ("http://[::1", "http://h:99999/", "http:///x", "ftp://h/", "http://\u2000.example/"):
        with subtests.test(url), pytest.raises(InvalidRequestError):
            parse_target(url)
