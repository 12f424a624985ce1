"""The recordings under `wire/`; and by its old name what the codec suite has for those who decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmclients.codecs.base import Codec
from llmclients.providers import find_provider
from llmclients.testing import codec_suite
from llmclients.testing.codec_suite import Outcome, chunks_of, cut_at, decode, every_split, load_recordings, plain

__all__ = ["WIRE", "Outcome", "Recording", "chunks_of", "cut_at", "decode", "every_split", "plain", "recordings"]

WIRE = Path(__file__).parent / "wire"


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


def recordings(kind: str) -> list[Recording]:
    """All recordings of a kind: `requests`, `replies`, `streams` or `errors`."""
    folders = sorted(path for path in WIRE.iterdir() if path.is_dir())
    return [Recording(**vars(case)) for folder in folders for case in load_recordings(folder, kind)]
