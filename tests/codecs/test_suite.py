"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`."""

from __future__ import annotations

from typing import ClassVar

import pytest
from helpers import Recording, every_provider, model_of, recordings, recordings_for

from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.providers.hosts import HOSTS
from llmclients.providers.presets import PRESETS
from llmclients.providers.registry import find_provider
from llmclients.testing.codec_suite import CodecSuite
from llmclients.testing.codec_suite.base import Checks
from llmclients.testing.codec_suite.requests import RequestChecks


class OfProvider(Checks):
    """Checks of a provider's codec, with its recordings from `tests/wire/`: the samples first."""

    provider_name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "provider_name" in vars(cls):
            cls.codec = find_provider(cls.provider_name).load_codec()
            cls.model = model_of(cls.provider_name)

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        return sorted(recordings_for(cls.provider_name, kind), key=lambda case: not case.name.startswith("sample"))


class OurSuite(OfProvider, CodecSuite):
    """All of the suite."""


class DialectSuite(OfProvider, RequestChecks):
    """A server to whom requests are written in a dialect, and whose replies are read as OpenAI's: with its recordings."""


# --- wires ----------------------------------------------------------------------------------------------------------


class TestOpenAI(OurSuite):
    provider_name = "openai"

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        """With the replies and streams of the servers that are read alike."""
        alike = {suite.provider_name for suite in DialectSuite.__subclasses__()}
        more = [case for case in recordings(kind) if case.provider in alike] if kind in ("replies", "streams") else []
        return super().recorded(kind) + more


class TestOpenAIResponses(OurSuite):
    provider_name = "openai-responses"


class TestAnthropic(OurSuite):
    provider_name = "anthropic"


class TestGemini(OurSuite):
    provider_name = "gemini"
    has_end_mark = False


class TestCohere(OurSuite):
    provider_name = "cohere"


class TestOllama(OurSuite):
    provider_name = "ollama"


class TestYlokh(OurSuite):
    provider_name = "ylokh"


class TestYqcloud(OurSuite):
    provider_name = "yqcloud"
    has_end_mark = False


class TestYqcloudLegacy(OurSuite):
    provider_name = "yqcloud-legacy"
    has_end_mark = False


class TestAi365vip(OurSuite):
    provider_name = "ai365vip"
    has_end_mark = False


class TestOpenrouter(OurSuite):
    provider_name = "openrouter"


class TestPerplexity(OurSuite):
    provider_name = "perplexity"


# --- dialects of chat completions -----------------------------------------------------------------------------------


class TestLocal(OurSuite):
    provider_name = "local"


class TestMinimax(OurSuite):
    provider_name = "minimax"


for _provider in (*PRESETS, *HOSTS):  # each that has no suite above
    if _provider.name not in {suite.provider_name for suite in OurSuite.__subclasses__()}:
        _name = "Test" + _provider.name.title().replace("-", "").replace(".", "")
        globals()[_name] = type(_name, (DialectSuite,), {"provider_name": _provider.name})


def test_every_provider_is_tested() -> None:
    suites = OurSuite.__subclasses__() + DialectSuite.__subclasses__()

    assert sorted(suite.provider_name for suite in suites) == sorted(every_provider())


def test_the_dialects_have_the_decoder_of_openai() -> None:
    default = Dialect()
    for suite in DialectSuite.__subclasses__():
        assert isinstance(suite.codec, OpenAICodec)
        assert type(suite.codec).stream_decoder is OpenAICodec.stream_decoder
        assert type(suite.codec).decode is OpenAICodec.decode
        assert suite.codec.dialect.done_required == default.done_required
        assert suite.codec.dialect.provider_data_field == default.provider_data_field


def test_an_error_body_of_a_dialect_becomes_its_error(subtests: pytest.Subtests) -> None:
    names = {suite.provider_name for suite in DialectSuite.__subclasses__()}
    cases = [case for case in recordings("errors") if case.provider in names]
    assert cases
    for case in cases:
        with subtests.test(str(case)):
            error = case.codec.decode_error(case.expected["status"], case.expected["headers"], case.data)

            case.check_error(error, whole_message=True)
