"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`."""

from __future__ import annotations

from typing import ClassVar

from helpers import Recording, every_provider, model_of, recordings_for

from llmclients.providers.registry import find_provider
from llmclients.testing.codec_suite import CodecSuite


class OurSuite(CodecSuite):
    """The suite with a provider's codec, and its recordings from `tests/wire/`: the samples first."""

    provider_name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.codec = find_provider(cls.provider_name).load_codec()
        cls.model = model_of(cls.provider_name)

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        return sorted(recordings_for(cls.provider_name, kind), key=lambda case: not case.name.startswith("sample"))


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


# --- dialects of chat completions -----------------------------------------------------------------------------------


class TestLocal(OurSuite):
    provider_name = "local"


class TestOllamaV1(OurSuite):
    provider_name = "ollama-v1"


class TestLlamaCpp(OurSuite):
    provider_name = "llama.cpp"


class TestVllm(OurSuite):
    provider_name = "vllm"


class TestLmstudio(OurSuite):
    provider_name = "lmstudio"


class TestOpenrouter(OurSuite):
    provider_name = "openrouter"


class TestGroq(OurSuite):
    provider_name = "groq"


class TestMistral(OurSuite):
    provider_name = "mistral"


class TestDeepseek(OurSuite):
    provider_name = "deepseek"


class TestTogether(OurSuite):
    provider_name = "together"


class TestXai(OurSuite):
    provider_name = "xai"


class TestPerplexity(OurSuite):
    provider_name = "perplexity"


class TestFireworks(OurSuite):
    provider_name = "fireworks"


class TestCerebras(OurSuite):
    provider_name = "cerebras"


class TestAzure(OurSuite):
    provider_name = "azure"


def test_every_provider_is_tested() -> None:
    assert sorted(suite.provider_name for suite in OurSuite.__subclasses__()) == sorted(every_provider())
