"""The reader of JSON in pieces, alone: pieces of four characters, looked at after each, up to 1 MiB."""

from __future__ import annotations

import json

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from llmclients.types.partial_json import PartialJSON

PIECE = 4
INVOICE = {"number": 1234, "total": 12.5, "paid": True, "lines": [{"what": "café au lait", "price": None}, []]}
UNITS = {
    "objects": json.dumps(INVOICE),
    "numbers": "1,2",
    "text": json.dumps("Once upon a time there was a river. " * 8),
}


def document(unit: str, size: int) -> list[str]:
    """A list of such values, of about so many characters, in pieces."""
    text = '{"value": [' + ", ".join([UNITS[unit]] * (size // (len(UNITS[unit]) + 2))) + "]}"
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def one_string(size: int) -> list[str]:
    """One string of so many characters, in pieces."""
    return ['{"a":"', *["abcd"] * (size // PIECE), '"}']


def read(pieces: list[str]) -> PartialJSON:
    reader = PartialJSON("value")
    for piece in pieces:
        reader.feed(piece)
        _ = reader.value
    return reader


@pytest.mark.parametrize("size", [1024, 64 * 1024, 1024 * 1024])
@pytest.mark.parametrize("unit", [*UNITS, "one string"])
def test_pieces_of_four_characters(benchmark: BenchmarkFixture, unit: str, size: int) -> None:
    pieces = one_string(size) if unit == "one string" else document(unit, size)
    benchmark.extra_info |= {"pieces": len(pieces)}
    reader = benchmark.pedantic(read, args=(pieces,), rounds=3, warmup_rounds=1)
    assert reader.is_complete
    assert reader.value == json.loads("".join(pieces))
