"""any-llm's functions, which its documentation shows first: a new client for each call."""

from __future__ import annotations

from typing import Any

from any_llm import acompletion, completion

from benchmarks.wire import MODEL, PROMPT


class Sync:
    """`completion`."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"provider": "openai", "api_key": "key", "api_base": url, "model": MODEL}

    def chat(self) -> str:
        reply: Any = completion(messages=PROMPT, **self._options)
        return reply.choices[0].message.content or ""

    def close(self) -> None:
        pass


class Async:
    """`acompletion`."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"provider": "openai", "api_key": "key", "api_base": url, "model": MODEL}

    async def chat(self) -> str:
        reply: Any = await acompletion(messages=PROMPT, **self._options)
        return reply.choices[0].message.content or ""

    async def close(self) -> None:
        pass
