"""What is said of an argument that is none where it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tables import table

from llmclients import AsyncClient, Client, ConfigurationError
from llmclients.config.hints import hint_for
from llmclients.providers.registry import find_provider, provider_names
from llmclients.testing import MockTransport

OF_CLIENT = "it is an argument of the client, Client(…, {}=…)"
OF_TURN = "it is an argument of each turn, conversation.chat(…, {}=…)"
OF_CALL = "it is an option of a call, client.chat(…, {0}=…), or of all, defaults={{'{0}': …}}"
RENAMED = "it is called '{}' here"
VIEW = "a view shares its client's connections: make a new client for another {}"
STREAM = "client.stream(…) gives the answer piece by piece, client.chat(…) the whole one"
RETRY = "give retry=, how many attempts there are in all: max_retries=2 is retry=3, and 0 is retry=None"
PROMPT = "what to ask is the first argument, as in client.chat('Hello!')"
EXTRA = "a call sends it as extra={{'{}': …}}, if the server takes it"
SYSTEM = "it is an argument of a call, client.chat(…, system=…), and of client.conversation(…, system=…)"
OF_MAP = "it is an argument of client.map(…, {}=…)"
PROMPTS = "what to ask is the first argument, as in client.map(['Hello!', 'Hi!'])"
ALL = ("call", "turn", "conversation", "client", "view")
CALLS = ("call", "turn", "conversation")
EVERYWHERE = (*ALL, "map")

HINTS: list[tuple[str, tuple[str, ...], str]] = [
    ("stream", EVERYWHERE, STREAM),
    ("system", ("client", "view"), SYSTEM),
    ("system_prompt", ("client", "view"), SYSTEM),
    ("system_prompt", CALLS, RENAMED.format("system")),
    *((name, ("conversation",), OF_TURN.format(name)) for name in ("timeout", "headers", "retry", "run_tools")),
    *((name, ("conversation",), OF_TURN.format(name)) for name in ("on_tool_call", "raise_tool_errors")),
    ("model", ("turn",), "it is an argument of the conversation, client.conversation(model=…)"),
    *((name, ALL, OF_MAP.format("concurrency")) for name in ("concurrency", "max_workers")),
    *((name, ("map",), RENAMED.format("concurrency")) for name in ("max_workers", "max_concurrency")),
    *((name, ("map",), PROMPTS) for name in ("prompt", "messages")),
    *((name, (*CALLS, "map"), OF_CLIENT.format(name)) for name in ("log", "transport", "fallback")),
    *(
        (name, ("view",), f"a view shares its client's {name}: make a new client for another")
        for name in ("log", "limits")
    ),
    ("max_retries", EVERYWHERE, RETRY),
    *((name, ("client", "view"), OF_CALL.format(name)) for name in ("n", "user", "metadata", "logit_bias")),
    ("top_k", ALL, "anthropic, cohere, gemini and ollama have one; " + EXTRA.format("top_k")),
    ("thinking", (*ALL, "map"), "anthropic has one"),
    ("thinking_budget", ALL, "cohere and gemini have one"),
    ("num_ctx", ("conversation", "call"), OF_CLIENT.format("context_size")),
    *((name, ALL, PROMPT) for name in ("prompt", "input", "message")),
    *((name, CALLS, RENAMED.format("response_format")) for name in ("schema", "format", "output_type")),
    ("json_mode", CALLS, "response_format='json' asks for JSON, response_format=Invoice for an object"),
    ("images", CALLS, "it is a part of a message here: Message('user', ['What is this?', ImagePart(…)])"),
    *((name, CALLS, RENAMED.format(ours)) for name, ours in (("topP", "top_p"), ("maxTokens", "max_tokens"))),
    ("host", ("client",), RENAMED.format("base_url")),
    ("baseURL", ("client",), RENAMED.format("base_url")),
    *((name, CALLS, OF_CLIENT.format("base_url")) for name in ("api_base", "base", "azure_endpoint")),
    ("api_base", ("client",), RENAMED.format("base_url")),
    ("api_base", ("view",), VIEW.format("base_url")),
    *((name, CALLS, RENAMED.format("max_tokens")) for name in ("max_output_tokens", "max_completion_tokens")),
    ("max_output_tokens", ("client", "view"), OF_CALL.format("max_tokens")),
    ("temperature", ("client", "view"), OF_CALL.format("temperature")),
    ("messages", ("client", "view"), SYSTEM.replace("system", "messages")),
    ("organization", ALL, "it is a header here: headers={'OpenAI-Organization': …}"),
    ("engine", (*CALLS, "client", "view"), RENAMED.format("model")),
    ("functions", CALLS, RENAMED.format("tools")),
    ("http_client", CALLS, OF_CLIENT.format("transport")),
    ("http_client", ("client",), RENAMED.format("transport")),
    ("verify", ("view",), VIEW.format("verify")),
    ("temprature", (*CALLS, "map"), "did you mean 'temperature'?"),
    ("concurency", ("map",), "did you mean 'concurrency'?"),
    ("modle", ALL, "did you mean 'model'?"),
]


def run(call: Callable[..., Any], **options: Any) -> Any:
    outcome = call(**options)
    return asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome


def places(kind: type[Any]) -> dict[str, list[Callable[..., Any]]]:
    client = kind("openai/m", api_key="k", transport=MockTransport())
    conversation = client.conversation()
    return {
        "call": [lambda **options: client.chat("x", **options), lambda **options: client.stream("x", **options)],
        "turn": [lambda **options: conversation.chat("x", **options), lambda **o: conversation.stream("x", **o)],
        "conversation": [client.conversation],
        "client": [lambda **options: kind("openai/m", api_key="k", **options)],
        "view": [client.with_options],
        "map": [lambda **options: client.map(["x"], **options)],
    }


@table("kind", [Client, AsyncClient])
def test_what_is_typed_first_gets_the_right_sentence_wherever_it_is_no_argument(kind: type[Any]) -> None:
    found = places(kind)
    for name, where, sentence in HINTS:
        for place in where:
            for given_to in found[place]:
                with pytest.raises(ConfigurationError) as caught:
                    run(given_to, **{name: "x"})
                assert str(caught.value).endswith(f" {name!r}: {sentence}"), (name, place)
                assert caught.value.argument == name


def test_other_words_get_no_hint() -> None:
    openai = find_provider("openai").load_codec().options.model_fields
    for name in ("callbacks", "top_a", "echo", "best_of", "zzz", "cache", "logger", "debug", "verbose", "on"):
        for place in ("call", "map", "conversation", "client", "view", "defaults"):
            options = {*openai, "temperature", "top_p", "tools", "extra", "seed", "stop", "max_tokens"}
            hint = hint_for(name, place, options, {"fallback", "retry", "cert", "region"})
            assert hint == "", (name, place)


@table("kind", [Client, AsyncClient])
def test_a_call_without_messages_says_what_is_missing(kind: type[Any]) -> None:
    client = kind("openai/m", api_key="k", transport=MockTransport())
    for asking in (client, client.conversation()):
        for call in (asking.chat, asking.stream):
            for options in ({}, {"prompt": "Hello!"}):
                with pytest.raises(ConfigurationError) as caught:
                    run(call, **options)
                assert str(caught.value) == f"there are no messages: {PROMPT}"
                assert caught.value.argument == "messages"
    for options in ({}, {"prompt": "Hello!"}, {"messages": ["Hello!"]}):
        with pytest.raises(ConfigurationError) as caught:
            client.map(**options)
        assert str(caught.value) == f"there are no prompts: {PROMPTS}"
        assert caught.value.argument == "prompts"


LIKELY = {
    "gpt-4o": "'openai/gpt-4o'",
    "o3-mini": "'openai/o3-mini'",
    "claude-3-5-sonnet": "'anthropic/claude-3-5-sonnet'",
    "gemini-2.0-flash": "'gemini/gemini-2.0-flash'",
    "google": "'gemini'",
    "google/gemini-2.0-flash": "'gemini/gemini-2.0-flash'",
    "chatgpt": "'openai'",
    "Claude": "'anthropic'",
    "llama3": "'ollama/llama3'",
    "qwen2.5:7b": "'ollama/qwen2.5:7b'",
    "grok-2": "'xai/grok-2'",
    "kimi-k2": "'moonshot/kimi-k2'",
    "sonar-pro": "'perplexity/sonar-pro'",
    "openai:gpt-4o": "'openai/gpt-4o'",
    "google-gemini:x": "'gemini/x'",
    "opnai": "openai",
    "opnai/gpt-4o": "openai/gpt-4o",
}


def test_a_model_s_or_maker_s_name_says_which_provider_is_meant() -> None:
    for name, meant in LIKELY.items():
        with pytest.raises(ConfigurationError) as caught:
            Client(name)
        assert str(caught.value).endswith(f": did you mean {meant}?"), name
        if meant.startswith("'"):
            assert meant.strip("'").partition("/")[0] in provider_names()
    for name in ("zzz", "cat", "omega-3", "onegpt", "gpt-oss-120b", "my-model", "sk-gpt-4o", "gsk_claude"):
        with pytest.raises(ConfigurationError, match="known are"):
            Client(name)


def test_an_address_in_the_provider_s_place_says_where_it_belongs() -> None:
    for address in ("http://127.0.0.1:8080/v1", "https://api.example/v1", "localhost:8000", "127.0.0.1", "gpu-1:8000"):
        with pytest.raises(ConfigurationError, match=r"a server's address is base_url=, as in Client\('openai/"):
            Client(address)


def test_a_key_in_the_provider_s_place_is_not_repeated() -> None:
    for key in ("sk-gpt-4", "gsk_0123", "xai-0123", "hf_0123"):
        with pytest.raises(ConfigurationError) as caught:
            Client(key)
        assert key not in str(caught.value)
