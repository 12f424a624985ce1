"""relay.toml: what it may say, and that each mistake is told by file and member, or line, and never by a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmclients import errors
from llmclients.relay import RelayConfig, create_app

GOOD = """
default = "local"

[models]
"gpt-*" = "openai"
"fast" = "mine/small"

[defaults]
temperature = 0

[upstreams.openai]
api_keys = ["$RELAY_TEST_KEY", "sk-second"]
fallbacks = ["mine/small"]
options = { max_tokens = 100 }

[upstreams.mine]
provider = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "${RELAY_TEST_KEY}"
headers = { x-team = "$RELAY_TEST_KEY" }
timeout = 20

[keys.alice]
key = "alice-sesame"
requests_per_minute = 60
money_per_day = 2.5

[prices]
"gpt-*" = { input = 2, output = 8.0, cached_input = 0.5 }

[server]
port = 0
lenient = false
cors_origins = ["https://chat.example"]
limits = { connections = 10, body_seconds = 5 }
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_TEST_KEY", "sk-from-the-environment")


def test_a_file_says_what_the_relay_is_made_of(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(GOOD)
    config = RelayConfig.load(file)
    assert config.models == {"gpt-*": "openai", "fast": "mine/small"}
    openai, mine = config.upstreams["openai"], config.upstreams["mine"]
    assert (openai.api_keys, mine.api_keys) == (("sk-from-the-environment", "sk-second"), ("sk-from-the-environment",))
    assert mine.arguments["headers"] == {"x-team": "sk-from-the-environment"}
    assert (openai.options, openai.fallbacks) == ({"max_tokens": 100}, ("mine/small",))
    assert (config.server.limits.connections, config.server.limits.body_seconds) == (10, 5)
    assert (config.client_keys[0].money_per_day, config.server.lenient) == (2.5, False)
    assert "sk-" not in repr(config)
    assert "sesame" not in repr(config)
    create_app(config)


MISTAKES = {
    "x = [": "relay.toml: ",
    "default = 'local'\nmodels = {}\nx = 1 2": "relay.toml: line 3, column ",
    "modells = {}": "relay.toml: unknown member 'modells': did you mean models",
    "[upstreams.openai]\napi-key = 'sk-1'": "relay.toml: upstreams.openai: unknown member 'api-key': did you mean api_key",
    "[upstreams.openai]\napi_key = '$NOT_SET_HERE'": "upstreams.openai.api_key: the environment variable NOT_SET_HERE is not",
    "[upstreams.openai]\napi_key = 5": "upstreams.openai.api_key: must be a text, not a number",
    "[upstreams.openai]\napi_key = 'sk-1'\napi_keys = ['sk-2']": "upstreams.openai: give api_key or api_keys, not both",
    "[upstreams.openai]\napi_keys = ['sk-1', 'sk-1']": "upstreams.openai.api_keys: two of them are the same key",
    "[upstreams.openai]\napi_key = 'sk-1'": "upstreams.openai: no route leads to it",
    "[models]\n'gpt-*' = 'opnai'": "models.'gpt-*': there is no provider named 'opnai': did you mean openai",
    "[models]\n'gpt-*' = 'openai'": "models.'gpt-*': openai needs a key: give api_key= or set OPENAI_API_KEY",
    "default = 'openai'\n[upstreams.openai]\napi_key = 'sk-1'\nbase_url = 'nowhere'": "upstreams.openai: base_url",
    "default = 'openai'\n[upstreams.openai]\napi_key = 'sk-1'\nfallbacks = ['anthropic']": "fallbacks: anthropic needs a key",
    "default = 'local'\n[upstreams.local]\nfallbacks = ['x']\n[upstreams.x]\nprovider = 'openai'\napi_key = 'sk-1'": (
        "upstreams.local.fallbacks: 'x' needs a model: write x/MODEL"
    ),
    "default = 'yqcloud'\n[upstreams.yqcloud]\noptions = { top_p = 1 }": "upstreams.yqcloud: options: ",
    "[keys.alice]": "keys.alice: needs a key",
    "[keys]\nalice = 'sk-1'": "keys.alice: must be a table, not a text",
    "[keys.alice]\nkey = ' sk-1'": "keys.alice.key: ",
    "[keys.alice]\nkey = 'sk-1'\nconcurrent = 0": "keys.alice.concurrent: must be a whole number above 0",
    "[keys.alice]\nkey = 'sk-1'\nconcurrent = true": "keys.alice.concurrent: must be a whole number, not true or false",
    "[keys.alice]\nkey = 'sk-1'\nmoney_per_day = 1": "prices: missing",
    "[keys.a]\nkey = 'sk-1'\n[keys.b]\nkey = 'sk-1'": "keys: two of them are the same key",
    "[keys.a]\nkey = 'sk-1'\n[server]\napi_key = 'sk-2'": "give the clients keys of their own",
    "[prices.m]\ninput = 1": "prices.m.output: missing",
    "[server]\nlog = 'yaml'": "server: log must be one of text, json",
    "[server]\ncors_origins = ['chat.example/']": "server: cors_origins: 'chat.example/' is no origin",
    "[server]\ncors_origins = ['*']": "server: cors_origins: without a key",
    "[server]\nhost = '0.0.0.0'": "server: the relay does not listen on 0.0.0.0 without an api_key",
    "[server]\nlenient = 1": "server.lenient: must be true or false, not a number",
    "[server]\nkeyfile = 'x'": "server: keyfile needs a certfile",
    "[server]\ncertfile = 'nowhere.pem'": "server: certfile: there is no file nowhere.pem",
    "[server.limits]\nconnektions = 1": "server.limits: unknown member 'connektions': did you mean connections",
}


def test_each_mistake_is_told_by_its_place_and_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "relay.toml"
    for text, message in MISTAKES.items():
        file.write_text(text)
        with pytest.raises(errors.ConfigurationError) as caught:
            create_app(RelayConfig.load(file))
        assert str(caught.value).startswith("relay.toml: "), text
        assert message in str(caught.value), text
        assert "sk-" not in str(caught.value), text
    with pytest.raises(errors.ConfigurationError, match=r"nowhere\.toml: cannot be read: No such file"):
        RelayConfig.load(tmp_path / "nowhere.toml")
