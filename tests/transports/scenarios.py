"""A table of what servers do, and what comes of it through either transport."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import Any

from llmclients.config.values import Timeout
from llmclients.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    LLMClientError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from llmclients.testing.fault_server import CHUNKED_HEAD, EARLY, END, HOLD, RESET, Script, chunked, http

GZIP = ("Content-Encoding", "gzip")
PACKED = gzip.compress(b"hello " * 100)
DRIP: list[Any] = [step for _ in range(100) for step in (b"x", 0.02)]
SHORT = Timeout(connect=5, read=0.15)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@dataclass
class Case:
    """What the server does, and what comes of it."""

    name: str
    script: Script
    body: bytes | None = b""
    error: type[LLMClientError] | None = None
    phase: str | None = None
    status: int | None = 200
    says: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether most of its time is spent waiting."""
        return not self.options.keys().isdisjoint({"timeout", "within"})


def head(*headers: tuple[str, str], status: str = "200 OK", version: str = "1.1") -> bytes:
    return http(status, headers, None, version)


CONNECTION_LOST, INTERRUPTED, MALFORMED = APIConnectionError, StreamInterruptedError, APIResponseError

LINES_THAT_ARE_NONE = {
    "a line that continues another": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n Content-Length: 1",
    "a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: 1\rTransfer-Encoding: chunked",
    "a bare CR in the reason": b"HTTP/1.1 200 OK\rContent-Length: 1",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: a\0b",
    "a control character before chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked",
    "From": b"HTTP/1.1 200 OK\r\nFrom me",
    "a status of 600": b"HTTP/1.1 600 OK",
    "HTTP/1.2": b"HTTP/1.2 200 OK",
    "HTTP/0.9": b"HTTP/0.9 200 OK",
    "two spaces": b"HTTP/1.1  200 OK",
}

