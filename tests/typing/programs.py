"""Right programs, in which a type checker finds nothing: options, messages and typed answers. Never run."""

# pyright: strict

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict, assert_type

from llmclients import (
    AsyncClient,
    AsyncConversation,
    AsyncStream,
    ChatOptions,
    ChatResponse,
    Client,
    Conversation,
    Message,
    MessageDict,
    ProviderName,
    Stream,
    Tool,
)


class Invoice(BaseModel):
    total: float


class Receipt(BaseModel):
    paid: float


class Point(TypedDict):
    x: int


@dataclass
class Line:
    text: str


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


def clients() -> None:
    Client()
    Client("openai")
    Client("openai/gpt-4.1-mini")
    Client("mine")  # a provider that a package brings
    Client(sys.argv[1])
    AsyncClient("anthropic", model="claude-sonnet-4-5")
    name: ProviderName = "gemini"
    Client(name)


def answers(client: Client) -> None:
    assert_type(client.chat("Hi", response_format=Invoice), ChatResponse[Invoice])
    assert_type(client.chat("Hi", response_format=Invoice).parsed, Invoice)
    assert_type(client.chat("Hi", response_format=Invoice).parsed.total, float)
    assert_type(client.chat("Hi", response_format=list[Invoice]).parsed, list[Invoice])
    assert_type(client.chat("Hi", response_format=dict[str, int]).parsed, dict[str, int])
    assert_type(client.chat("Hi", response_format=Point).parsed, Point)
    assert_type(client.chat("Hi", response_format=Line, temperature=0).parsed, Line)
    assert_type(client.chat("Hi", response_format=bool).parsed, bool)
    assert_type(client.chat("Hi", response_format=TypeAdapter(list[Invoice])).parsed, list[Invoice])
    # No types to a checker, or none that is known before the answer.
    assert_type(client.chat("Hi", response_format=Literal["paid", "due"]).parsed, Any)
    client.chat("Hi", response_format=Invoice | Receipt)
    either = TypeAdapter[Invoice | Receipt](Invoice | Receipt)
    assert_type(client.chat("Hi", response_format=either).parsed, Invoice | Receipt)
    assert_type(client.chat("Hi", response_format="json").parsed, Any)
    assert_type(client.chat("Hi", response_format={"type": "object"}).parsed, Any)
    assert_type(client.chat("Hi", response_format=None), ChatResponse)
    assert_type(client.chat("Hi"), ChatResponse)


def show(response: ChatResponse) -> str:
    return f"{response.text} ({response.provider})"


def total(response: ChatResponse[Invoice]) -> float:
    return response.parsed.total


def hand_on(client: Client, response: ChatResponse[BaseModel]) -> None:
    show(client.chat("Hi"))
    show(client.chat("Hi", response_format=Invoice))
    total(client.chat("Hi", response_format=Invoice))
    total(ChatResponse(text="", parsed=Invoice(total=1)))
    hand_on(client, client.chat("Hi", response_format=Invoice))


def streams(client: Client) -> None:
    assert_type(client.stream("Hi"), Stream)
    with client.stream("Hi", response_format=list[Invoice], restart=False) as stream:
        assert_type(stream, Stream[list[Invoice]])
        assert_type(stream.objects(), Iterator[Invoice])
    assert_type(stream.response.parsed, list[Invoice])
    assert_type(client.stream("Hi", response_format=Invoice).objects(), Iterator[Invoice])
    assert_type(client.stream("Hi", response_format="json").response, ChatResponse)


def talk(conversation: Conversation) -> None:
    assert_type(conversation.chat("Hi", temperature=0), ChatResponse)
    assert_type(conversation.chat("Hi", response_format=Invoice).parsed, Invoice)
    assert_type(conversation.stream("Hi", response_format=list[Invoice]).objects(), Iterator[Invoice])


async def ask_async(client: AsyncClient, conversation: AsyncConversation) -> None:
    assert_type((await client.chat("Hi", response_format=Invoice)).parsed, Invoice)
    async with client.stream("Hi", response_format=list[Invoice]) as stream:
        assert_type(stream, AsyncStream[list[Invoice]])
        assert_type(stream.objects(), AsyncIterator[Invoice])
    assert_type((await conversation.chat("Hi", response_format=Invoice)).parsed, Invoice)
    assert_type(conversation.stream("Hi", response_format=Invoice).response.parsed, Invoice)


def parrot(*, mood: str = "cheerful") -> dict[str, Any]:
    return {"mood": mood}


def options(client: Client) -> ChatResponse:
    client.chat("Hi", temperature=0, top_p=0.5, max_tokens=5, stop=["END"], seed=1, extra={"n": 1})
    client.chat("Hi", temperature=None, stop="END", top_k=5, thinking="adaptive", cache_control="1h")
    client.chat("Hi", tools=[weather, Invoice, Tool("f"), {"name": "g", "parameters": {}}], tool_choice="weather")
    client.chat("Hi", run_tools=True, max_turns=3, tools=(weather,), tool_choice={"type": "function"})
    brief: ChatOptions = {"temperature": 0, "max_tokens": 5}
    client.chat("Hi", **brief)
    client.stream("Hi", **brief)
    invoice: ChatOptions[Invoice] = {"temperature": 0, "response_format": Invoice}
    assert_type(client.chat("Hi", **invoice).parsed, Invoice)
    # Options that nobody knows here: of a codec of one's own, or read from a file.
    client.chat("Hi", max_tokens=5, **parrot(mood="grumpy"))
    client.chat("Hi", temperature=0, **cast(Any, {"mood": "grumpy"}))
    return client.chat("Hi", **json.loads("{}"))


def messages(client: Client, saved: list[Message]) -> None:
    client.chat("Hi")
    client.chat(["Be brief.", "Hi"])
    client.chat(("Hi", Message("assistant", "Hello!"), {"role": "user", "content": "How are you?"}))
    client.chat({"role": "user", "content": "Hi"})
    client.chat({"role": "user", "content": ["Look:", {"type": "image", "url": "https://a.example/b.png"}]})
    client.chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    client.chat({"role": "tool", "content": "5", "tool_call_id": "call_1", "is_error": False})
    client.chat(saved)
    client.chat([*saved, {"role": "user", "content": "Hi"}])
    client.chat(json.loads("[]"))
    history: list[MessageDict] = [{"role": "user", "content": "Hi"}]
    history.append({"role": "assistant", "content": client.chat(history).text})
    client.conversation(messages=history)
