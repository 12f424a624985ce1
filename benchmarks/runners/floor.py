"""The least that a client can do: a socket, a search for the events, a C JSON parser. It checks nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from urllib.parse import urlsplit

from pydantic_core import from_json

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT

_READ_SIZE = 65536
_END = b"0\r\n\r\n"


class Events:
    """Looks for the events, and takes no notice of HTTP's framing around them."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._rest = b""
        self._done = False

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        take = self._take
        for event in events:
            payload = event[event.find(b"data: ") + 6 :]
            if payload == b"[DONE]":
                self._done = True
                break
            for choice in from_json(payload)["choices"]:
                if text := choice["delta"].get("content"):
                    take(text)
        return self._done and self._rest.endswith(_END)


class Sync:
    """A socket; http.client for a whole answer."""

    def __init__(self, url: str) -> None:
        self._host, self._port, self._path, self._body = target(url)
        self._client = http.client.HTTPConnection(self._host, self._port)
        self._socket = socket.create_connection((self._host, self._port))

    def stream(self, take: Take) -> None:
        self._socket.sendall(request(self._path, self._body))
        events = Events(take)
        while not events.feed(self._socket.recv(_READ_SIZE)):
            pass

    def chat(self) -> str:
        self._client.request("POST", self._path, self._body, {"Content-Type": "application/json"})
        text: str = from_json(self._client.getresponse().read())["choices"][0]["message"]["content"]
        return text

    def close(self) -> None:
        self._client.close()
        self._socket.close()


class Async:
    """asyncio's streams, kept for the next exchange."""

    def __init__(self, url: str) -> None:
        self._host, self._port, self._path, self._body = target(url)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def stream(self, take: Take) -> None:
        reader, writer = await self._connection()
        writer.write(request(self._path, self._body))
        events = Events(take)
        while not events.feed(await reader.read(_READ_SIZE)):
            pass
        self._idle.append((reader, writer))

    async def chat(self) -> str:
        reader, writer = await self._connection()
        writer.write(request(self._path, self._body))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head))
        self._idle.append((reader, writer))
        text: str = from_json(body)["choices"][0]["message"]["content"]
        return text

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle:
            return self._idle.pop()
        return await asyncio.open_connection(self._host, self._port)


def target(url: str) -> tuple[str, int, str, bytes]:
    """Host, port, path and body."""
    parts = urlsplit(url)
    body = json.dumps({"model": MODEL, "messages": PROMPT, "stream": True}).encode()
    return parts.hostname or "", parts.port or 80, f"{parts.path}/chat/completions", body


def request(path: str, body: bytes) -> bytes:
    """Head and body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def length_of(head: bytes) -> int:
    """The bytes of the body, as the head says."""
    return next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
