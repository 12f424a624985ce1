"""`stream.open()` and `stream.text_stream`, of both clients: what a refusal, a break and an early end do to them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from llmclients import (
    APIConnectionError,
    APIError,
    AsyncClient,
    AsyncStream,
    AuthenticationError,
    Client,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
    Stream,
    StreamInterruptedError,
)
from llmclients.testing import ConnectFault, Cut, FaultServer, MockTransport, Reply
from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, wait_until

KINDS: list[Callable[..., Any]] = [Client, AsyncClient]
both = pytest.mark.parametrize("kind", KINDS)


async def opened(stream: Any) -> Any:
    """The stream, once it is open; whichever client's it is."""
    opening = stream.open()
    return opening if isinstance(stream, Stream) else await opening


async def read(iterator: Any) -> list[Any]:
    return [item async for item in iterator] if hasattr(iterator, "__aiter__") else list(iterator)


async def closed(thing: Any) -> None:
    closing = thing.close()
    if isinstance(thing, AsyncStream | AsyncClient):
        await closing


def asked(kind: Callable[..., Any], *script: Any, **options: Any) -> tuple[Any, MockTransport]:
    mock = MockTransport(list(script))
    return kind("openai/m", api_key="-", transport=mock, **options), mock


REFUSALS: list[tuple[list[Any], type[APIError], int]] = [
    ([Reply.error(401, "no such key")], AuthenticationError, 1),
    ([Reply.error(429, "slow down", retry_after=1)] * 3, RateLimitError, 3),
    ([ConnectFault()] * 3, APIConnectionError, 3),
    ([Reply.error(503), Reply.error(401, "no such key")], AuthenticationError, 2),
]


@both
async def test_a_refusal_is_raised_by_open_after_the_retries(kind: Callable[..., Any]) -> None:
    for script, expected, requests in REFUSALS:
        client, mock = asked(kind, *script)
        stream = client.stream("Hi")
        with pytest.raises(expected) as caught:
            await opened(stream)
        assert (len(mock.requests), mock.open_exchanges) == (requests, 0)
        assert len(caught.value.previous_errors) == requests - 1
        assert caught.value.provider == "openai"
        with pytest.raises(StreamInterruptedError, match="closed before its end"):
            await opened(stream)


@both
async def test_open_sends_now_and_once_and_loses_nothing(kind: Callable[..., Any]) -> None:
    client, mock = asked(kind, Reply.error(503), Reply.stream("Hel", "lo"))
    stream = client.stream("Hi")
    assert not mock.requests
    assert await opened(stream) is stream
    assert len(mock.requests) == 2
    assert repr(stream).startswith(f"{type(stream).__name__}(open, ")
    assert stream.response.text == ""
    await opened(stream)
    chunks = [await anext(stream) if isinstance(stream, AsyncStream) else next(stream)]
    await opened(stream)
    chunks += await read(stream)
    await opened(stream)  # has ended well
    assert await read(stream) == []
    assert "".join(map(str, chunks)) == stream.response.text == "Hello"
    assert stream.response.finish_reason == "stop"
    assert (len(mock.requests), mock.open_exchanges) == (2, 0)


@both
async def test_the_head_is_enough_and_closing_or_dropping_frees_the_connection(kind: Callable[..., Any]) -> None:
    with FaultServer([CHUNKED_HEAD, HOLD]) as server:  # no piece of the answer ever comes
        client = kind("yqcloud", base_url=server.url, trust_env=False, retry=1)
        gc.disable()  # nothing waits for the collector
        try:
            for leave in ("close", "drop"):
                stream = await asyncio.wait_for(opened(client.stream("Hi")), 5)
                assert server.open_exchanges() == 1
                if leave == "close":
                    await closed(stream)
                    with pytest.raises(StreamInterruptedError, match="closed before its end"):
                        await read(stream)
                call = weakref.ref(stream._call)
                del stream
                await asyncio.sleep(0)  # the loop closes the socket in its next turn
                assert call() is None
                assert await asyncio.to_thread(server.wait_for, 0)
        finally:
            gc.enable()
        await closed(client)


@both
async def test_a_break_before_the_first_chunk_is_tried_again_while_iterating(kind: Callable[..., Any]) -> None:
    client, mock = asked(kind, Reply(chunks=[Cut()]), Reply.stream("Hello"))
    stream = await opened(client.stream("Hi"))
    assert len(mock.requests) == 1
    assert await read(stream.text_stream) == ["Hello"]
    assert len(mock.requests) == 2

    client, mock = asked(kind, Reply(chunks=[Cut()]), Reply.error(401, "no such key"))
    stream = await opened(client.stream("Hi"))
    with pytest.raises(AuthenticationError):
        await read(stream)


