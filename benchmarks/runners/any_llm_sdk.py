"""any-llm's class, which its documentation recommends for more than one request: it keeps its connections."""

from __future__ import annotations

from typing import Any

from any_llm import AnyLLM

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT


class Sync:
    """`AnyLLM.completion`."""

    def __init__(self, url: str) -> None:
        self._llm: Any = AnyLLM.create("openai", api_key="key", api_base=url)

    def stream(self, take: Take) -> None:
        for chunk in self._llm.completion(model=MODEL, messages=PROMPT, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    def chat(self) -> str:
        return self._llm.completion(model=MODEL, messages=PROMPT).choices[0].message.content or ""

    def close(self) -> None:
        pass  # it has no such method


class Async:
    """`AnyLLM.acompletion`."""

    def __init__(self, url: str) -> None:
        self._llm: Any = AnyLLM.create("openai", api_key="key", api_base=url)

    async def stream(self, take: Take) -> None:
        async for chunk in await self._llm.acompletion(model=MODEL, messages=PROMPT, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    async def chat(self) -> str:
        reply = await self._llm.acompletion(model=MODEL, messages=PROMPT)
        return reply.choices[0].message.content or ""

    async def close(self) -> None:
        pass
