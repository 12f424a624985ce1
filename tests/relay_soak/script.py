"""What the soak's servers send and its clients look for: chunks that say when they were sent, on the machine's clock.

The streams are those of as many users who know nothing of each other: each has its own length, and sends its first chunk
at a moment of its own. Were all as long, and begun as soon as they are asked for, then those that were once asked for
together, as after the shortest pause of any process here, would send all chunks at the same moment, and so would those
that follow them: the last of such a batch waits for all the others, whatever the relay does.
"""

from __future__ import annotations

import random
import re
import time
from zlib import crc32

INTERVAL = 0.1  # seconds between two chunks of a stream
CHUNKS = 50  # of a whole stream, in the mean

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
DONE = b"data: [DONE]\n\n"
SENT_AT = re.compile(rb'"content":"(\d+) "')
NAME = re.compile(rb'"content":"(\w+ \d+)"')


def length(name: str) -> int:
    """How many chunks the whole stream of this name has."""
    return CHUNKS // 2 + crc32(name.encode()) % (CHUNKS + 1)


def pause(interval: float = INTERVAL) -> float:
    """How long a stream's first chunk is waited for, in seconds."""
    return random.random() * interval


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
