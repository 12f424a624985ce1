"""litellm."""

from __future__ import annotations

from typing import Any

from litellm import acompletion, completion

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT


class Sync:
    """`completion`."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"model": f"openai/{MODEL}", "api_key": "key", "api_base": url}

    def stream(self, take: Take) -> None:
        for chunk in completion(messages=PROMPT, stream=True, **self._options):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    def chat(self) -> str:
        reply: Any = completion(messages=PROMPT, **self._options)
        return reply.choices[0].message.content or ""

    def close(self) -> None:
        pass  # its clients are the module's


class Async:
    """`acompletion`."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"model": f"openai/{MODEL}", "api_key": "key", "api_base": url}

    async def stream(self, take: Take) -> None:
        async for chunk in await acompletion(messages=PROMPT, stream=True, **self._options):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                take(text)

    async def chat(self) -> str:
        reply: Any = await acompletion(messages=PROMPT, **self._options)
        return reply.choices[0].message.content or ""

    async def close(self) -> None:
        pass
