"""The tool loop through either client, whole and streamed: what the tests of it share."""

from __future__ import annotations

import asyncio
from typing import Any

from llmclients import AsyncClient, ChatResponse, Chunk, Client, ToolResult
from llmclients.testing import MockTransport

ARGUMENTS: dict[str, Any] = {"model": "m", "api_key": "key", "retry": None}


def weather(city: str) -> str:
    """The weather."""
    return f"4 degrees in {city}"


async def clock(zone: str) -> str:
    """The time."""
    await asyncio.sleep(0)
    return f"noon in {zone}"


class Taken:
    """What a stream gave until its end, and what it ended with."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.error: BaseException | None = None
        self.response = ChatResponse()

    @property
    def results(self) -> list[ToolResult]:
        return [chunk.tool_result for chunk in self.chunks if chunk.tool_result is not None]


class Sides:
    """The same through either client."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def stream(self, mock: MockTransport | None, provider: str = "openai", **options: Any) -> Taken:
        taken = Taken()
        options = {"tools": [weather, clock], "run_tools": True, **options}

        async def main() -> None:
            async with AsyncClient(provider, transport=mock, **ARGUMENTS) as client:
                stream = client.stream("How warm?", **options)
                try:
                    async for chunk in stream:
                        taken.chunks.append(chunk)
                except Exception as error:  # noqa: BLE001 - looked at by the test
                    taken.error = error
                taken.response = stream.response

        if self.is_async:
            asyncio.run(main())
            return taken
        with Client(provider, transport=mock, **ARGUMENTS) as client:
            stream = client.stream("How warm?", **options)
            try:
                taken.chunks.extend(stream)
            except Exception as error:  # noqa: BLE001
                taken.error = error
            taken.response = stream.response
        return taken

    def chat(self, mock: MockTransport, provider: str = "openai", **options: Any) -> ChatResponse:
        options = {"tools": [weather, clock], "run_tools": True, **options}

        async def main() -> ChatResponse:
            async with AsyncClient(provider, transport=mock, **ARGUMENTS) as client:
                return await client.chat("How warm?", **options)

        if self.is_async:
            return asyncio.run(main())
        with Client(provider, transport=mock, **ARGUMENTS) as client:
            return client.chat("How warm?", **options)