CASES = [
    # whole answers
    Case("length", [http(body=b"hello")], b"hello"),
    Case("chunked", [CHUNKED_HEAD + chunked(b"hel", b"lo")], b"hello"),
    Case("until close", [head() + b"hello", END], b"hello"),
    Case("http 1.0", [head(version="1.0") + b"hello", END], b"hello"),
    Case("length and close", [head(("Content-Length", "5"), ("Connection", "close")) + b"hello", END], b"hello"),
    Case(
        "chunked and close",
        [head(("Transfer-Encoding", "chunked"), ("Connection", "close")) + chunked(b"hi"), END],
        b"hi",
    ),
    Case("no body", [http(body=b"")]),
    Case("no content", [head(status="204 No Content")], status=204),
    Case("chunk extensions", [CHUNKED_HEAD + b"5;a=b\r\nhello\r\n0;last\r\n\r\n"], b"hello"),
    Case("trailers", [CHUNKED_HEAD + b"5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"], b"hello"),
    Case("error status", [http("500 Oops", body=b"no")], b"no", status=500),
    Case("redirect", [http("302 Found", [("Location", "http://127.0.0.1:1/")], b"there")], b"there", status=302),
    Case("100 first", [b"HTTP/1.1 100 Continue\r\n\r\n" + http(body=b"hello")], b"hello"),
    Case("103 first", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http(body=b"hello")], b"hello"),
    Case("102 twice, slowly", [b"HTTP/1.1 102 Processing\r\n\r\n", 0.05] * 2 + [http(body=b"hello")], b"hello"),
    Case("gzip", [http(headers=[GZIP], body=PACKED)], b"hello " * 100),
    Case(
        "gzip, chunked in small pieces",
        [head(GZIP, ("Transfer-Encoding", "chunked")) + chunked(*(PACKED[i : i + 1] for i in range(len(PACKED))))],
        b"hello " * 100,
    ),
    Case("gzip in two members", [http(headers=[GZIP], body=gzip.compress(b"a") + gzip.compress(b"b"))], b"ab"),
    Case("gzip, padded", [http(headers=[GZIP], body=gzip.compress(b"a") + b"\0\0")], b"a"),
    Case("gzip of an empty body", [http(headers=[GZIP])]),
    Case("x-gzip", [http(headers=[("Content-Encoding", "X-Gzip")], body=PACKED)], b"hello " * 100),
    Case("deflate", [http(headers=[("Content-Encoding", "deflate")], body=zlib.compress(b"hello"))], b"hello"),
    Case("deflate, raw", [http(headers=[("Content-Encoding", "deflate")], body=raw_deflate(b"hello"))], b"hello"),
    Case("identity", [http(headers=[("Content-Encoding", "identity")], body=b"hello")], b"hello"),
    Case("long header", [http(headers=[("X-Long", "x" * 30_000)], body=b"hello")], b"hello"),
    # before the head is whole
    Case("end at once", [EARLY, END], error=CONNECTION_LOST, status=None),
    Case("reset at once", [EARLY, 0.02, RESET], error=CONNECTION_LOST, status=None),
    Case("end before the head", [END], error=CONNECTION_LOST, status=None, says="lost before an answer came"),
    Case("reset before the head", [RESET], error=CONNECTION_LOST, status=None),
    Case("end inside the status line", [b"HTTP/1.1 20", END], error=CONNECTION_LOST, status=None),
    Case(
        "end inside the head",
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Le", END],
        error=CONNECTION_LOST,
        status=None,
    ),
    Case("end after a header", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", END], error=CONNECTION_LOST, status=None),
    Case("end after 103", [b"HTTP/1.1 103 Early Hints\r\n\r\n", END], error=CONNECTION_LOST, status=None),
    Case("reset inside the head", [b"HTTP/1.1 200 OK\r\nContent-Le", 0.05, RESET], error=CONNECTION_LOST, status=None),
    # not HTTP
    Case("garbage", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", HOLD], error=MALFORMED, status=None, says="not HTTP"),
    Case("a page without a head", [b"<html>hello</html>\r\n\r\n", END], error=MALFORMED, status=None),
    Case("a status that is none", [b"HTTP/1.1 abc OK\r\n\r\n", HOLD], error=MALFORMED, status=None),
    Case("endless header", [b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 100_000, HOLD], error=MALFORMED, status=None),
    Case("too many headers", [http(headers=[(f"X-{i}", "x") for i in range(200)])], error=MALFORMED, status=None),
    Case("too many interim heads", [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, HOLD], error=MALFORMED, status=None),
    Case(
        "a header line without a colon",
        [b"HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 0\r\n\r\n", HOLD],
        error=MALFORMED,
        status=None,
    ),
    *(
        Case(name, [start + b"\r\nContent-Length: 2\r\n\r\nok", HOLD], error=MALFORMED, status=None, says="not HTTP")
        for name, start in LINES_THAT_ARE_NONE.items()
    ),
    Case("switching protocols", [head(status="101 Switching"), HOLD], error=MALFORMED, status=None),
    Case("a head of 70 KB", [http(headers=[(f"X-{i}", "x" * 1000) for i in range(70)])], error=MALFORMED, status=None),
    Case(
        "chunks of HTTP/1.0",
        [head(("Transfer-Encoding", "chunked"), version="1.0") + chunked(b"hello"), END],
        error=MALFORMED,
        status=None,
        says="transfer coding",
    ),
    Case("a bare LF ends a line", [b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"], b"hello"),
    Case("the same length twice", [head(*[("Content-Length", "5")] * 2) + b"hello"], b"hello"),
    Case(
        "two lengths",
        [head(("Content-Length", "5"), ("Content-Length", "6")) + b"hello!", HOLD],
        error=MALFORMED,
        status=None,
    ),
    Case("a length that is none", [head(("Content-Length", "five")) + b"hello", HOLD], error=MALFORMED, status=None),
    Case(
        "a chunk size that is none",
        [CHUNKED_HEAD + b"5\r\nhello\r\n", 0.03, b"xyz\r\nhello\r\n", HOLD],
        b"hello",
        MALFORMED,
    ),
    Case(
        "a chunk longer than it says",
        [CHUNKED_HEAD + b"5\r\nhello\r\n", 0.03, b"3\r\nhello\r\n0\r\n\r\n", HOLD],
        None,
        MALFORMED,
    ),
    Case(
        "unknown encoding",
        [http(headers=[("Content-Encoding", "br")], body=b"hello")],
        error=MALFORMED,
        status=None,
        says="'br'",
    ),
    Case("not gzip", [http(headers=[GZIP], body=b"hello")], error=MALFORMED),
    # inside the body
    Case("length too short", [head(("Content-Length", "10")) + b"hello", END], b"hello", INTERRUPTED),
    Case("length, then reset", [head(("Content-Length", "10")) + b"hello", 0.05, RESET], b"hello", INTERRUPTED),
    Case("missing last chunk", [CHUNKED_HEAD + chunked(b"hel", b"lo", last=False), END], b"hello", INTERRUPTED),
    Case(
        "missing last chunk, closing",
        [head(("Transfer-Encoding", "chunked"), ("Connection", "close")) + chunked(b"hi", last=False), END],
        b"hi",
        INTERRUPTED,
    ),
    Case("cut inside a chunk", [CHUNKED_HEAD + b"a\r\nhello", END], b"hello", INTERRUPTED),
    Case("cut after a chunk's data", [CHUNKED_HEAD + b"5\r\nhello", END], b"hello", INTERRUPTED),
    Case("cut inside a size", [CHUNKED_HEAD + b"5\r\nhello\r\n1", END], b"hello", INTERRUPTED),
    Case("cut before the very end", [CHUNKED_HEAD + b"5\r\nhello\r\n0\r\n", END], b"hello", INTERRUPTED),
    Case("reset inside a chunk", [CHUNKED_HEAD + b"a\r\nhello", 0.05, RESET], b"hello", INTERRUPTED, says="broke off"),
    Case("reset until close", [head() + b"hello", 0.05, RESET], b"hello", INTERRUPTED),
    Case("head, then the end", [CHUNKED_HEAD, END], b"", INTERRUPTED),
    Case("gzip, cut", [http(headers=[GZIP], body=PACKED[:-4])], b"hello " * 100, INTERRUPTED, says="not complete"),
    Case("gzip, cut in the middle", [http(headers=[GZIP], body=gzip.compress(b"hello")[:8])], b"", INTERRUPTED),
    Case(
        "deflate, cut",
        [http(headers=[("Content-Encoding", "deflate")], body=zlib.compress(b"x" * 500)[:-2])],
        b"x" * 500,
        INTERRUPTED,
    ),
    # too much
    Case(
        "too large",
        [http(body=b"x" * 2000)],
        body=None,
        error=ResponseTooLargeError,
        options={"max_response_bytes": 1000},
    ),
    Case("just not too large", [http(body=b"x" * 1000)], b"x" * 1000, options={"max_response_bytes": 1000}),
    Case(
        "endless",
        [CHUNKED_HEAD, *([chunked(b"x" * 1000, last=False)] * 2000), HOLD],
        body=None,
        error=ResponseTooLargeError,
        options={"max_response_bytes": 100_000},
    ),
    Case(
        "gzip bomb",
        [http(headers=[GZIP], body=gzip.compress(bytes(16_000_000)))],
        body=None,
        error=ResponseTooLargeError,
        options={"max_response_bytes": 1_000_000},
    ),
    # too slow
    Case("no answer", [HOLD], error=APITimeoutError, phase="read", status=None, options={"timeout": SHORT}),
    Case(
        "half a head",
        [b"HTTP/1.1 200 OK\r\n", HOLD],
        error=APITimeoutError,
        phase="read",
        status=None,
        options={"timeout": SHORT},
    ),
    Case(
        "stall in the body",
        [CHUNKED_HEAD + chunked(b"hello", last=False), HOLD],
        b"hello",
        APITimeoutError,
        "read",
        options={"timeout": SHORT},
    ),
    Case(
        "dripping body is no read timeout",
        [head(("Content-Length", "5")), *DRIP[:10]],
        b"xxxxx",
        options={"timeout": SHORT},
    ),
    Case(
        "no answer before the deadline",
        [HOLD],
        error=APITimeoutError,
        phase="total",
        status=None,
        options={"within": 0.15},
    ),
    Case(
        "dripping head",
        [b"HTTP/1.1 200 OK\r\nX-A: ", *DRIP, HOLD],
        error=APITimeoutError,
        phase="total",
        status=None,
        options={"within": 0.15},
    ),
    Case(
        "dripping interim heads",
        [b"HTTP/1.1 103 E\r\n\r\n", 0.05] * 10 + [HOLD],
        error=APITimeoutError,
        phase="total",
        status=None,
        options={"within": 0.15},
    ),
    Case(
        "dripping chunk size",
        [CHUNKED_HEAD, *([b"0", 0.02] * 20), HOLD],
        error=APITimeoutError,
        phase="total",
        options={"within": 0.15},
    ),
    Case(
        "stall under a deadline",
        [CHUNKED_HEAD + chunked(b"hello", last=False), HOLD],
        b"hello",
        APITimeoutError,
        "total",
        options={"within": 0.15},
    ),
]
