"""One call over either client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmclients import AsyncClient, Client
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import APIError

both = pytest.mark.parametrize("side", ["sync", "async"])


def talk(side: str, url: str, **options: Any) -> str:
    """What `chat` and `stream` say, which is to be the same."""
    retry = RetryPolicy(attempts=2, initial_wait=0.001)
    arguments = {"base_url": url, "timeout": Timeout(connect=10, read=10), "retry": retry, **options}
    if side == "async":
        return asyncio.run(_talk(arguments))
    with Client("yqcloud", **arguments) as client:
        text = client.chat("Name a river.").text
        assert "".join(chunk.text for chunk in client.stream("Name a river.")) == text
    return text


async def _talk(arguments: dict[str, Any]) -> str:
    async with AsyncClient("yqcloud", **arguments) as client:
        text = (await client.chat("Name a river.")).text
        assert "".join([chunk.text async for chunk in client.stream("Name a river.")]) == text
    return text


def failure(side: str, url: str, **options: Any) -> APIError:
    """The error instead."""
    with pytest.raises(APIError) as caught:
        talk(side, url, **options)
    return caught.value


def everything_said(error: BaseException) -> str:
    """All that a log or a traceback would show of an error and its causes."""
    import traceback

    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
