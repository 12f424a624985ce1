"""The recordings under `wire/`, and the providers they are for; and what the codec suite has for those who decode."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from hypothesis import strategies as st

from llmclients.codecs.base import Codec
from llmclients.providers.registry import find_provider, provider_names
from llmclients.testing import codec_suite
from llmclients.testing.codec_suite import (
    Outcome,
    chunks_of,
    cut_at,
    decode,
    every_split,
    load_recordings,
    plain,
    whole_reply,
)

__all__ = [
    "WIRE",
    "Outcome",
    "Recording",
    "argument_pieces",
    "chunks_of",
    "cut_at",
    "decode",
    "every_provider",
    "every_split",
    "model_of",
    "plain",
    "recordings",
    "recordings_for",
    "recordings_of_wire",
    "whole_reply",
]


@st.composite
def argument_pieces(draw: st.DrawFn) -> list[str]:
    """The arguments of a tool call as JSON text, cut into pieces; none, for a call without any."""
    texts = st.text(st.characters(codec="utf-8"), max_size=8)
    values = st.dictionaries(
        st.text("abc_", min_size=1, max_size=3), texts | st.integers() | st.lists(texts, max_size=2)
    )
    text = draw(st.just("") | values.map(json.dumps))
    places = [0, *sorted(draw(st.lists(st.integers(0, len(text)), max_size=3))), len(text)]
    return [text[begin:end] for begin, end in pairwise(places)]


WIRE = Path(__file__).parent / "wire"


def every_provider() -> list[str]:
    """Every provider there is."""
    return provider_names()


@dataclass(frozen=True)
class Recording(codec_suite.Recording):
    """Bytes as they go over the wire, and what they come to: `wire/PROVIDER/KIND/NAME`, and the same with `.json`.

    A case is added by adding the two files. `expected` of each kind is described in `wire/README.md`.
    """

    @property
    def provider(self) -> str:
        name: str = self.expected.get("provider", self.folder)
        return name

    @property
    def codec(self) -> Codec:
        return find_provider(self.provider).load_codec()


@cache
def _all(kind: str) -> tuple[Recording, ...]:
    folders = sorted(path for path in WIRE.iterdir() if path.is_dir())
    return tuple(Recording(**vars(case)) for folder in folders for case in load_recordings(folder, kind))


def recordings(kind: str) -> list[Recording]:
    """All recordings of a kind: `requests`, `replies`, `streams` or `errors`."""
    return list(_all(kind))


def recordings_for(provider: str, kind: str) -> list[Recording]:
    """Those for a provider; for a preset, which shares its codec with another provider, that codec's samples, too."""
    return list(_for_provider(provider, kind))


@cache  # the codec suite asks for each of its tests
def _for_provider(provider: str, kind: str) -> list[Recording]:
    if kind == "requests":  # a preset may write them otherwise
        return [case for case in _all(kind) if case.provider == provider]
    wire = recordings_of_wire(provider, kind)
    return [case for case in wire if case.provider == provider or case.name.startswith("sample")]


def recordings_of_wire(provider: str, kind: str) -> list[Recording]:
    """Those for a provider, or else for the one that its codec is named after."""
    names = {provider} if (WIRE / provider).exists() else {provider, find_provider(provider).load_codec().name}
    return [case for case in _all(kind) if case.provider in names]


def model_of(provider: str) -> str:
    """A model's name that the provider takes."""
    asked = (case.expected["model"] for case in recordings_for(provider, "requests"))
    return find_provider(provider).default_model or next(filter(None, asked), "model")


def open_descriptors() -> int:
    """How many files and sockets are open, without /dev/null, which uvloop opens once and keeps. 0 without /proc."""
    found, folder = 0, "/proc/self/fd"
    for number in os.listdir(folder) if os.path.isdir(folder) else ():
        with suppress(FileNotFoundError):  # the listing's own
            found += os.readlink(f"{folder}/{number}") != os.devnull
    return found
