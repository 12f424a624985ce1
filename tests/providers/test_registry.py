"""Providers by name: the built-in ones, those a program registers, those that an installed package brings."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from tables import table

from llmclients.codecs.base import Codec
from llmclients.errors import ConfigurationError, UnknownProviderError
from llmclients.providers import registry as providers
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, provider_names, register_provider

BUILT_IN = ["ai365vip", "local", "openai", "ylokh", "yqcloud", "yqcloud-legacy"]


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_registered", dict(providers._registered))


# --- built in -------------------------------------------------------------------------------------------------------


def test_the_built_in_providers() -> None:
    assert [name for name in provider_names() if name in BUILT_IN] == BUILT_IN


@table(
    "name, base_url, key_variables, default_model, working",
    [
        ("ylokh", "https://chatapi.ylokh.xyz", (), "gpt-3.5-turbo", False),
        ("yqcloud", "https://api.binjie.fun", (), "gpt-4", None),
        ("yqcloud-legacy", "https://api.aichatos.cloud", (), "gpt-3.5-turbo", False),
        ("ai365vip", "https://chat.ai365vip.com", (), "gpt-3.5-turbo", False),
        ("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), None, None),
        ("local", None, (), "SmolLM2-135M-Instruct", True),
    ],
)
def test_a_built_in_provider_is_what_the_protocol_says(
    name: str, base_url: str | None, key_variables: tuple[str, ...], default_model: str | None, working: bool | None
) -> None:
    provider = find_provider(name)

    assert (provider.name, provider.base_url, provider.key_variables) == (name, base_url, key_variables)
    assert (provider.default_model, provider.working) == (default_model, working)
    assert isinstance(provider.load_codec(), Codec)
    assert default_model is None or default_model in provider.models
    assert set(provider.model_aliases.values()) <= set(provider.models)
    assert provider.notes


def test_the_models_that_are_declared() -> None:
    assert find_provider("ai365vip").models == ("gpt-3.5-turbo", "gpt-3.5-turbo-16k", "gpt-4o")
    assert find_provider("yqcloud").only_listed_models
    assert find_provider("yqcloud-legacy").only_listed_models
    assert not find_provider("ylokh").only_listed_models


@table("name", ["yqcloud", "YQCLOUD", " YqCloud\n"])
def test_a_name_is_found_in_any_case(name: str) -> None:
    assert find_provider(name).name == "yqcloud"


def test_an_alias_is_the_provider_itself_and_no_name_of_its_own() -> None:
    assert find_provider("aichatos") is find_provider("yqcloud-legacy")
    assert "aichatos" not in provider_names()


def test_a_key_in_the_place_of_a_name_is_not_repeated() -> None:
    for key in ("sk-abc123", "SK-proj-abc123", "gsk_" + "a1" * 20, "AIza" + "b2" * 18):
        with pytest.raises(UnknownProviderError, match="there is no provider of that name: ") as caught:
            find_provider(key)
        assert key[4:] not in str(caught.value)


@table(
    "name, hint",
    [
        ("yqclod", "did you mean yqcloud"),
        ("ylohk", "did you mean ylokh"),
        ("aichat", "aichatos"),
        ("opena", "did you mean openai?"),
        ("OpenAl", "did you mean openai?"),
        ("zzzzzz", "known are ai365vip, "),
        ("", "known are ai365vip, "),
    ],
)
def test_an_unknown_name_is_told_the_nearest_known_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownProviderError) as caught:
        find_provider(name)

    assert caught.value.argument == "provider"
    assert f"no provider named {name!r}: " in str(caught.value)
    assert hint in str(caught.value)


# --- registered -----------------------------------------------------------------------------------------------------

MINE = Provider("mine", "llmclients.codecs.openai_chat.codec:OpenAICodec", "https://mine.example/v1", aliases=("my",))


def test_what_is_no_provider_is_not_registered() -> None:
    with pytest.raises(ConfigurationError, match=r"provider must be a Provider\(…\), not str"):
        register_provider("acme")  # type: ignore[arg-type]


def test_a_registered_provider_is_found_by_its_names() -> None:
    register_provider(MINE)

    assert find_provider("mine") is find_provider("MY") is MINE
    assert "mine" in provider_names()
    assert "my" not in provider_names()


@pytest.mark.parametrize(
    "provider",
    [MINE, replace(MINE, name="other"), replace(MINE, name="my", aliases=()), replace(MINE, name="ylokh", aliases=())],
    ids=lambda provider: provider.name,
)
def test_a_name_or_alias_that_is_taken_is_refused_and_nothing_changes(provider: Provider) -> None:
    register_provider(MINE)
    before = dict(providers._registered)

    with pytest.raises(ConfigurationError, match="is registered already") as caught:
        register_provider(provider)

    assert caught.value.argument == "provider"
    assert providers._registered == before


def test_replacing_is_meant_when_it_is_said() -> None:
    own = replace(find_provider("openai"), base_url="https://proxy.example/v1")

    register_provider(own, replace=True)

    assert find_provider("openai") is own


def test_a_provider_may_bring_a_codec_that_is_made_already() -> None:
    codec = find_provider("ylokh").load_codec()

    assert replace(MINE, codec=codec).load_codec() is codec


@table("name", ["", "a/b", "Mine", " mine", "mine\n"])
def test_a_name_that_could_not_be_found_again_is_refused(name: str) -> None:
    for fields in ({"name": name}, {"name": "good", "aliases": (name,)}):
        with pytest.raises(ConfigurationError, match="name is lower case") as caught:
            replace(MINE, **fields)
        assert caught.value.argument == "name"


# --- installed ------------------------------------------------------------------------------------------------------

PACKAGE = """
from llmclients import Provider, UnsupportedOptionError
from llmclients.codecs.base import Codec, CodecOptions, EncodedRequest, encode_json
from llmclients.codecs.raw_text.decoder import RawTextDecoder


