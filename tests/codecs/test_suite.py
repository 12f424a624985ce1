"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
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
        return list(_recorded(cls.provider_name, kind))


class OurSuite(OfProvider, CodecSuite):
    """All of the suite."""

    def _is_cut_everywhere(self, stream: Recording) -> bool:
        """Of server-sent events only OpenAI's: all come through `framing.py`, whose own tests cut at every byte."""
        return super()._is_cut_everywhere(stream) and (not _is_framed(stream) or self.provider_name == "openai")

    def _early_ends(self, stream: Recording) -> Iterable[int]:
        """For the same reason these end with or without the end of a line, with a byte more, or in the first line."""
        if self._is_cut_everywhere(stream) or not _is_framed(stream):
            return super()._early_ends(stream)
        data = stream.data
        around = (place for end in re.finditer(rb"[\r\n]+", data) for place in (*end.span(), end.end() + 1))
        return sorted({0, 1, *(place for place in around if place < len(data))})

    def _sides(self, case: Recording) -> tuple[str, ...]:
        """The samples by both clients, the rest by each in turn: a codec does not know who calls it."""
        sides = super()._sides(case)
        return sides if case.name.startswith("sample") else (sides[len(case.data) % len(sides)],)


@cache
def _recorded(provider: str, kind: str) -> list[Recording]:
    return sorted(recordings_for(provider, kind), key=lambda case: not case.name.startswith("sample"))


def _is_framed(stream: Recording) -> bool:
    return stream.content_type.startswith("text/event-stream")


class DialectSuite(OfProvider, RequestChecks):
    """A server to whom requests are written in a dialect, and whose replies are read as OpenAI's: with its recordings."""


# --- wires ----------------------------------------------------------------------------------------------------------


class OpenAI(OurSuite):
    provider_name = "openai"

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        """With the replies and streams of the servers that are read alike."""
        alike = {suite.provider_name for suite in DialectSuite.__subclasses__()}
        more = [case for case in recordings(kind) if case.provider in alike] if kind in ("replies", "streams") else []
        return super().recorded(kind) + more


class OpenAIResponses(OurSuite):
    provider_name = "openai-responses"


class Anthropic(OurSuite):
    provider_name = "anthropic"


class Gemini(OurSuite):
    provider_name = "gemini"
    has_end_mark = False


class Cohere(OurSuite):
    provider_name = "cohere"


class Ollama(OurSuite):
    provider_name = "ollama"


class Ylokh(OurSuite):
    provider_name = "ylokh"


class Yqcloud(OurSuite):
    provider_name = "yqcloud"
    has_end_mark = False


class YqcloudLegacy(OurSuite):
    provider_name = "yqcloud-legacy"
    has_end_mark = False


class Ai365vip(OurSuite):
    provider_name = "ai365vip"
    has_end_mark = False


class Openrouter(OurSuite):
    provider_name = "openrouter"


class Perplexity(OurSuite):
    provider_name = "perplexity"


# --- dialects of chat completions -----------------------------------------------------------------------------------


class Local(OurSuite):
    provider_name = "local"


class Minimax(OurSuite):
    provider_name = "minimax"


WIRES = OurSuite.__subclasses__()
IN_HUNDREDS_OF_WAYS = {  # and so not for every commit
    "test_a_stream_comes_to_the_same_however_it_is_cut",
    "test_an_early_end_is_an_error",
    "test_a_cut_is_never_an_answer",
    "test_wrong_types_and_numbers_in_a_stream_crash_nothing",
    "test_a_reply_with_wrong_types_and_numbers_crashes_nothing",
    "test_malformed_bytes_in_a_stream_crash_nothing",
}
ONCE = {name for name in dir(OurSuite) if name.startswith("test_")} - IN_HUNDREDS_OF_WAYS
of_each_wire = pytest.mark.parametrize("suite", WIRES, ids=lambda suite: suite.provider_name)


@of_each_wire
def test_a_codec(suite: type[OurSuite], subtests: pytest.Subtests) -> None:
    for name in sorted(ONCE):
        with subtests.test(name):
            getattr(suite(), name)()


@pytest.mark.long
@of_each_wire
def test_a_codec_in_hundreds_of_ways(suite: type[OurSuite], subtests: pytest.Subtests) -> None:
    for name in sorted(IN_HUNDREDS_OF_WAYS):
        with subtests.test(name):
            getattr(suite(), name)()


OTHERS = [  # each that has no suite above
    type(provider.name, (DialectSuite,), {"provider_name": provider.name})
    for provider in (*PRESETS, *HOSTS)
    if provider.name not in {suite.provider_name for suite in WIRES}
]


@pytest.mark.parametrize("dialect", OTHERS, ids=lambda suite: suite.provider_name)
def test_a_request_in_a_dialect(dialect: type[DialectSuite], subtests: pytest.Subtests) -> None:
    for name, check in dialect.checks():
        with subtests.test(name):
            check()


def test_every_provider_is_tested() -> None:
    suites = WIRES + DialectSuite.__subclasses__()

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
