"""The mistakes that a type checker is to find: on each marked line, and on no other. Never run."""

from __future__ import annotations

from pydantic import BaseModel

from llmclients import AsyncClient, AsyncConversation, ChatOptions, Client, Conversation, Message, ProviderName


class Invoice(BaseModel):
    total: float


def weather(city: str) -> str:
    return f"Rain in {city}"


def ask(client: Client) -> None:
    client.chat("Hi", temprature=0)  # wrong: a misspelt option
    client.chat("Hi", temperature="hot")  # wrong
    client.chat("Hi", max_tokens="many")  # wrong
    client.chat("Hi", tools=weather)  # wrong: no list
    client.chat("Hi", stream=True)  # wrong: that is client.stream()
    client.chat([{"rol": "user", "content": "Hi"}])  # wrong
    client.chat(None)  # wrong
    client.chat(b"Hi")  # wrong
    client.chat(Message("usr", "Hi"))  # wrong


provider: ProviderName = "opnai"  # wrong: there is none


def ask_further(client: Client) -> None:
    client.chat({"rol": "user", "content": "Hi"})  # wrong
    client.chat({"role": "usr", "content": "Hi"})  # wrong
    client.chat(["Hi", {"role": "user", "content": 5}])  # wrong
    client.chat(["Hi", None])  # wrong
    client.chat("Hi", tools=["weather"])  # wrong: names
    client.chat("Hi", tools="weather")  # wrong
    client.chat("Hi", top_k="few")  # wrong
    client.chat("Hi", cache_control="2h")  # wrong
    client.chat("Hi", response_format="jsn")  # wrong
    client.chat("Hi", response_format=Invoice(total=1))  # wrong: the type is meant
    print(client.chat("Hi", response_format=Invoice).parsed.totl)  # wrong
    client.chat("Hi", run_tools="yes")  # wrong
    shared: ChatOptions = {"temprature": 0}  # wrong
    client.chat("Hi", **shared)
    Client("openai", modell="gpt-4.1-mini")  # wrong
    Client("openai", defaults={"temprature": 0})  # wrong
    Client("openai", defaults={"temperature": "hot"})  # wrong
    client.with_options(defaults={"temprature": 0})  # wrong
    print(client.chat("Hi")[0])  # wrong: its text is in .text
    for character in client.chat("Hi"):  # wrong
        print(character)


def ask_many(client: Client) -> None:
    client.map(["Hi"], temprature=0)  # wrong
    client.map(["Hi"], temperature="hot")  # wrong
    client.map(["Hi"], max_tokens="many")  # wrong
    client.map(["Hi"], tools=weather)  # wrong: no list
    client.map(["Hi"], stream=True)  # wrong
    client.map([{"rol": "user", "content": "Hi"}])  # wrong
    client.map(None)  # wrong
    client.map([b"Hi"])  # wrong
    client.map([Message("usr", "Hi")])  # wrong
    client.map(["Hi"], concurrency="few")  # wrong
    client.map()  # wrong


def change(client: Client) -> None:
    client.with_options(temperature=0)  # wrong: an option of a call
    client.with_options(timeout="long")  # wrong
    client.conversation(temprature=0)  # wrong
    client.conversation(tools=weather)  # wrong


def read(client: Client) -> None:
    client.stream("Hi", temprature=0)  # wrong
    client.stream("Hi", temperature="hot")  # wrong
    client.stream([{"rol": "user", "content": "Hi"}])  # wrong
    client.stream("Hi", restart="yes")  # wrong
    for invoice in client.stream("Hi", response_format=list[Invoice]).objects():
        print(invoice.totl)  # wrong
    print(client.stream("Hi", response_format=Invoice).response.parsed.totl)  # wrong


def talk(conversation: Conversation) -> None:
    conversation.chat("Hi", temprature=0)  # wrong
    conversation.chat("Hi", max_tokens="many")  # wrong
    conversation.chat(None)  # wrong
    print(conversation.chat("Hi", response_format=Invoice).parsed.totl)  # wrong
    conversation.stream("Hi", temprature=0)  # wrong
    print(conversation.stream("Hi", response_format=Invoice).response.parsed.totl)  # wrong


async def ask_async(client: AsyncClient, conversation: AsyncConversation) -> None:
    await client.chat("Hi", temprature=0)  # wrong
    await client.chat("Hi", temperature="hot")  # wrong
    await client.chat([{"rol": "user", "content": "Hi"}])  # wrong
    print((await client.chat("Hi", response_format=Invoice)).parsed.totl)  # wrong
    client.stream("Hi", temprature=0)  # wrong
    print(client.stream("Hi", response_format=Invoice).response.parsed.totl)  # wrong
    async for invoice in client.stream("Hi", response_format=list[Invoice]).objects():
        print(invoice.totl)  # wrong
    await conversation.chat("Hi", temprature=0)  # wrong
    print((await conversation.chat("Hi", response_format=Invoice)).parsed.totl)  # wrong
    conversation.stream("Hi", temprature=0)  # wrong
    print(conversation.stream("Hi", response_format=Invoice).response.parsed.totl)  # wrong
    client.map(["Hi"], temprature=0)  # wrong
    client.map([{"rol": "user", "content": "Hi"}])  # wrong
    client.conversation(temprature=0)  # wrong
