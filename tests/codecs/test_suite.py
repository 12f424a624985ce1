"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`.

A preset shares its codec with another provider: besides the recordings that name it, it is tested with the samples of
the wire that the codec is named after.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from helpers import WIRE, Recording, recordings

from llmclients.providers import find_provider, provider_names
from llmclients.testing.codec_suite import CodecSuite

LATER = {"anthropic", "cohere", "gemini", "ollama", "openai-responses"}  # merge: delete this line, and `- LATER` below
ENDS_WITH_THE_BODY = {"ai365vip", "gemini", "yqcloud", "yqcloud-legacy"}
"""Wires without an end mark that makes the rest of the body meaningless."""

recorded_once = cache(recordings)


class OurSuite(CodecSuite):
    """With the recordings for its provider; for a preset, with its codec's samples, too."""

    provider_name: str

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        own = [case for case in recorded_once(kind) if case.provider == cls.provider_name]
        if (WIRE / cls.provider_name).exists() or kind == "requests":  # a preset may write them otherwise
            return own
        return own + [case for case in recorded_once(kind) if str(case).startswith(f"{cls.codec.name}/sample")]


def suite(name: str) -> type[CodecSuite]:
    provider = find_provider(name)
    attributes: dict[str, Any] = {
        "__module__": __name__,
        "codec": provider.load_codec(),
        "provider_name": name,
        "has_end_mark": name not in ENDS_WITH_THE_BODY,
    }
    asked = [case.expected["model"] for case in recorded_once("requests") if case.provider == name]
    model = provider.default_model or next(filter(None, asked), None)
    return type(f"Test_{name}", (OurSuite,), attributes | ({"model": model} if model else {}))


for _name in sorted(set(provider_names()) - LATER):
    globals()[f"Test_{_name}"] = suite(_name)


def test_every_provider_is_tested() -> None:
    tested = {kind.provider_name for kind in globals().values() if isinstance(kind, type) and kind.__base__ is OurSuite}

    assert tested == set(provider_names()) - LATER
