"""What each codec's decoder is given when it runs alone: bodies, cut into reads."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import wire
from llmclients.codecs.base import Codec
from llmclients.models import Chunk
from llmclients.providers import find_provider, provider_names

__all__ = ["EVENT_CODECS", "codecs", "count_chunks", "decode", "reads"]

EVENT_CODECS = frozenset({"openai", "ylokh"})
"""The codecs whose body is events; the others' is the text itself."""


def codecs() -> dict[str, Codec]:
    """Every codec that some provider uses, once."""
    found = (find_provider(name).load_codec() for name in provider_names())
    return {codec.name: codec for codec in found}


def reads(codec: str, count: int, per_read: int) -> list[bytes]:
    """A body of `count` texts as the network may bring it, so many texts at a time."""
    if codec in EVENT_CODECS:
        parts = [wire.event({"content": text}) for text in wire.texts(count)]
        ends = [wire.event({}, "stop"), b"data: [DONE]\n\n"]
    else:
        parts, ends = [text.encode() for text in wire.texts(count)], []
    return [b"".join(parts[start : start + per_read]) for start in range(0, count, per_read)] + ends


def decode(codec: Codec, parts: list[bytes]) -> Iterator[Chunk]:
    """The chunks of a body."""
    decoder = codec.stream_decoder("text/event-stream" if codec.name in EVENT_CODECS else "text/plain")
    for part in parts:
        yield from decoder.feed(part)
    yield from decoder.finish()


def count_chunks(codec: Codec, parts: list[bytes]) -> int:
    """How many there are. None is kept: that would be the garbage collector's time, not the decoder's."""
    count = 0
    for _ in decode(codec, parts):
        count += 1
    return count
