"""What people write by hand with httpx."""

from __future__ import annotations

import json

import httpx

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT

_NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)


class Sync:
    """A client, `iter_lines` and json."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._client = httpx.Client(headers={"Authorization": "Bearer key"}, timeout=120)

    def stream(self, take: Take) -> None:
        payload = {"model": MODEL, "messages": PROMPT, "stream": True}
        with self._client.stream("POST", self._url, json=payload) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                _take_line(line, take)

    def chat(self) -> str:
        response = self._client.post(self._url, json={"model": MODEL, "messages": PROMPT})
        response.raise_for_status()
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    def close(self) -> None:
        self._client.close()


class Async:
    """The same, awaited."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = f"{url}/chat/completions"
        headers = {"Authorization": "Bearer key"}
        self._client = httpx.AsyncClient(headers=headers, timeout=120, limits=_NO_LIMITS, transport=transport)

    async def stream(self, take: Take) -> None:
        payload = {"model": MODEL, "messages": PROMPT, "stream": True}
        async with self._client.stream("POST", self._url, json=payload) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                _take_line(line, take)

    async def chat(self) -> str:
        response = await self._client.post(self._url, json={"model": MODEL, "messages": PROMPT})
        response.raise_for_status()
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    async def close(self) -> None:
        await self._client.aclose()


def _take_line(line: str, take: Take) -> None:
    if line.startswith("data: ") and line != "data: [DONE]":
        for choice in json.loads(line[6:])["choices"]:
            if text := choice["delta"].get("content"):
                take(text)
