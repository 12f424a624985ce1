"""One program, with litellm and with llmclients. Run it: python from_litellm.py"""

MESSAGES = [{"role": "user", "content": "Which is the longest river?"}]
SPARE = "anthropic/claude-haiku-4-5"


def before():
    from litellm import completion

    response = completion("openai/gpt-4.1-mini", MESSAGES, temperature=0, num_retries=2, fallbacks=[SPARE])
    print(response.choices[0].message.content, response.usage.total_tokens)

    for chunk in completion("openai/gpt-4.1-mini", MESSAGES, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


def after():
    from llmclients import Client

    with Client("openai/gpt-4.1-mini", retry=3, fallback=[SPARE]) as client:
        response = client.chat(MESSAGES, temperature=0)
        print(response, response.usage.total_tokens)

        for text in client.stream(MESSAGES).text_stream:
            print(text, end="", flush=True)
    print()


if __name__ == "__main__":
    before()
    after()
