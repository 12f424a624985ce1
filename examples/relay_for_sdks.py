"""OpenAI's and Anthropic's packages, answered by a model on this machine. Run it: python relay_for_sdks.py"""

from anthropic import Anthropic
from openai import OpenAI

from llmclients.relay import RelayServer

QUESTION = [{"role": "user", "content": "Name the capital of Italy."}]

with RelayServer(defaults={"temperature": 0}) as relay:  # or RelayServer("gemini/gemini-2.5-flash")
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key="none") as client:
        completion = client.chat.completions.create(model="any", messages=QUESTION)
        print(completion.choices[0].message.content)

    with Anthropic(base_url=f"{relay.url}/anthropic", api_key="none") as client:
        message = client.messages.create(model="any", messages=QUESTION, max_tokens=40)
        print(message.content[0].text)
