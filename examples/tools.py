"""A function that the model calls: at once, with await, and while the answer streams. Run it: python tools.py"""

import asyncio

from llmclients import AsyncClient, Client


def weather(city: str) -> dict:
    """The temperature in a city, now."""
    return {"city": city, "degrees": 4}


QUESTION = "How warm is it in Oslo?"
# A small model on this machine. Larger ones choose a tool by themselves: leave tool_choice out for them.
OPTIONS = {"tools": [weather], "run_tools": True, "tool_choice": "weather", "temperature": 0}


def at_once():
    with Client() as client:
        print(client.chat(QUESTION, **OPTIONS))


async def with_await():
    async with AsyncClient() as client:
        print(await client.chat(QUESTION, **OPTIONS))


def streamed():
    with Client() as client:
        for chunk in client.stream(QUESTION, **OPTIONS):
            if chunk.tool_result:
                print(f"[{chunk.tool_result.name} says {chunk.tool_result.content}]")
            print(chunk, end="", flush=True)
    print()


at_once()
asyncio.run(with_await())
streamed()
