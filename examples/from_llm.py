"""One program, with llm and with llmclients. Run it: python from_llm.py"""

from pydantic import BaseModel


class River(BaseModel):
    name: str
    km: float


def before():
    import llm

    conversation = llm.get_model("gpt-4.1-mini").conversation()
    print(conversation.prompt("Which is the longest river?", system="Be brief.", temperature=0).text())
    for text in conversation.prompt("And the second?", stream=True):
        print(text, end="", flush=True)
    print()

    response = llm.get_model("gpt-4.1-mini").prompt("The Nile has 6650 km.", schema=River)
    print(River.model_validate_json(response.text()).km)


def after():
    from llmclients import Client

    with Client("openai/gpt-4.1-mini") as client:
        conversation = client.conversation("Be brief.")
        print(conversation.chat("Which is the longest river?", temperature=0))
        for text in conversation.stream("And the second?").text_stream:
            print(text, end="", flush=True)
        print()

        print(client.chat("The Nile has 6650 km.", response_format=River).parsed.km)


if __name__ == "__main__":
    before()
    after()
