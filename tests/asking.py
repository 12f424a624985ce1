"""Both clients, asked whole and streamed, as one function: for tests of what a call says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from llmclients import AsyncClient, Client
from llmclients.types.response import ChatResponse

KINDS = (Client, AsyncClient)


def outcome(value: Any) -> Any:
    """A call's answer: what is awaited, awaited; of a stream, the response at its end."""

    async def awaited() -> Any:
        if asyncio.iscoroutine(value):
            return await value
        async for _ in value:
            pass
        return value.response

    if asyncio.iscoroutine(value) or hasattr(value, "__aiter__"):
        return asyncio.run(awaited())
    if hasattr(value, "__next__"):
        for _ in value:
            pass
        return value.response
    return value


def each_way(asking: Any, messages: Any, **options: Any) -> Iterator[ChatResponse]:
    """The answers by `chat` and by `stream`."""
    for call in (asking.chat, asking.stream):
        yield outcome(call(messages, **options))


def closed(client: Any) -> None:
    """Close it."""
    outcome(client.close())
