"""One program, with gpt4free and with llmclients. Run it: python from_gpt4free.py"""

MESSAGES = [{"role": "user", "content": "Which is the longest river?"}]


def before():
    from g4f.client import Client
    from g4f.Provider import Yqcloud

    client = Client(provider=Yqcloud)
    response = client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    print(response.choices[0].message.content)

    for chunk in client.chat.completions.create(model="gpt-4", messages=MESSAGES, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


def after():
    from llmclients import Client

    # Services that others run for free come and go: a model on this machine stands in.
    with Client("yqcloud", fallback=["local"]) as client:
        print(client.chat(MESSAGES))

        for text in client.stream(MESSAGES).text_stream:
            print(text, end="", flush=True)
    print()


if __name__ == "__main__":
    before()
    after()
