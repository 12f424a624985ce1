"""One program, with openai and with llmclients. Run it: python from_openai.py"""

from pydantic import BaseModel

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which is the longest river?"}]


class River(BaseModel):
    name: str
    km: float


def before():
    from openai import APIError, OpenAI

    client = OpenAI(timeout=30, max_retries=4)
    try:
        completion = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, temperature=0)
        print(completion.choices[0].message.content, completion.usage.total_tokens)

        for chunk in client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
        print()

        completion = client.chat.completions.parse(model="gpt-4.1-mini", messages=MESSAGES, response_format=River)
        print(completion.choices[0].message.parsed.km)
    except APIError as error:
        print("no answer:", error)
    client.close()


def after():
    from llmclients import APIError, Client

    client = Client("openai/gpt-4.1-mini", timeout=30, retry=5)
    try:
        response = client.chat(MESSAGES, temperature=0)
        print(response, response.usage.total_tokens)

        for text in client.stream(MESSAGES).text_stream:
            print(text, end="", flush=True)
        print()

        print(client.chat(MESSAGES, response_format=River).parsed.km)
    except APIError as error:
        print("no answer:", error)
    client.close()


if __name__ == "__main__":
    before()
    after()
