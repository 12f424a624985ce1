"""Ways to cut bytes, and what a codec makes of them whole or in pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, pairwise
from random import Random
from typing import Any, TypeVar

from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.base import Codec, StreamDecoder
from llmclients.errors import APIError, APIStatusError
from llmclients.types.response import ChatResponse, Chunk

__all__ = [
    "Outcome",
    "chunks_of",
    "cut_at",
    "decode",
    "edges",
    "every_split",
    "plain",
    "single_bytes",
    "splittings",
    "whole_reply",
]

SHORT = 90
"""Bytes of data up to which every pair of cuts is tried: some four thousand ways."""
MULTI_CUTS = 10
"""How often longer data is cut at several random places; the same ones in every run."""
FEW_CUTS = 4
"""How often where not every place is tried."""

T = TypeVar("T")


# --- cutting --------------------------------------------------------------------------------------------------------


def edges(data: bytes) -> list[int]:
    """The places where an end can matter to a decoder that works on lines: for each of them it may be in another state.

    They are the first and the last three bytes, before, in and after each line end, the byte that follows, and the
    inside of each character of several bytes.
    """
    line_ends = [range(end.start(), end.end() + 2) for end in re.finditer(rb"[\r\n]+", data)]
    inside = [place for place, byte in enumerate(data) if byte & 0xC0 == 0x80]
    places = chain(range(4), range(len(data) - 3, len(data) + 1), *line_ends, inside)
    return sorted({place for place in places if 0 <= place <= len(data)})


def _alike(data: bytes) -> list[list[int]]:
    """Places where a cut can matter, those together that are as far from the end of their line, or in a character."""
    line_ends = [end.span() for end in re.finditer(rb"[\r\n]+", data)]
    around = [[start + offset for start, end in line_ends if start + offset < end + 3] for offset in range(-2, 7)]
    inside = [place for place, byte in enumerate(data) if byte & 0xC0 == 0x80]
    return [places for places in (*around, inside) if places]


def splittings(data: bytes, *, thorough: bool = True) -> Iterator[list[bytes]]:
    """`data` whole, byte by byte, and in many other ways.

    Args:
        data: the bytes.
        thorough: whether it is cut in two at every place, and when it is short at every pair of places. Where not, it
            is cut wherever that can matter: at once in all places that are alike.
    """
    yield [data]
    yield list(single_bytes(data))
    for places in [[cut] for cut in range(len(data) + 1)] if thorough else _alike(data):
        yield cut_at(data, places)
    if len(data) <= SHORT and thorough:
        for first, second in combinations(range(1, len(data)), 2):
            yield [data[:first], data[first:second], data[second:]]
        return
    rng = Random(len(data))
    for _ in range(MULTI_CUTS if thorough else FEW_CUTS):
        yield cut_at(data, [rng.randrange(len(data) + 1) for _ in range(rng.randint(2, 12))])


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that begin at these places."""
    starts = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(starts)]


def single_bytes(data: bytes) -> Iterator[bytes]:
    """`data` byte by byte."""
    return (data[at : at + 1] for at in range(len(data)))


def every_split(data: bytes, run: Callable[[Sequence[bytes]], T], *, thorough: bool = True) -> T:
    """What `run` makes of `data`, after checking that it makes the same of it however it is cut: see `splittings`."""
    expected = run([data])
    for pieces in islice(splittings(data, thorough=thorough), 1, None):  # the first is the whole
        found = run(pieces)
        assert found == expected, f"cut as {pieces} it comes to\n{found}\nand whole to\n{expected}"
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
        # An error's message may quote what was there when it was found, so it depends on the cut.
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
    accumulator = Accumulator()

    def take(chunk: Chunk) -> None:
        assert type(chunk) is Chunk, f"a decoder yields chunks, not {type(chunk).__name__}"
        if chunk.other_choices:
            _check_choices(chunk)
        accumulator.add(chunk)

    feed = decoder.feed
    try:
        for piece in pieces:  # often a single byte, which brings no chunk
            for chunk in feed(piece):
                take(chunk)
        for chunk in decoder.finish():
            take(chunk)
        accumulator.finish()
    except APIError as error:
        accumulator.finish()
        return Outcome.from_error(error, accumulator.response(), done=decoder.done)
    return Outcome(accumulator.response(), done=decoder.done)


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
    if chunk.other_choices:
        _check_choices(chunk)
    accumulator = Accumulator()
    chunk = accumulator.add(chunk)
    accumulator.finish()
    response = accumulator.response()
    response.raw = chunk.raw
    return response


def _check_choices(chunk: Chunk) -> None:
    """The pieces of other choices tell whose they are: the first one's are the chunk itself."""
    indexes = [piece.index for piece in chunk.other_choices]
    assert len({0, *indexes}) == len(indexes) + 1, f"the other choices of a chunk have the indexes {indexes}"


def chunks_of(decoder: StreamDecoder, *pieces: bytes) -> list[Chunk]:
    """Every chunk of a stream that ends well."""
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())


def plain(response: ChatResponse) -> dict[str, Any]:
    """What a response holds besides its defaults and `raw`, as JSON values."""
    return response.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
