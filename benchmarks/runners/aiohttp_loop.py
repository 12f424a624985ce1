"""What people write by hand for many prompts: aiohttp, json."""

from __future__ import annotations

import json

import aiohttp

from benchmarks.wire import MODEL, PROMPT


class Async:
    """One session; aiohttp's default of 100 connections is lifted."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._headers = {"Authorization": "Bearer key"}
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def chat(self) -> str:
        payload = {"model": MODEL, "messages": PROMPT}
        async with self._session.post(self._url, json=payload, headers=self._headers) as response:
            response.raise_for_status()
            text: str = json.loads(await response.read())["choices"][0]["message"]["content"]
            return text

    async def close(self) -> None:
        await self._session.close()
