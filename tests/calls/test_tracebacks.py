"""The locals that a traceback shows hold no key: in our frames, and in those of the libraries underneath."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

from llmclients import AsyncClient, Client, ConfigurationError, LLMClientError, RetryPolicy
from llmclients.testing import MockTransport, Reply
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, RESET, FaultServer, Script, chunked, http

SOON = RetryPolicy(attempts=2, initial_wait=0.001)
SIDES = ("sync", "async", "requests.Session", "httpx.AsyncClient")


def key() -> str:
    return "sk-" + "VERYSECRETKEY0123456789"


def shown(error: BaseException) -> set[str]:
    """The variables, by file and function, in which a tool that shows locals would show the key."""
    found, todo = set[str](), [traceback.TracebackException.from_exception(error, capture_locals=True)]
    while todo:
        one = todo.pop()
        todo += [e for e in (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())) if e]
        for frame in one.stack:
            if frame.filename == __file__:  # the caller's own variables are the caller's
                continue
            names = (name for name, value in (frame.locals or {}).items() if key() in value)
            found |= {f"{frame.filename}: {frame.name}: {name}" for name in names}
    return found


def raised_by(side: str, url: str, *, stream: bool = False) -> BaseException:
    """What a call to this server raises."""
    made: dict[str, Any] = {"base_url": url, "trust_env": False, "retry": SOON}

    async def asynchronously() -> None:
        async with httpx.AsyncClient(trust_env=False) as theirs:
            transport = theirs if side == "httpx.AsyncClient" else None
            async with AsyncClient("openai/m", api_key=key(), transport=transport, **made) as client:
                [chunk async for chunk in client.stream("Hi")] if stream else await client.chat("Hi")

    def synchronously() -> None:
        with requests.Session() as theirs:
            transport = theirs if side == "requests.Session" else None
            with Client("openai/m", api_key=key(), transport=transport, **made) as client:
                list(client.stream("Hi")) if stream else client.chat("Hi")

    try:
        asyncio.run(asynchronously()) if side in ("async", "httpx.AsyncClient") else synchronously()
    except BaseException as error:  # noqa: BLE001 - an interrupt is one
        return error
    raise AssertionError("it did not fail")


def event(text: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text.encode()


FAILURES: dict[str, Callable[[], Script]] = {
    "refused": list,
    "reset": lambda: [RESET],
    "not HTTP": lambda: [f"SSH {key()}\r\n\r\n".encode(), END],
    "cut": lambda: [CHUNKED_HEAD + chunked(event(key()), last=False), RESET],
    "an event that repeats the key": lambda: [CHUNKED_HEAD + chunked(event(key()) + f"data: {key()}\n\n".encode())],
    "a refusal that repeats the key": lambda: [http("400 No", [("X-Sent", key())], key().encode())],
}


@pytest.mark.long
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_call_shows_no_key_in_its_locals(side: str, name: str) -> None:
    script = FAILURES[name]()
    for stream in (False, True):
        with FaultServer(script or [END], refuse=not script) as server:
            error = raised_by(side, server.url, stream=stream)
            assert isinstance(error, LLMClientError)
            assert shown(error) == set()
            assert traceback.extract_tb(error.__traceback__)[-1].filename.endswith(".py")  # what stays


@pytest.mark.long
def test_an_interrupted_call_shows_no_key() -> None:
    with FaultServer([HOLD]) as server:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        error = raised_by("sync", server.url)
        timer.join()
        assert isinstance(error, KeyboardInterrupt)
        assert shown(error) == set()


@pytest.mark.long
def test_a_cancelled_call_shows_no_key() -> None:
    async def cancelled(url: str) -> None:
        async with AsyncClient("openai/m", api_key=key(), base_url=url, trust_env=False) as client:
            await asyncio.wait_for(client.chat("Hi"), 0.2)

    with FaultServer([HOLD]) as server, pytest.raises(asyncio.TimeoutError) as caught:
        asyncio.run(cancelled(server.url))
    assert shown(caught.value) == set()


MISTAKES: dict[str, Callable[[], dict[str, Any]]] = {
    "an unknown argument": lambda: {"temprature": 1},
    "no URL": lambda: {"base_url": "nowhere"},
    "no timeout": lambda: {"timeout": -1},
    "a header's value": lambda: {"headers": {"X-A": key() + "\n"}},
    "a header's name": lambda: {"headers": {"X A": key()}},
    "a key that no header carries": lambda: {"api_key": key() + "\x01"},
    "no transport": lambda: {"transport": object()},
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_constructor_that_fails_shows_no_key(kind: type[Any], name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind("openai/m", **({"api_key": key()} | MISTAKES[name]()))
    assert shown(caught.value) == set()


def test_a_request_that_cannot_be_made_shows_no_key() -> None:
    for provider in ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama"):
        client = Client(provider, model="m", api_key=key(), base_url="http://host.test", transport=MockTransport())
        with pytest.raises(ConfigurationError) as caught:
            client.chat("Hi", extra={"a": float("nan")})
        assert shown(caught.value) == set()


def test_the_frames_of_the_callers_own_error_are_left_alone() -> None:
    def failing() -> None:
        mine = "mine"
        raise ValueError(mine)

    def letters() -> Iterator[str]:
        try:
            failing()
        except ValueError as error:
            yield str(error)
            yield "still here"

    running = letters()
    first = next(running)
    try:
        failing()
    except ValueError:
        with pytest.raises(LLMClientError) as caught:
            Client("openai/m", api_key=key(), transport=MockTransport([Reply(400)])).chat(first)
    context: BaseException | None = caught.value
    while context is not None and not isinstance(context, ValueError):
        context = context.__context__

    assert next(running) == "still here"
    assert context is not None
    assert "mine = 'mine'" in "".join(
        traceback.TracebackException.from_exception(context, capture_locals=True).format()
    )
