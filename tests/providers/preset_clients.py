"""A client of a preset over a mock transport, in an environment without anybody's keys."""

from __future__ import annotations

from typing import Any

import pytest

from llmclients import Client
from llmclients.codecs.base import Codec
from llmclients.providers.hosts import HOSTS
from llmclients.providers.presets import PRESETS
from llmclients.providers.registry import find_provider
from llmclients.transports.mock import MockTransport, Reply

__all__ = ["ADDRESSES", "SERVED", "client", "codec_of", "own_environment"]

SERVED = Reply(json={"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]})

ADDRESSES = {
    "AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/",
    "AWS_REGION": "eu-west-1",
    "DATABRICKS_HOST": "adb-1.azuredatabricks.net",
    "WATSONX_URL": "https://eu-de.ml.cloud.ibm.com/",
}
"""What the makers' own variables hold, where an address differs by account or region."""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys, the addresses above, and no more warnings of services that are gone."""
    for provider in (*PRESETS, *HOSTS, find_provider("openai")):
        named = (*provider.key_variables, *provider.token_variables, provider.base_url_variable)
        for variable in filter(None, (*named, *provider.region_variables)):
            monkeypatch.delenv(variable, raising=False)
    gone = {provider.name for provider in (*PRESETS, *HOSTS) if provider.working is False}
    monkeypatch.setattr("llmclients.config.endpoint._warned", gone)
    for variable, value in ADDRESSES.items():
        monkeypatch.setenv(variable, value)


def client(preset: str, *replies: Reply, **arguments: Any) -> tuple[Client, MockTransport]:
    """A client that tries once, and its transport; without replies it serves one answer."""
    mock = MockTransport(replies or [SERVED])
    return Client(preset, transport=mock, **({"model": "m", "api_key": "k", "retry": None} | arguments)), mock


def codec_of(preset: str) -> Codec:
    """The preset's codec."""
    return find_provider(preset).load_codec()
