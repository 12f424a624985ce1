"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`."""

from __future__ import annotations

from typing import ClassVar

from helpers import Recording, every_provider, model_of, recordings_for

from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.codecs.openai_chat.dialect import Dialect
from llmclients.providers.registry import find_provider
from llmclients.testing.codec_suite import CodecSuite


class OurSuite(CodecSuite):
    """The suite with a provider's codec, and its recordings from `tests/wire/`: the samples first."""

    provider_name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "provider_name" in vars(cls):
            cls.codec = find_provider(cls.provider_name).load_codec()
            cls.model = model_of(cls.provider_name)

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        return sorted(recordings_for(cls.provider_name, kind), key=lambda case: not case.name.startswith("sample"))


class DialectSuite(OurSuite):
    """The suite for a server whose replies are read as OpenAI's are: on its requests, and what is recorded of it alone."""

    test_there_is_something_to_check = None
    test_the_end_mark_sets_done = None
    test_malformed_bytes_in_a_stream_crash_nothing = None
    test_an_event_without_end_is_not_kept = None

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        return [case for case in super().recorded(kind) if case.provider == cls.provider_name]


# --- wires ----------------------------------------------------------------------------------------------------------


class TestOpenAI(OurSuite):
    provider_name = "openai"


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


class TestLocal(DialectSuite):
    provider_name = "local"


class TestOllamaV1(DialectSuite):
    provider_name = "ollama-v1"


class TestLlamaCpp(DialectSuite):
    provider_name = "llama.cpp"


class TestVllm(DialectSuite):
    provider_name = "vllm"


class TestLmstudio(DialectSuite):
    provider_name = "lmstudio"


class TestGroq(DialectSuite):
    provider_name = "groq"


class TestMistral(DialectSuite):
    provider_name = "mistral"


class TestDeepseek(DialectSuite):
    provider_name = "deepseek"


class TestTogether(DialectSuite):
    provider_name = "together"


class TestXai(DialectSuite):
    provider_name = "xai"


class TestFireworks(DialectSuite):
    provider_name = "fireworks"


class TestCerebras(DialectSuite):
    provider_name = "cerebras"


class TestAzure(DialectSuite):
    provider_name = "azure"


def suites(base: type[OurSuite]) -> list[type[OurSuite]]:
    found = base.__subclasses__()
    return [suite for suite in found if suite is not DialectSuite] + [one for suite in found for one in suites(suite)]


def test_every_provider_is_tested() -> None:
    assert sorted(suite.provider_name for suite in suites(OurSuite)) == sorted(every_provider())


def test_the_dialects_have_the_decoder_of_openai() -> None:
    default = Dialect()
    for suite in suites(DialectSuite):
        assert isinstance(suite.codec, OpenAICodec)
        dialect, own = suite.codec.dialect, vars(type(suite.codec))
        assert not {"decode", "stream_decoder", "decode_error"} & own.keys() or type(suite.codec) is OpenAICodec
        assert (dialect.done_required, dialect.provider_data_field) == (
            default.done_required,
            default.provider_data_field,
        ), suite.provider_name
