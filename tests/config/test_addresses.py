"""Addresses, keys and variables as people have them: what a client makes of each, or says about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tables import table

from llmclients import AsyncClient, Client, ConfigurationError, NotFoundError
from llmclients.config.client import ClientSettings
from llmclients.providers.registry import find_provider, provider_names
from llmclients.testing import MockTransport, Reply

HOST = "https://gateway.test"
NO_ANSWER = Reply(404, json={"error": {"message": "no such page"}})


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in provider_names():
        provider = find_provider(name)
        for variable in (
            *provider.key_variables,
            *provider.token_variables,
            provider.base_url_variable,
            *provider.option_variables.values(),
        ):
            monkeypatch.delenv(variable or "-", raising=False)


def not_found(
    provider: str, model: str | None = "m", *, side: str = "sync", call: str = "chat", **arguments: Any
) -> tuple[str, str]:
    """The URL that a call asks, and the error of a server that knows no such page."""
    mock = MockTransport([NO_ANSWER])
    options = {"model": model, "api_key": "sk-secret", "transport": mock, "retry": None} | arguments

    async def call_awaited() -> None:
        client = AsyncClient(provider, **options)
        if call == "stream":
            async for _ in client.stream("x"):
                pass
        await (client.models() if call == "models" else client.chat("x"))

    try:
        if side == "async":
            asyncio.run(call_awaited())
        client = Client(provider, **options)
        client.models() if call == "models" else list(client.stream("x")) if call == "stream" else client.chat("x")
    except NotFoundError as error:
        return mock.requests[0].url, str(error)
    raise AssertionError("there is such a page")


def asked(provider: str, model: str | None = "m", **arguments: Any) -> str:
    return not_found(provider, model, **arguments)[0]


# What is asked, and what people write before it, set apart by blanks: below a host alone, or a gateway's own path.
ADDRESSES = {
    "openai": (
        "/v1/chat/completions",
        "/v1 /v1/ /v1// /v1/chat/completions /v1/chat/completions/ /v1/CHAT/Completions /v1? /v1/chat/completions/? /v1/models /v1/completions "
        "/v1/responses",
    ),
    "openai-responses": ("/v1/responses", "/v1 /v1/responses /v1/chat/completions /v1/models /v1/#"),
    "anthropic": (
        "/v1/messages",
        " / /v1 /v1/ /v1/messages /v1/messages/ /v1/models /V1/Messages",
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        " /v1beta /v1beta/ /v1 /v1beta/models /v1beta/models/m:generateContent /v1beta/openai/",
    ),
    "cohere": ("/v2/chat", " /v2 /v2/chat /v2/chat/ /v1 /v1/chat /compatibility/v1"),
    "ollama": (
        "/api/chat",
        " / /api /api/ /api/chat /api/generate /api/tags /v1 /v1/ /v1/chat/completions",
    ),
    "ylokh": ("/v1/chat/completions", " /v1 /v1/chat/completions"),
    "yqcloud": ("/api/generateStream", " /api /api/generateStream"),
    "yqcloud-legacy": ("/api/generateStream", " /api/ /api/generateStream"),
    "ai365vip": ("/api/chat", " /api /api/chat/"),
    "azure": (
        "/openai/v1/chat/completions",
        " / /openai /openai/ /openai/v1 /openai/v1/ /openai/v1/chat/completions /models /openai/v1/models "
        "/openai/deployments /openai/deployments/m /openai/deployments/m/chat/completions",
    ),
}


@table("provider", ADDRESSES)
@table("gateway", ["", "/team/llm"])
def test_what_the_wire_appends_is_not_appended_twice(provider: str, gateway: str) -> None:
    path, endings = ADDRESSES[provider]
    model = None if provider.startswith(("yq", "ai365")) else "m"

    for ending in endings.split(" "):
        assert asked(provider, model, base_url=HOST + gateway + ending) == HOST + gateway + path, ending


@table("side", ["sync", "async"])
def test_both_clients_and_the_list_of_models_know_the_address(side: str) -> None:
    for provider, base_url, path in (
        ("openai", "/v1/chat/completions", "/v1/models"),
        ("anthropic", "/v1", "/v1/models?limit=1000"),
        ("ollama", "/v1", "/api/tags"),
        ("azure", "/openai/deployments/d", "/openai/v1/models"),
    ):
        assert asked(provider, None, side=side, call="models", base_url=HOST + base_url) == HOST + path


def test_a_gateway_s_own_path_stays() -> None:
    for path in ("/chat", "/models", "/api/v1", "/openai/deployments", "/completions", "/v10", "/myv1/models"):
        assert asked("openai", base_url=HOST + path) == f"{HOST}{path}/chat/completions"
    assert asked("anthropic", base_url="https://v1") == "https://v1/v1/messages"


@table("spelling", ["/v1", "/v1/", "/v1/chat/completions", ":443/v1"])
def test_the_provider_s_own_address_is_its_own_however_it_is_written(spelling: str) -> None:
    settings = ClientSettings.from_arguments("openai/m", api_key="k", base_url=f"https://API.openai.com{spelling}")

    assert settings.is_default_endpoint


OLDER = "/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21"


@table(
    "base_url, model, options, variable, path",
    [
        (OLDER, None, {}, None, OLDER),
        (OLDER, "gpt-4.1", {}, "2023-05-15", OLDER),
        ("/openai/deployments/gpt-4.1/", None, {}, None, "/openai/v1/chat/completions"),
        ("/openai/deployments/gpt-4.1", None, {}, "2024-10-21", OLDER),
        ("", "gpt-4.1", {"api_version": "2024-10-21"}, None, OLDER),
        ("", "gpt-4.1", {}, "2024-10-21", OLDER),
        ("", "gpt-4.1", {"api_version": None}, "2024-10-21", "/openai/v1/chat/completions"),
        ("/openai/v1/", "gpt-4.1", {}, "2024-10-21", "/openai/v1/chat/completions"),
        ("/openai/v1", "gpt-4.1", {"api_version": "2024-10-21"}, None, OLDER),
        ("", "gpt-4.1", {}, "preview", "/openai/v1/chat/completions?api-version=preview"),
        ("/openai/v1?api-version=preview", "gpt-4.1", {}, None, "/openai/v1/chat/completions?api-version=preview"),
    ],
)
def test_azure_s_addresses(
    monkeypatch: pytest.MonkeyPatch, base_url: str, model: str | None, options: Any, variable: str | None, path: str
) -> None:
    if variable:
        monkeypatch.setenv("OPENAI_API_VERSION", variable)
    mock = MockTransport([NO_ANSWER])
    client = Client("azure", model=model, api_key="k", base_url=HOST + base_url, transport=mock)

    with pytest.raises(NotFoundError):
        client.chat("x", **options)

    assert mock.requests[0].url == HOST + path


def test_a_deployment_s_name_may_have_dots_and_lead_nowhere_else() -> None:
    mock = MockTransport([])
    client = Client("azure", api_key="k", base_url=HOST, transport=mock)

    for model in (".", "..", "a/..", "a?b", "a#b", "", "a b", "a\nb", "..\n"):
        with pytest.raises(ConfigurationError) as caught:
            client.chat("x", model=model, api_version="2024-10-21")
        assert caught.value.argument == "model"
    assert mock.requests == []
    assert asked("azure", "gpt-4.1.x", base_url=f"{HOST}/openai/deployments/gpt-4.1.x?api-version=2024-10-21").endswith(
        "/deployments/gpt-4.1.x/chat/completions?api-version=2024-10-21"
    )


@table("provider", ["azure", "gemini"])
def test_a_model_in_the_address_is_the_client_s_model_and_not_another_s(provider: str) -> None:
    path = {"azure": "/openai/deployments/one", "gemini": "/v1beta/models/one:generateContent"}[provider]

    assert ClientSettings.from_arguments(provider, api_key="k", base_url=HOST + path).model == "one"
    with pytest.raises(ConfigurationError, match="named twice: 'one' in base_url, and 'two'"):
        Client(provider, model="two", api_key="k", base_url=HOST + path)


@table(
    "provider, url",
    [
        ("openai", "api.test/v1?key=sk-secret"),
        ("openai", f"{HOST}/v1/chat/completions?key=sk-secret"),
        ("gemini", f"{HOST}/v1beta?key=sk-secret"),
        ("azure", f"{HOST}/openai/deployments/d?api-version=1&key=sk-secret"),
        ("azure", f"{HOST}?key=sk-secret"),
    ],
)
def test_what_an_address_cannot_keep_is_refused_and_not_shown(provider: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url must") as caught:
        Client(provider, model="m", api_key="k", base_url=url)

    assert "sk-secret" not in str(caught.value)


@table("side", ["sync", "async"])
@table("call", ["chat", "stream", "models"])
def test_a_404_names_the_url_that_was_asked(side: str, call: str) -> None:
    for provider, whole, streamed, listing in (
        ("openai", "/chat/completions", "/chat/completions", "/models"),
        ("gemini", "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?…", "/v1beta/models?…"),
    ):
        path = {"chat": whole, "stream": streamed, "models": listing}[call]
        method = "GET" if call == "models" else "POST"

        _, error = not_found(provider, side=side, call=call, base_url=f"{HOST}/wrong")

        assert error == f"{provider} (gateway.test): HTTP 404: no such page ({method} {HOST}/wrong{path})"


def test_a_secret_in_the_url_is_not_named() -> None:
    url, error = not_found("openai", base_url=f"{HOST}/sk-secret/v1")

    assert url == f"{HOST}/sk-secret/v1/chat/completions"
    assert error.endswith(f"(POST {HOST}/***/v1/chat/completions)")


def test_an_address_loses_the_blanks_around_it() -> None:
    assert asked("openai", base_url=f" {HOST}/v1\n") == f"{HOST}/v1/chat/completions"


def test_a_page_s_address_of_the_chats_is_one() -> None:
    assert asked("openai", base_url=f"{HOST}/v1/chat") == f"{HOST}/v1/chat/completions"
    assert asked("openai-responses", base_url=f"{HOST}/v1/chat/") == f"{HOST}/v1/responses"


def test_a_provider_s_own_host_alone_gets_the_path_that_is_known_of_it() -> None:
    for provider, host, path in (
        ("openai", "https://api.openai.com", "/v1"),
        ("openai", "HTTPS://API.OpenAI.com:443/", "/v1"),
        ("mistral", "https://api.mistral.ai", "/v1"),
        ("groq", "https://api.groq.com/", "/openai/v1"),
        ("openai", HOST, ""),  # of another server nobody knows
    ):
        assert asked(provider, base_url=host) == f"{host.rstrip('/')}{path}/chat/completions"


@table("host", ["%31", "*:11434", "h,b:1", "x..y", ".", "[v1.x]:9", "a\u200bb", "a" * 64, "h/\ud800"], ids=ascii)
def test_a_host_that_libraries_read_in_two_ways_is_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(ConfigurationError, match="no valid host"):
        Client("openai/m", api_key="sk-secret", base_url=f"http://{host}")


# --- keys -----------------------------------------------------------------------------------------------------------


@table("where", ["argument", "variable", "token"])
@table("around", ["{}\n", " {} ", "\t{}\r\n", "\n\n{}"])
def test_a_key_loses_the_blanks_around_it(monkeypatch: pytest.MonkeyPatch, where: str, around: str) -> None:
    key = around.format("sk-secret")
    mock = MockTransport([NO_ANSWER])
    if where != "argument":
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN" if where == "token" else "ANTHROPIC_API_KEY", key)

    with pytest.raises(NotFoundError):
        Client("anthropic/m", api_key=key if where == "argument" else None, transport=mock).chat("x")

    header = ("Authorization", "Bearer sk-secret") if where == "token" else ("x-api-key", "sk-secret")
    assert header in mock.requests[0].headers


@table("where", ["api_key", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
@table(
    "key, words",
    [
        ("sk-se cret", "a blank inside it$"),
        ("Bearer sk-secret", "without 'Bearer'$"),
        ("sk-se\ncret", "no header can carry"),
        ("sk-se\x1bcret", "no header can carry"),
        ("sk-se\u200bcret", "no header can carry"),
        ("\ufeffsk-secret", "no header can carry"),
        ("sk-s\u0435cret", "no header can carry"),
        ("“sk-secret”", "no header can carry"),
        ('"sk-secret"', "quotes around it"),
        ("'sk-secret'", "quotes around it"),
    ],
    ids=ascii,
)
def test_a_key_that_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, where: str, key: str, words: str
) -> None:
    if where != "api_key":
        monkeypatch.setenv(where, key)

    with pytest.raises(ConfigurationError, match=words) as caught:
        Client("anthropic/m", api_key=key if where == "api_key" else None)

    assert caught.value.argument == where
    assert "sk-" not in str(caught.value)


# --- variables ------------------------------------------------------------------------------------------------------


@table(
    "value, host",
    [
        ("box", "http://box:11434"),
        ("box:1", "http://box:1"),
        ("box:", "http://box:11434"),
        (":1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("http://0.0.0.0:1/", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        ("::1", "http://[::1]:11434"),
        ("https://box", "https://box"),
        ("https://box/ollama/", "https://box/ollama"),
        ('"box:1"', "http://box:1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it_on_both_of_its_wires(
    monkeypatch: pytest.MonkeyPatch, value: str, host: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", value)

    assert asked("ollama") == f"{host}/api/chat"
    assert asked("ollama-v1") == f"{host}{'' if host.endswith('/ollama') else '/v1'}/chat/completions"


def test_an_address_from_the_environment_is_for_its_own_maker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "https://elsewhere.test"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    variables = {find_provider(name).base_url_variable for name in provider_names()} - {None}
    for variable in variables:
        monkeypatch.setenv(str(variable), elsewhere)

    for name in provider_names():
        provider = find_provider(name)
        if name == "local" or provider.working is False or not (provider.base_url or provider.base_url_variable):
            continue
        base_url = ClientSettings.from_arguments(name, api_key="k").base_url
        assert str(base_url).startswith(elsewhere) == (provider.base_url_variable is not None), name


def test_an_address_from_the_environment_has_its_endings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable, value, path in (
        ("openai", "OPENAI_BASE_URL", "/v1/chat/completions", "/v1/chat/completions"),
        ("anthropic", "ANTHROPIC_BASE_URL", "/v1", "/v1/messages"),
        ("azure", "AZURE_OPENAI_ENDPOINT", "/openai/v1/", "/openai/v1/chat/completions"),
        ("gemini", "GOOGLE_GEMINI_BASE_URL", "/v1beta", "/v1beta/models/m:generateContent"),
        ("cohere", "CO_API_URL", "/v2", "/v2/chat"),
        ("groq", "GROQ_BASE_URL", "", "/openai/v1/chat/completions"),  # its SDK appends more than others do
        ("groq", "GROQ_BASE_URL", "/openai/v1", "/openai/v1/chat/completions"),
        ("together", "TOGETHER_BASE_URL", "", "/v1/chat/completions"),
        ("cerebras", "CEREBRAS_BASE_URL", "", "/v1/chat/completions"),
        ("perplexity", "PERPLEXITY_BASE_URL", "", "/chat/completions"),
    ):
        monkeypatch.setenv(variable, f" {HOST}{value}\n")
        assert asked(provider) == HOST + path
