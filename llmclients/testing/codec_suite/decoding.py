"""Every way to cut bytes, and what a decoder makes of the pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from random import Random
from typing import Any, TypeVar

from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.base import Codec, StreamDecoder
from llmclients.errors import APIError, APIStatusError
from llmclients.types.response import ChatResponse, Chunk

__all__ = ["Outcome", "chunks_of", "cut_at", "decode", "every_split", "plain", "splittings", "whole_reply"]

SHORT = 90
"""Bytes of data up to which every pair of cuts is tried: some four thousand ways."""
MULTI_CUTS = 20
"""How often longer data is cut at several random places; the same ones in every run."""

T = TypeVar("T")


def splittings(data: bytes) -> Iterator[list[bytes]]:
    """`data` whole, byte by byte, in two at every place, and at several places: every pair of them when it is short."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for cut in range(len(data) + 1):
        yield [data[:cut], data[cut:]]
    if len(data) <= SHORT:
        for first, second in combinations(range(1, len(data)), 2):
            yield [data[:first], data[first:second], data[second:]]
        return
    dice = Random(len(data))
    for _ in range(MULTI_CUTS):
        yield cut_at(data, dice.sample(range(1, len(data)), dice.randint(2, 12)))


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
        found = run(pieces)
        assert found == expected, f"cut as {pieces} it comes to\n{found}\nand whole to\n{expected}"
    for extra in trailing:
        both = data + extra
        for pieces in ([both], [data, extra], [both[at : at + 1] for at in range(len(both))]):
            found = run(pieces)
            assert found == expected, f"with {extra!r} after its end it comes to\n{found}\nand without to\n{expected}"
    return expected


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

    @classmethod
    def from_error(cls, error: APIError, response: ChatResponse, *, done: bool = False) -> Outcome:
        """The outcome that ended in this error."""
        status = error.status_code if isinstance(error, APIStatusError) else None
        return cls(response, type(error), str(error), status, error.retryable, done)


def decode(decoder: StreamDecoder, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces, then the end, to the first error. Anything but an APIError is the decoder's bug, and passes."""
    fold = Accumulator()

    def take(chunks: Iterator[Chunk]) -> None:
        for chunk in chunks:
            assert type(chunk) is Chunk, f"a decoder yields chunks, not {type(chunk).__name__}"
            fold.add(chunk)

    try:
        for piece in pieces:
            take(decoder.feed(piece))
        take(decoder.finish())
    except APIError as error:
        return Outcome.from_error(error, fold.response(), done=decoder.done)
    return Outcome(fold.response(), done=decoder.done)


def whole_reply(codec: Codec, body: bytes) -> ChatResponse:
    """What a codec reads in a whole reply, as the clients make a response of it.

    Raises:
        APIError: the reply is none.
    """
    chunk = codec.decode(body)
    assert type(chunk) is Chunk, f"decode makes a Chunk, not {type(chunk).__name__}"
    assert chunk.role == "assistant", f"the role of a whole reply is assistant, not {chunk.role}"
    indexes = [call.index for call in chunk.tool_calls]
    assert indexes == [*range(len(indexes))], f"the calls of a whole reply have the indexes {indexes}"
    accumulator = Accumulator()
    accumulator.add(chunk)
    response = accumulator.response()
    response.raw = chunk.raw
    return response


def chunks_of(decoder: StreamDecoder, *pieces: bytes) -> list[Chunk]:
    """Every chunk of a stream that ends well."""
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())


def plain(response: ChatResponse) -> dict[str, Any]:
    """What a response holds besides its defaults and `raw`, as JSON values."""
    return response.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
