"""The codec suite on every provider's codec. One without recordings fails; whoever adds one adds `tests/wire/NAME/`."""

from __future__ import annotations

from typing import Any

from helpers import Recording, every_provider, model_of, recordings_for

from llmclients.providers.registry import find_provider
from llmclients.testing.codec_suite import CodecSuite

ENDS_WITH_THE_BODY = {"ai365vip", "gemini", "yqcloud", "yqcloud-legacy"}
"""Wires without an end mark that makes the rest of the body meaningless."""


class OurSuite(CodecSuite):
    """With the recordings for its provider."""

    provider_name: str

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:  # type: ignore[override]
        return recordings_for(cls.provider_name, kind)


def suite(name: str) -> type[CodecSuite]:
    attributes: dict[str, Any] = {
        "__module__": __name__,
        "codec": find_provider(name).load_codec(),
        "provider_name": name,
        "model": model_of(name),
        "has_end_mark": name not in ENDS_WITH_THE_BODY,
    }
    return type(f"Test_{name}", (OurSuite,), attributes)


for _name in every_provider():
    globals()[f"Test_{_name}"] = suite(_name)


def test_every_provider_is_tested() -> None:
    tested = [kind.provider_name for kind in globals().values() if isinstance(kind, type) and kind.__base__ is OurSuite]

    assert tested == every_provider()
