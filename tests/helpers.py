"""What the tests of the pure rooms share: every way to cut bytes, and the recordings under `wire/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, TypeVar

from llmclients.codecs.base import Codec, StreamDecoder
from llmclients.errors import APIError, APIStatusError
from llmclients.fold import Fold
from llmclients.models import ChatResponse, Chunk
from llmclients.providers import find_provider

WIRE = Path(__file__).parent / "wire"
SHORT = 90
"""Bytes of data up to which every pair of cuts is tried: some four thousand ways."""

T = TypeVar("T")


# --- cutting --------------------------------------------------------------------------------------------------------


def splittings(data: bytes) -> Iterator[list[bytes]]:
    """`data` whole, byte by byte, in two at every place, and, when it is short, in three at every pair of places."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for cut in range(len(data) + 1):
        yield [data[:cut], data[cut:]]
    if len(data) <= SHORT:
        for first, second in combinations(range(1, len(data)), 2):
            yield [data[:first], data[first:second], data[second:]]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that begin at these places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def every_split(data: bytes, run: Callable[[Sequence[bytes]], T], trailing: Sequence[bytes] = ()) -> T:
    """What `run` makes of `data`, after checking that it makes the same of it however it is cut.

    `trailing`: what may follow the end mark without a difference, glued to the last piece or as a piece of its own.
    """
    expected = run([data])
    for pieces in splittings(data):
        assert run(pieces) == expected, pieces
    for extra in trailing:
        assert run([data + extra]) == expected, extra
        assert run([data, extra]) == expected, extra
        assert run([(data + extra)[at : at + 1] for at in range(len(data + extra))]) == expected, extra
    return expected


# --- decoding -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a stream came to: what its chunks make together, and the error that ended it, if one did."""

    response: ChatResponse
    error: type[APIError] | None = None
    message: str = ""
    status: int | None = None
    retryable: bool | None = None
    done: bool = False

    def __eq__(self, other: object) -> bool:
        # The words of an error may quote what was there when it was found, so they depend on the cut.
        return isinstance(other, Outcome) and self._essence() == other._essence()

    __hash__ = None  # type: ignore[assignment]

    def _essence(self) -> tuple[Any, ...]:
        return self.response, self.error, self.status, self.retryable, self.done


def decode(decoder: StreamDecoder, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces, then the end, to the first error. Anything but an APIError is the decoder's bug."""
    fold = Fold()

    def take(chunks: Iterator[Chunk]) -> None:
        for chunk in chunks:
            assert type(chunk) is Chunk
            fold.add(chunk)

    try:
        for piece in pieces:
            take(decoder.feed(piece))
        take(decoder.finish())
    except APIError as error:
        status = error.status_code if isinstance(error, APIStatusError) else None
        return Outcome(fold.response(), type(error), str(error), status, error.retryable, decoder.done)
    return Outcome(fold.response(), done=decoder.done)


def chunks_of(decoder: StreamDecoder, *pieces: bytes) -> list[Chunk]:
    """Every chunk of a stream that ends well."""
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())


def plain(response: ChatResponse) -> dict[str, Any]:
    """What a response holds besides its defaults and `raw`, as JSON values."""
    return response.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)


# --- recordings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """Bytes as they go over the wire, and what they come to: `wire/PROVIDER/KIND/NAME`, and the same with `.json`.

    A case is added by adding the two files. `expected` of each kind is described in `wire/README.md`.
    """

    provider: str
    name: str
    data: bytes
    expected: dict[str, Any]

    @property
    def codec(self) -> Codec:
        return find_provider(self.expected.get("provider", self.provider)).load_codec()

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


def recordings(kind: str) -> list[Recording]:
    """All recordings of a kind: `requests`, `replies`, `streams` or `errors`."""
    found = []
    for path in sorted(WIRE.glob(f"*/{kind}/*")):
        if path.suffix == ".json":
            assert path.with_suffix("").exists(), f"{path} describes no recording"
            continue
        described = path.with_name(path.name + ".json")
        expected = json.loads(described.read_text(encoding="utf-8"))
        found.append(Recording(path.parent.parent.name, path.name, path.read_bytes(), expected))
    return found
