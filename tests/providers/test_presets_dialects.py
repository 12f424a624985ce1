"""Presets: keys, addresses, errors, and a dialect of one's own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from helpers import decode
from tables import table

from llmclients import Client
from llmclients.codecs.base import Context
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    OverloadedError,
    PermissionDeniedError,
    ProviderWarning,
    UnsupportedOptionError,
)
from llmclients.providers.hosts import HOSTS
from llmclients.providers.presets import PRESETS
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.content import ImagePart
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest

from .preset_clients import ADDRESSES, SERVED, client, codec_of, own_environment

__all__ = ["own_environment"]  # a fixture of every test here

# --- keys and addresses ---------------------------------------------------------------------------------------------


@table("preset", ["ollama-v1", "llama.cpp", "vllm", "lmstudio"])
def test_a_server_on_this_machine_needs_no_key_and_gets_none(preset: str) -> None:
    llm, mock = client(preset, api_key=None)
    llm.chat("Hi")

    assert "authorization" not in {name.lower() for name, _ in mock.requests[0].headers}


def test_a_key_is_found_in_each_of_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in (*PRESETS, *HOSTS):
        variables = (*provider.key_variables, *provider.token_variables)
        assert variables or not provider.key_required, provider.name
        if provider.key_required:
            with pytest.raises(ConfigurationError, match=" or ".join(variables)):
                Client(provider.name, model="m")
        for variable in variables:
            with monkeypatch.context() as patch:
                patch.setenv(variable, "from-the-variable")
                llm, mock = client(provider.name, api_key=None)
                llm.chat("Hi")
            assert any(value.endswith("from-the-variable") for _, value in mock.requests[0].headers), variable


@table(
    "preset, given, base_url",
    [
        ("bedrock-mantle", {"region": "us-west-2"}, "https://bedrock-mantle.us-west-2.api.aws/v1"),
        ("bedrock-mantle", {}, "https://bedrock-mantle.eu-west-1.api.aws/v1"),
        ("bedrock-mantle", {"base_url": "https://bedrock-mantle.eu-west-1.api.aws/openai/v1"}, None),
        ("databricks", {}, "https://adb-1.azuredatabricks.net/serving-endpoints"),
        ("databricks", {"base_url": "https://w.example/ai-gateway/mlflow/v1"}, None),
        ("watsonx", {}, "https://eu-de.ml.cloud.ibm.com/ml/gateway/v1"),
        ("watsonx", {"base_url": "https://cpd.example"}, "https://cpd.example/ml/gateway/v1"),
        ("zai", {"base_url": "https://open.bigmodel.cn/api/paas/v4"}, None),
    ],
)
def test_an_account_s_address_is_made_of_what_its_maker_s_own_variable_holds(
    preset: str, given: dict[str, str], base_url: str | None
) -> None:
    llm, mock = client(preset, **given)
    llm.chat("Hi")

    assert mock.requests[0].url == f"{base_url or given['base_url']}/chat/completions"


def test_a_region_is_no_business_of_a_provider_to_fall_back_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    llm, mock = client("bedrock-mantle", Reply(503), SERVED, region="us-east-1", fallback=["openai/m"])
    llm.chat("Hi")

    assert [request.url.split("/")[2] for request in mock.requests] == [
        "bedrock-mantle.us-east-1.api.aws",
        "api.openai.com",
    ]


@table(
    "preset, words",
    [
        ("bedrock-mantle", "give region= or set AWS_REGION"),
        ("databricks", "set DATABRICKS_HOST"),
        ("watsonx", "set WATSONX_URL"),
        ("azure", "set AZURE_OPENAI_ENDPOINT"),
    ],
)
def test_an_address_that_nobody_has_told_is_asked_for(preset: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ADDRESSES:
        monkeypatch.delenv(variable)

    with pytest.raises(ConfigurationError, match=f"{preset} .*{words}"):
        client(preset)


def test_a_service_that_has_ended_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmclients.config.endpoint._warned", set())
    with pytest.warns(ProviderWarning, match="github .*known not to answer"):
        client("github")


def test_llama_cpp_has_a_name_without_a_dot() -> None:
    assert find_provider("llamacpp") is find_provider("llama.cpp")


@table("end", ["", "/"])
def test_azure_has_two_addresses(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"https://res.openai.azure.com{end}")
    llm, mock = client("azure", SERVED, SERVED, Reply(json={"data": [{"id": "m"}]}))
    llm.chat("Hi")
    llm.chat("Hi", api_version="2024-10-21")

    assert llm.models() == ["m"]
    assert [request.url.removeprefix("https://res.openai.azure.com") for request in mock.requests] == [
        "/openai/v1/chat/completions",
        "/openai/deployments/m/chat/completions?api-version=2024-10-21",
        "/openai/v1/models",
    ]


@table("model, version, argument", [("a/b", "v", "model"), ("m?", "v", "model"), ("m", "v&x=1", "api_version")])
def test_what_cannot_stand_in_azure_s_address_is_rejected(model: str, version: str, argument: str) -> None:
    llm, _ = client("azure", model=model)

    with pytest.raises(ConfigurationError, match="cannot stand in Azure's address") as caught:
        llm.chat("Hi", api_version=version)
    assert caught.value.argument == argument


def test_only_openai_s_is_default_endpoint_knows_max_completion_tokens() -> None:
    for arguments, field in (({}, "max_completion_tokens"), ({"base_url": "http://x.example/v1"}, "max_tokens")):
        llm, mock = client("openai", **arguments)
        llm.chat("Hi", max_tokens=5)
        assert json.loads(mock.requests[0].body)[field] == 5


# --- errors ---------------------------------------------------------------------------------------------------------

WRONG_KEY = '{"code":"Client specified an invalid argument","error":"Incorrect API key provided: x***y"}'


@table(
    "body",
    [
        WRONG_KEY,
        WRONG_KEY.replace("key provided: x", "key provided%3A x").replace(
            "Incorrect API key provided%3A x***y", "Incorrect%20API%20key%20provided%3A%20x***y"
        ),
    ],
)
def test_a_400_of_xai_may_mean_a_wrong_key(body: str) -> None:
    error = codec_of("xai").decode_error(400, {}, body.encode())

    assert type(error) is AuthenticationError
    assert str(error) == "HTTP 400: Incorrect API key provided: x***y"
    assert (error.status_code, error.retryable) == (400, False)
    assert type(codec_of("openai").decode_error(400, {}, body.encode())) is BadRequestError
    assert type(codec_of("xai").decode_error(400, {}, b'{"error":"No such model"}')) is BadRequestError
    assert type(codec_of("xai").decode_error(403, {}, body.encode())) is PermissionDeniedError


def test_percent_signs_in_plain_words_stay() -> None:
    error = codec_of("xai").decode_error(400, {}, b'{"error":"cannot fetch https://x.example/a%20b.png"}')

    assert str(error) == "HTTP 400: cannot fetch https://x.example/a%20b.png"


@table("name", ["mistral-correlation-id", "x-generation-id", "apim-request-id", "x-request-id"])
def test_the_id_of_a_request_is_found_in_each_server_s_header(name: str) -> None:
    llm, _ = client("openai", Reply(json={"choices": [{"message": {}}]}, headers={name: "r-1"}))

    assert llm.chat("Hi").request_id == "r-1"


GIVEN_UP = Reply(json={"choices": [{"message": {"content": "Fo"}, "finish_reason": "insufficient_system_resource"}]})


def test_an_answer_that_the_server_gave_up_is_asked_for_again() -> None:
    llm, mock = client("deepseek", GIVEN_UP, SERVED, retry=RetryPolicy())

    assert llm.chat("Hi").text == "{}"
    assert len(mock.requests) == 2


def test_a_stream_that_the_server_gave_up_keeps_what_came() -> None:
    events = [
        'data: {"choices":[{"delta":{"content":"Fo"}}]}\n\n',
        'data: {"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}\n\ndata: [DONE]\n\n',
    ]
    llm, _ = client("deepseek", Reply(headers={"content-type": "text/event-stream"}, body="".join(events)))
    stream = llm.stream("Hi")

    with pytest.raises(OverloadedError, match="gave the answer up half-way: insufficient_system_resource") as caught:
        list(stream)
    assert caught.value.retryable
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Fo"
    assert caught.value.body == {"delta": {}, "finish_reason": "insufficient_system_resource"}


# --- what goes back as it came -------------------------------------------------------------------------------------

ENTRY = {"type": "reasoning.encrypted", "data": "b3Bh"}


@table("where", ["delta", "message"])
@table("odd", [None, 5, "x", [], ["x"], {}, {"reasoning_details": {}}, {"reasoning_details": [5]}])
def test_an_odd_message_beside_a_good_one_does_no_harm(where: str, odd: Any) -> None:
    other = {"delta": "message", "message": "delta"}[where]
    choice = {where: {"content": "Four", "reasoning_details": [ENTRY]}, other: odd, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    codec = codec_of("openrouter")
    if where == "message":
        assert codec.decode(body).provider_data == {"openai": {"reasoning_details": [ENTRY]}}
        found = decode(codec.stream_decoder("application/json"), [body])
    else:
        found = decode(codec.stream_decoder("text/event-stream"), [b"data: " + body + b"\n\ndata: [DONE]\n\n"])

    assert found.error is None
    assert found.response.text == "Four"
    assert found.response.provider_data is not None
    assert ENTRY in found.response.provider_data["openai"]["reasoning_details"]


@table("provider_data", [None, {}, {"openai": []}, {"openai": {"other": 1}}, {"anthropic": {}}])
def test_an_echo_of_another_wire_stays_here(provider_data: Any) -> None:
    llm, mock = client("openrouter")
    llm.chat(["Hi", Message("assistant", "Hello.", provider_data=provider_data), "Bye"])

    assert json.loads(mock.requests[0].body)["messages"][1] == {"role": "assistant", "content": "Hello."}


def test_a_conversation_brings_signed_reasoning_back() -> None:
    first = {"role": "assistant", "content": "Hello.", "reasoning_details": [ENTRY]}
    llm, mock = client("openrouter", Reply(json={"choices": [{"message": first, "finish_reason": "stop"}]}), SERVED)
    conversation = llm.conversation()
    conversation.chat("Hi")
    conversation.chat("Bye")

    assert json.loads(mock.requests[1].body)["messages"][1] == first


# --- one's own ------------------------------------------------------------------------------------------------------


def test_a_dialect_of_one_s_own_is_a_few_lines() -> None:
    mine = replace(
        find_provider("vllm"), name="mine", aliases=(), dialect={"seed_field": "rng", "unsupported": ["stop"]}
    )
    codec = mine.load_codec()

    assert json.loads(codec.encode(ChatRequest.from_messages("Hi", seed=1), Context(model="m")).body)["rng"] == 1
    assert "stop" not in codec.fields


def test_an_option_that_no_dialect_has_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"mine: .*sead") as caught:
        Provider("mine", find_provider("vllm").codec, dialect={"sead": "rng"}).load_codec()
    assert caught.value.argument == "dialect"


@table(
    "dialect, words",
    [
        ({"unsupported": ("logprob",)}, "unsupported is a list of temperature, .*; not 'logprob'"),
        ({"unsupported": "seed"}, "unsupported is a list of .*; not 'seed'"),
        ({"parts": ["images"]}, "parts is a list of image, audio, file, image-url, .*; not 'images'"),
        ({"named_roles": ("bot",)}, "named_roles is a list of system, .*; not 'bot'"),
    ],
)
def test_a_misspelt_name_in_a_dialect_is_rejected(dialect: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"mine: {words}") as caught:
        replace(find_provider("vllm"), name="mine", dialect=dialect).load_codec()
    assert caught.value.argument == "dialect"


def test_a_codec_that_is_made_already_takes_no_dialect() -> None:
    with pytest.raises(ConfigurationError, match=r"mine: .*has its dialect") as caught:
        Provider("mine", codec_of("vllm"), dialect={"seed_field": "rng"})
    assert caught.value.argument == "dialect"


def test_half_of_a_regional_address_is_rejected() -> None:
    for half, argument in (
        ({"base_url": "https://{region}.example"}, "region_variables"),
        ({"base_url": "https://h.example", "region_variables": ("AWS_REGION",)}, "region_variables"),
        ({"base_url_path": "v1"}, "base_url_path"),
    ):
        with pytest.raises(ConfigurationError, match="mine: ") as caught:
            replace(Provider("mine", find_provider("vllm").codec), **half)
        assert caught.value.argument == argument


def test_the_defaults_are_those_of_most() -> None:
    assert Dialect().fields == find_provider("openai").load_codec().fields
    assert set(Dialect().part_rules) == {"image", "audio", "file"}


def test_deepseek_has_no_developers() -> None:
    mock = MockTransport([SERVED])
    with Client("deepseek/m", api_key="k", transport=mock) as client:
        client.chat([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}])

    assert json.loads(mock.requests[0].body)["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_list_of_models_may_be_bare() -> None:
    with Client("together/m", api_key="k", transport=MockTransport([Reply(json=[{"id": "a"}, {"id": "b"}])])) as client:
        assert client.models() == ["a", "b"]


@table("role", ["system", "assistant", "tool"])
def test_only_a_user_s_message_has_images(role: str) -> None:
    mock = MockTransport([])
    said = Message(role, [ImagePart(b"\x89PNG\r\n\x1a\n")], tool_call_id="a" if role == "tool" else None)
    made, words = Client("openai/m", api_key="k", transport=mock), "only a user's message has images"
    with made, pytest.raises(UnsupportedOptionError, match=words):
        made.chat(["Hi", said])

    assert mock.requests == []


def test_its_own_address_counts_as_its_own_whoever_says_it() -> None:
    mock = MockTransport([SERVED])
    with Client("openai/m", api_key="k", base_url="https://api.openai.com/v1/", transport=mock) as client:
        client.chat("Hi", max_tokens=5)

    assert json.loads(mock.requests[0].body)["max_completion_tokens"] == 5