@both
async def test_open_asks_the_providers_to_fall_back_on(
    kind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "-")
    client, mock = asked(kind, Reply.error(500), Reply.stream("Hello"), retry=1, fallback=["yqcloud"])
    stream = await opened(client.stream("Hi"))
    assert [request.provider for request in mock.requests] == ["openai", "yqcloud"]
    assert await read(stream.text_stream) == ["Hello"]
    assert stream.response.provider == "yqcloud"

    client, mock = asked(kind, Reply.error(500), Reply.error(500), retry=1, fallback=["yqcloud"])
    with pytest.raises(InternalServerError):
        await opened(client.stream("Hi"))
    assert len(mock.requests) == 2


@both
async def test_text_is_new_and_never_empty(kind: Callable[..., Any]) -> None:
    client, _ = asked(kind, *[Reply.stream("Hel", "", "lo")] * 3)
    chunks = await read(client.stream("Hi"))
    assert any(not chunk.text for chunk in chunks)  # a role, a finish reason
    stream = client.stream("Hi")
    assert await read(stream.text_stream) == ["Hel", "lo"]
    assert stream.response.finish_reason == "stop"

    conversation = client.conversation()
    stream = await opened(conversation.stream("Hi"))
    assert await read(stream.text_stream) == ["Hel", "lo"]
    assert [message.text for message in conversation.messages] == ["Hi", "Hello"]


@both
async def test_a_break_is_told_to_who_reads_the_text(kind: Callable[..., Any]) -> None:
    client, mock = asked(kind, Reply.stream("Hel", Cut()))
    stream = client.stream("Hi")
    texts = stream.text_stream
    assert (await anext(texts) if kind is AsyncClient else next(texts)) == "Hel"
    with pytest.raises(StreamInterruptedError) as caught:
        await read(texts)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"
    assert mock.open_exchanges == 0


@both
async def test_text_that_may_be_taken_back_is_refused(kind: Callable[..., Any]) -> None:
    client, mock = asked(kind)
    with pytest.raises(InvalidRequestError, match="text_stream cannot take back"):
        _ = client.stream("Hi", restart=True).text_stream
    assert not mock.requests


@both
async def test_text_that_is_left_early_frees_the_connection(kind: Callable[..., Any]) -> None:
    client, mock = asked(kind, Reply.stream("Hel", "lo"))
    texts = client.stream("Hi").text_stream  # nothing else holds the stream
    assert (await anext(texts) if kind is AsyncClient else next(texts)) == "Hel"
    assert mock.open_exchanges == 1
    del texts
    assert mock.open_exchanges == 0


async def test_async_with_opens_and_closes() -> None:
    client, mock = asked(AsyncClient, Reply.stream("Hel", "lo"), Reply.error(401, "no such key"))
    async with client.stream("Hi").open() as stream:
        assert isinstance(stream, AsyncStream)
        assert await anext(stream.text_stream) == "Hel"
    assert mock.open_exchanges == 0
    with pytest.raises(AuthenticationError):
        async with client.stream("Hi").open():
            raise AssertionError("this is not reached")


def test_with_opens_and_closes() -> None:
    client, mock = asked(Client, Reply.stream("Hel", "lo"))
    with client.stream("Hi").open() as stream:
        assert next(stream.text_stream) == "Hel"
    assert mock.open_exchanges == 0


async def test_an_open_that_nobody_awaits_is_seen() -> None:
    client, _ = asked(AsyncClient, Reply.stream("Hello"))
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        client.stream("Hi").open()


async def test_a_cancelled_open_frees_the_connection() -> None:
    with FaultServer([HOLD]) as server:
        async with AsyncClient("yqcloud", base_url=server.url, trust_env=False, retry=1) as client:
            task = asyncio.ensure_future(opened(client.stream("Hi")))
            assert await asyncio.to_thread(wait_until, lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.wait_for, 0)


@both
async def test_a_stream_that_is_closed_while_it_opens_does_not_stay_open(kind: Callable[..., Any]) -> None:
    def reply(request: Any) -> Reply:
        stream._driver.close() if isinstance(stream, Stream) else stream._driver.abort()  # as another thread would
        return Reply.stream("Hello")

    mock = MockTransport(reply)
    stream = kind("openai/m", api_key="-", transport=mock).stream("Hi")
    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        await opened(stream)
    assert mock.open_exchanges == 0
