"""openai, with its default HTTP client."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI, OpenAI

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT


class Sync:
    """`OpenAI`."""

    def __init__(self, url: str) -> None:
        self._client: Any = OpenAI(base_url=url, api_key="key")

    def stream(self, take: Take) -> None:
        for chunk in self._client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    def chat(self) -> str:
        reply = self._client.chat.completions.create(model=MODEL, messages=PROMPT)
        return reply.choices[0].message.content or ""

    def close(self) -> None:
        self._client.close()


class Async:
    """`AsyncOpenAI`."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client: Any = AsyncOpenAI(base_url=url, api_key="key", **options)

    async def stream(self, take: Take) -> None:
        async for chunk in await self._client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    async def chat(self) -> str:
        reply = await self._client.chat.completions.create(model=MODEL, messages=PROMPT)
        return reply.choices[0].message.content or ""

    async def close(self) -> None:
        await self._client.close()
