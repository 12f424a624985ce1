"""llmclients itself."""

from __future__ import annotations

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT
from llmclients import AsyncClient, Client


class Sync:
    """`Client`."""

    def __init__(self, url: str) -> None:
        self._client = Client("openai", model=MODEL, base_url=url, api_key="key")

    def stream(self, take: Take) -> None:
        for chunk in self._client.stream(PROMPT):
            if chunk.text:
                take(chunk.text)

    def chat(self) -> str:
        return self._client.chat(PROMPT).text

    def close(self) -> None:
        self._client.close()


class Async:
    """`AsyncClient`."""

    def __init__(self, url: str) -> None:
        self._client = AsyncClient("openai", model=MODEL, base_url=url, api_key="key")

    async def stream(self, take: Take) -> None:
        async for chunk in self._client.stream(PROMPT):
            if chunk.text:
                take(chunk.text)

    async def chat(self) -> str:
        return (await self._client.chat(PROMPT)).text

    async def close(self) -> None:
        await self._client.close()
