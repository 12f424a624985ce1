"""What the soak's servers send and its clients look for: chunks that say when they were sent, on the machine's clock."""

from __future__ import annotations

import re
import time

INTERVAL = 0.1  # seconds between two chunks of a stream
CHUNKS = 50  # of a whole stream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
DONE = b"data: [DONE]\n\n"
SENT_AT = re.compile(rb'"content":"(\d+) "')
NAME = re.compile(rb'"content":"(\w+ \d+)"')


def event() -> bytes:
    """A chunk that is sent now."""
    return b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%d "}}]}\n\n' % time.monotonic_ns()


def framed(data: bytes) -> bytes:
    """A piece of a body in chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def request(port: int, name: str, path: bytes = b"/v1/chat/completions") -> bytes:
    """A client's request for a stream."""
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"%b"}]}' % name.encode()
    head = b"POST %b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n" % (path, port)
    return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
