"""The accumulator, alone: chunks to a response."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoding import codecs, decode, reads
from benchmarks.wire import texts
from llmclients import ChatResponse, Chunk, ToolCallDelta
from llmclients.calls.accumulator import Accumulator

SIZE = 1000


def accumulate(chunks: list[Chunk]) -> ChatResponse:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.response()


def test_text(benchmark: BenchmarkFixture) -> None:
    response = benchmark(accumulate, list(decode(codecs()["openai"], reads("openai", SIZE, 1))))
    assert response.text == "".join(texts(SIZE))
    assert response.finish_reason == "stop"


def test_tool_calls(benchmark: BenchmarkFixture) -> None:
    first = [
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="find")]),
        Chunk(tool_calls=[ToolCallDelta(index=1, id="b", name="read")]),
    ]
    pieces = [Chunk(tool_calls=[ToolCallDelta(index=n % 2, arguments="12")]) for n in range(SIZE)]
    response = benchmark(accumulate, first + pieces)
    assert [len(call.arguments_text) for call in response.tool_calls] == [SIZE, SIZE]
