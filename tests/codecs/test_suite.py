"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`.

A provider that shares its codec with another, and has no recordings of its own of some kind, is tested with the
samples of the wire that the codec is named after.
"""

from __future__ import annotations

from typing import Any

from helpers import WIRE

from llmclients.providers import find_provider, provider_names
from llmclients.testing.codec_suite import CodecSuite, Recording, load_recordings

LATER = {"anthropic", "cohere", "gemini", "ollama", "openai-responses"}  # merge: delete this line, and `- LATER` below
ENDS_WITH_THE_BODY = {"ai365vip", "yqcloud", "yqcloud-legacy"}
"""Wires without an end mark."""


class OurSuite(CodecSuite):
    """With the recordings of its provider, or its codec's samples."""

    provider_name: str

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:
        own = load_recordings(WIRE / cls.provider_name, kind)
        if own or kind == "requests":  # a request of another provider's may be written otherwise
            return own
        shared = load_recordings(WIRE / cls.codec.name, kind)
        return [case for case in shared if case.name.startswith("sample")]


def suite(name: str) -> type[CodecSuite]:
    provider = find_provider(name)
    attributes: dict[str, Any] = {
        "__module__": __name__,
        "codec": provider.load_codec(),
        "provider_name": name,
        "has_end_mark": name not in ENDS_WITH_THE_BODY,
    }
    asked = load_recordings(WIRE / name, "requests")
    model = provider.default_model or next((case.expected["model"] for case in asked if case.expected["model"]), None)
    return type(f"Test_{name}", (OurSuite,), attributes | ({"model": model} if model else {}))


for _name in sorted(set(provider_names()) - LATER):
    globals()[f"Test_{_name}"] = suite(_name)


def test_every_provider_is_tested() -> None:
    tested = {kind.provider_name for kind in globals().values() if isinstance(kind, type) and kind.__base__ is OurSuite}

    assert tested == set(provider_names()) - LATER
