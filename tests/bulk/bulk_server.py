"""A canned server for `bulk` in other processes: `python tests/bulk/bulk_server.py MS [json]` prints its port.

It answers each chat completion after MS ms with the prompt in capitals, with `json` as the `text` of an object. Its standard input is a line a command: `counts`
prints as JSON how often each prompt was asked and how many requests are open; the end of it ends the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PROMPT = re.compile(rb'"role":"user","content":"([^"]*)"')

asked: Counter[str] = Counter()
most_open = 0
open_now = 0


class Connection(asyncio.Protocol):
    """Reads requests, answers each a little later."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        global most_open, open_now
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self.buffer = b""
        found = _PROMPT.search(body)
        prompt = found[1].decode() if found else "?"
        asked[prompt] += 1
        open_now += 1
        self.is_open = True
        most_open = max(most_open, open_now)
        asyncio.get_running_loop().call_later(DELAY, self.answer, prompt)

    def answer(self, prompt: str) -> None:
        if self.transport.is_closing():
            return
        self.leave()
        content = json.dumps({"text": prompt.upper()}) if AS_JSON else prompt.upper()
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        body = json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)

    def leave(self) -> None:
        global open_now
        open_now -= self.is_open
        self.is_open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while (line := await loop.run_in_executor(None, sys.stdin.readline)) != "":
        if line.strip() == "counts":
            print(json.dumps({"asked": asked, "most_open": most_open}), flush=True)


if __name__ == "__main__":
    DELAY = float(sys.argv[1]) / 1000
    AS_JSON = "json" in sys.argv[2:]
    asyncio.run(main())
