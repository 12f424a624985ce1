"""Every codec's decoder, alone: one text in a read, as a server sends while it generates, and many."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoding import codecs, count_chunks, decode, reads
from benchmarks.wire import texts

SIZE = 1000


@pytest.mark.parametrize("per_read", [1, 64])
@pytest.mark.parametrize("codec", sorted(codecs()))
def test_decoder(benchmark: BenchmarkFixture, codec: str, per_read: int) -> None:
    parts = reads(codec, SIZE, per_read)
    benchmark.extra_info |= {"bytes": sum(map(len, parts)), "texts": SIZE}
    count = benchmark(count_chunks, codecs()[codec], parts)
    chunks = list(decode(codecs()[codec], parts))
    assert count == len(chunks)
    assert "".join(chunk.text for chunk in chunks) == "".join(texts(SIZE))
