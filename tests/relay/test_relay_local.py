"""End to end, from a client to the embedded model's engine. `llmclients demo` asks the model itself, through each wire.

Here its weights are small ones, and a grammar has them say what is to be heard at the other end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relaytools import PREFIX
from sdks import anthropic_sdk, openai_sdk

from llmclients import AsyncClient, Client, errors
from llmclients.relay import RelayServer

pytestmark = pytest.mark.local

MODEL = "SmolLM2-135M-Instruct"
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


ANSWER = "Paris it is."


@pytest.fixture(autouse=True)
def model(small_model: Path) -> Path:
    return small_model


@pytest.fixture
def url() -> Iterator[str]:
    extra = {"grammar": f'root ::= "{ANSWER}"'}  # llama.cpp's own member
    with RelayServer("local", defaults={"max_tokens": 24, "temperature": 0, "extra": extra}) as relay:
        yield relay.url


@pytest.fixture
def prompt_tokens() -> int | None:
    """What these messages come to when the engine is asked directly: no less and no more may arrive through the relay."""
    with Client() as client:
        usage = client.chat(MESSAGES, max_tokens=1).usage
    assert usage is not None
    return usage.input_tokens


def arguments(url: str, provider: str) -> dict[str, Any]:
    more = {"api_key": "none", "model": MODEL} if provider == "openai" else {}
    return {"provider": provider, "base_url": url + PREFIX[provider], **more}


# --- the official SDKs ------------------------------------------------------------------------------------------------


def test_the_model_answers_openais_sdk_through_both_its_wires(url: str, prompt_tokens: int) -> None:
    question: Any = MESSAGES
    with openai_sdk(url) as client:
        chat = client.chat.completions.create(model=MODEL, messages=question)
        response = client.responses.create(model=MODEL, input=question)
        assert chat.choices[0].message.content == response.output_text == ANSWER
        assert (chat.choices[0].finish_reason, response.status, response.model) == ("stop", "completed", MODEL)
        assert response.usage is not None
        assert response.usage.output_tokens > 1
        assert chat.usage is not None
        assert chat.usage.prompt_tokens == response.usage.input_tokens == prompt_tokens
        with client.responses.stream(model=MODEL, input=question) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert len(pieces) > 1
        assert "".join(pieces) == response.output_text
        with client.chat.completions.stream(model=MODEL, messages=question) as chunks:
            assert chunks.get_final_completion().choices[0].message.content == response.output_text
        short = client.responses.create(model=MODEL, input=question, max_output_tokens=3)
        assert short.incomplete_details is not None
        assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_the_model_answers_anthropics_sdk(url: str, prompt_tokens: int) -> None:
    asked: Any = {"model": MODEL, "max_tokens": 24, "system": MESSAGES[0]["content"], "messages": MESSAGES[1:]}
    with anthropic_sdk(url) as client:
        message = client.messages.create(**asked)
        (block,) = message.content
        assert block.type == "text"
        assert block.text == ANSWER
        assert (message.stop_reason, message.model) == ("end_turn", MODEL)
        assert message.usage.input_tokens == prompt_tokens
        with client.messages.stream(**asked) as stream:
            pieces = list(stream.text_stream)
            assert stream.get_final_message().stop_reason == "end_turn"
        assert len(pieces) > 1
        assert "".join(pieces) == block.text
        assert client.messages.create(**(asked | {"max_tokens": 3})).stop_reason == "max_tokens"
        assert [model.id for model in client.models.list()] == [MODEL]


def test_the_answers_of_chat_completions_name_the_model_that_gave_them(url: str, prompt_tokens: int) -> None:
    for provider in ("openai", "ylokh"):
        with Client(**arguments(url, provider)) as client:
            response = client.chat(MESSAGES, max_tokens=3)
        assert (response.model, response.finish_reason) == (MODEL, "length")
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens) == (prompt_tokens, 3)
    with Client(**arguments(url, "openai")) as client:
        assert client.models() == [MODEL]


def test_a_prompt_that_is_too_long_is_the_clients_error(url: str) -> None:
    with Client(**arguments(url, "yqcloud"), retry=None) as client, pytest.raises(errors.BadRequestError):
        client.chat("word " * 5000)


async def test_many_clients_at_once(url: str) -> None:
    async with AsyncClient(**arguments(url, "yqcloud")) as client:
        responses = await asyncio.gather(*(client.chat(MESSAGES) for _ in range(5)))  # one more than it has slots
    assert [response.text for response in responses] == [ANSWER] * 5


def test_a_relay_without_its_extra_says_how_to_get_it() -> None:
    script = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "import llmclients, llmclients.relay\n"
        "assert not {'starlette', 'requests', 'httpx'} & set(sys.modules), 'loaded too early'\n"
        "try: llmclients.relay.RelayServer\n"
        "except llmclients.ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == 'the relay needs Starlette and uvicorn: pip install "llmclients[relay]"\n'


def test_no_proxy_of_the_environment_stands_before_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "http://127.0.0.1:9")
            with Client() as client:
                assert client.chat(MESSAGES, max_tokens=2, temperature=0).finish_reason == "length", name
