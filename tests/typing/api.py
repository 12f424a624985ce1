"""The public interface as users write it. Checked by `mypy --strict`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import httpx
import requests
from typing_extensions import assert_type

import llmclients
from llmclients import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    AsyncConversation,
    AsyncStream,
    ChatRequest,
    ChatResponse,
    Chunk,
    Client,
    ConfigurationError,
    Conversation,
    LLMClientError,
    Message,
    PartialToolCall,
    Provider,
    Proxy,
    RateLimitError,
    RetryPolicy,
    Stream,
    TextPart,
    Timeout,
    ToolCall,
    Turn,
    Usage,
    provider_names,
    register_provider,
)


def ask() -> str:
    client = Client("ylokh")
    response = client.chat("Hello!")
    assert_type(response, ChatResponse)
    assert_type(response.text, str)
    assert_type(response.message, Message)
    assert_type(response.usage, Usage | None)
    assert_type(response.tool_calls, list[ToolCall])
    assert_type(
        response.finish_reason, Literal["stop", "length", "tool_calls", "content_filter", "pause", "error"] | None
    )
    if response.usage is not None:
        assert_type(response.usage.input_tokens, int | None)
        assert_type(response.usage + response.usage, Usage)
        assert_type(response.usage + None, Usage)
    assert_type(response + "!", str)
    assert_type("!" + response, str)
    assert_type("hi" in response, bool)
    assert_type(response == "hi", bool)
    assert_type(len(response), int)
    return str(response)


def ask_in_every_way(client: Client) -> None:
    client.chat(Message("user", "Hi"))
    client.chat(Message(role="user", content=[TextPart(text="Hi")]))
    client.chat(Message("user", [{"type": "text", "text": "Hi"}]))
    client.chat({"role": "user", "content": "Hi"})
    client.chat([{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hi"}])
    client.chat([Message("system", "Be terse."), "Hi", {"role": "user", "content": "Hi"}])
    client.chat(("Hi", "again"), model="gpt-4", temperature=0.2, max_tokens=5, stop=["END"], extra={"n": 1})
    client.chat(5)  # type: ignore[arg-type]
    client.chat()  # type: ignore[call-arg]
    client.chat("Hi", system="Be terse.", timeout=5, headers={"X-A": "b"}, retry=None)
    client.chat("Hi", retry="often")  # type: ignore[arg-type]
    assert_type(client.with_options(timeout=Timeout(5), retry=2, defaults={"seed": 1}), Client)
    client.with_options(proxy=None)  # type: ignore[call-arg]
    Client("openai/m", fallback=["local", client], defaults={"temperature": 0})
    Client("openai/m", fallback=[5])  # type: ignore[list-item]
    assert_type(client.chat("Hi").headers.get("x-request-id"), str | None)
    Message("user", ["Look:", TextPart(text="Hi"), {"type": "image", "url": "https://a.example/b.png"}])
    Message("robot", "Hi")  # type: ignore[arg-type]
    Message("user", 5)  # type: ignore[arg-type]


def read(client: Client) -> None:
    for chunk in client.stream([{"role": "user", "content": "Tell me a story"}]):
        assert_type(chunk, Chunk)
        assert_type(chunk.text, str)
        assert_type(chunk.reasoning, str | None)
        print(chunk, end="", flush=True)
    with client.stream("…", restart=False) as stream:
        assert_type(stream, Stream)
        assert_type(next(stream), Chunk)
        assert_type(list(stream), list[Chunk])
    assert_type(stream.response, ChatResponse)
    assert_type(stream.objects(), Iterator[Any])
    assert_type(stream.partial_tool_calls, list[PartialToolCall])
    assert_type(stream.partial, Any)
    stream.close()


def talk(client: Client) -> None:
    conversation = client.conversation(system="Be terse.", model="gpt-4")
    assert_type(conversation, Conversation)
    assert_type(conversation.chat("Hi"), ChatResponse)
    assert_type(conversation.stream("Hi"), Stream)
    assert_type(conversation.messages, list[Message])
    assert_type(conversation.turns, list[Turn])
    assert_type(conversation.usage, Usage)
    assert_type(conversation.copy(), Conversation)
    client.conversation(messages=["Hi", {"role": "assistant", "content": "Hello!"}])
    saved = conversation.model_dump_json()
    assert_type(saved, str)
    loaded = Conversation.model_validate_json(saved)
    assert_type(loaded, Conversation)
    assert_type(loaded.bind(client), Conversation)
    assert_type(loaded.bind(AsyncClient()), AsyncConversation)


async def ask_async() -> None:
    async with AsyncClient("yqcloud") as client:
        assert_type(client, AsyncClient)
        assert_type(await client.chat("Hello!"), ChatResponse)
        async for chunk in client.stream("Hello!"):
            assert_type(chunk, Chunk)
        async with client.stream("Hello!") as stream:
            assert_type(stream, AsyncStream)
            assert_type(await stream.__anext__(), Chunk)
        assert_type(stream.response, ChatResponse)
        assert_type(stream.objects(), AsyncIterator[Any])
        await stream.close()
        assert_type(await client.models(), list[str])
        conversation = client.conversation()
        assert_type(conversation, AsyncConversation)
        assert_type(await conversation.chat("Hi"), ChatResponse)
        assert_type(conversation.stream("Hi"), AsyncStream)


def configure(session: requests.Session, peer: httpx.AsyncClient) -> None:
    with Client(
        "openai/gpt-4.1-mini",
        api_key="…",
        base_url="http://127.0.0.1:8080/v1",
        headers={"X-A": "1"},
        timeout=Timeout(connect=5, read=60, total=300),
        retry=RetryPolicy(attempts=5, max_wait=30),
        proxy="socks5h://127.0.0.1:1080",
        trust_env=False,
        verify="ca.pem",
        cert=("client.pem", Path("client.key")),
        max_response_bytes=1024,
    ) as client:
        assert_type(client, Client)
        assert_type(client.models(), list[str])
    Client(timeout=5, retry=None, proxy=False)
    Client(timeout=0.5, retry=2, proxy=Proxy("http://proxy:3128"), transport=session)
    AsyncClient(timeout=None, retry=1, transport=peer)
    Client(transport=peer)  # type: ignore[arg-type]
    AsyncClient(transport=session)  # type: ignore[arg-type]
    Client(nonsense=1)  # type: ignore[call-arg]


def fail(client: Client) -> None:
    try:
        client.chat("Hi")
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.headers, Mapping[str, str])
    except APIStatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.body, Any)
    except APITimeoutError as error:
        assert_type(error.phase, Literal["connect", "read", "write", "total"])
    except APIError as error:
        assert_type(error.partial, ChatResponse | None)
        assert_type(error.retryable, bool)
        assert_type(error.provider, str | None)
    except ConfigurationError as error:
        assert_type(error.argument, str | None)
    except LLMClientError:
        raise


def build() -> ChatRequest:
    register_provider(Provider("mine", "my_package:MyCodec", "https://mine.example/v1", aliases=("my",)))
    assert_type(provider_names(), list[str])
    assert_type(llmclients.__version__, str)
    request = ChatRequest(messages=[Message("user", "Hi")], temperature=0.2)
    assert_type(ChatRequest.from_messages("Hi", temperature=0.2), ChatRequest)
    assert_type(ChatRequest.model_validate_json("{}"), ChatRequest)
    assert_type(request.messages, list[Message])
    return request
