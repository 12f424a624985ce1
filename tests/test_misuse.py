"""What people write by mistake with clients and streams: each is refused with the words to write instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmclients import AsyncClient, Client
from llmclients.testing import MockTransport, Reply


def clients() -> tuple[Any, Any]:
    return Client("yqcloud", transport=MockTransport([Reply(body=b"Hi")])), AsyncClient(
        "yqcloud", transport=MockTransport([Reply(body=b"Hi")])
    )


def test_a_client_or_a_stream_used_as_the_other_kind_says_what_to_write() -> None:
    client, async_client = clients()
    for value, words in (
        (async_client, "an AsyncClient needs `async with`: for `with`, take Client"),
        (async_client.stream("Hi"), "an AsyncStream needs `async with`"),
    ):
        with pytest.raises(TypeError, match=words), value:
            pass
    with pytest.raises(TypeError, match="needs `async for chunk in stream`, not `for`"):
        list(async_client.stream("Hi"))

    async def mistakes() -> None:
        for value, words in (
            (client, "a Client needs `with`: for `async with`"),
            (client.stream("Hi"), "write `with`"),
        ):
            with pytest.raises(TypeError, match=words):
                async with value:
                    pass
        with pytest.raises(TypeError, match="write `async for chunk in client"):
            await async_client.stream("Hi")
        with pytest.raises(TypeError, match="write `for chunk in stream`"):
            await client.stream("Hi")
        assert [chunk.text async for chunk in async_client.stream("Hi")] == ["Hi", ""]

    asyncio.run(mistakes())
    assert "".join(map(str, client.stream("Hi"))) == "Hi"


def test_a_text_is_not_looked_for_in_a_stream() -> None:
    for client in clients():
        stream = client.stream("Hi")
        with pytest.raises(TypeError, match="look for the text in its `response`"):
            assert "Hi" in stream
        assert stream.response.text == ""