class EchoOptions(CodecOptions):
    loud: bool = False


class EchoCodec(Codec):
    name = "echo"
    options = EchoOptions
    whole_replies = False

    def encode(self, request, context):
        text = request.messages[-1].text
        return EncodedRequest("/echo", encode_json({"say": text.upper() if context.options.loud else text}))

    def stream_decoder(self, content_type):
        return RawTextDecoder()


provider = Provider("echo", "acme_llm:EchoCodec", "https://echo.example", models=("e-1",), default_model="e-1")


def make():
    return Provider("made", "acme_llm:EchoCodec", "https://made.example")


def fail():
    raise RuntimeError("no licence")


number = 5
"""
ENTRY_POINTS = """
[llmclients.providers]
echo = acme_llm:provider
Made = acme_llm:make
failing = acme_llm:fail
number = acme_llm:number
missing = acme_llm:nothing_here
absent = no_such_module_anywhere:provider
openai = acme_llm:provider
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a package installed in it, as an installer leaves it."""
    (tmp_path / "acme_llm.py").write_text(PACKAGE, encoding="utf-8")
    info = tmp_path / "acme_llm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-llm\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (info / "RECORD").write_text("acme_llm.py,,\n", encoding="utf-8")
    return tmp_path


def run(site: Path, program: str) -> str:
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_an_installed_package_brings_a_provider_that_works_like_the_others(site: Path) -> None:
    out = run(
        site,
        """
        import sys
        from llmclients import Client, Message, provider_names
        from llmclients.providers.registry import find_provider
        from llmclients.transports.mock import MockTransport, Reply

        assert "acme_llm" not in sys.modules
        assert {"echo", "made"} <= set(provider_names())
        assert "acme_llm" not in sys.modules, "names are known without loading the package"
        assert find_provider("MADE").name == "made"
        assert find_provider("openai").base_url == "https://api.openai.com/v1", "built-in names stay"

        mock = MockTransport([Reply(body="HELLO")])
        with Client("echo", transport=mock) as client:
            response = client.chat("hello", loud=True)
        print(response, response.provider, response.model, mock.requests[0].url, mock.requests[0].body.decode())
        """,
    )

    assert out.strip() == 'HELLO echo e-1 https://echo.example/echo {"say":"HELLO"}'


@pytest.mark.long
def test_a_broken_package_is_an_error_only_for_who_asks_for_it(site: Path) -> None:
    messages = {
        "failing": "does not load (acme_llm:fail): no licence",
        "number": "does not load (acme_llm:number)",
        "missing": "does not load (acme_llm:nothing_here)",
        "absent": "does not load (no_such_module_anywhere:provider)",
    }
    out = run(
        site,
        f"""
        from llmclients import Client, ConfigurationError, UnknownProviderError, provider_names
        from llmclients.providers.registry import find_provider

        for name in {list(messages)}:
            assert name in provider_names()
            find_provider("echo")
            for _ in range(2):
                try:
                    Client(name)
                except ConfigurationError as error:
                    assert not isinstance(error, UnknownProviderError)
                    print(error, error.argument)
            try:
                find_provider("ecko")
            except UnknownProviderError as error:
                print(error)
        """,
    )

    lines = out.splitlines()
    assert len(lines) == 3 * len(messages), out
    for place, (name, message) in enumerate(messages.items()):
        first, second, unknown = lines[3 * place : 3 * place + 3]
        assert first == second, name
        assert message in first, name
        assert first.endswith(" provider"), name
        assert "did you mean echo" in unknown, name


@pytest.mark.long
def test_an_entry_point_may_not_be_something_else(site: Path) -> None:
    (site / "acme_llm.py").write_text("def provider(): return 'echo'\n", encoding="utf-8")

    out = run(
        site,
        """
        from llmclients import ConfigurationError
        from llmclients.providers.registry import find_provider

        try:
            find_provider("echo")
        except ConfigurationError as error:
            print(error)
        """,
    )

    assert out.strip() == "the entry point acme_llm:provider is not a Provider"
