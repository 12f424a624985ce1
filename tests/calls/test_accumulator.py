"""Chunks to a response: however they are grouped, and in the memory of their text."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.calls.accumulator import Accumulator
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
)


def folded(*chunks: Chunk) -> ChatResponse:
    fold = Accumulator()
    for chunk in chunks:
        fold.add(chunk)
    return fold.response()


def delta(index: int = 0, **fields: Any) -> ToolCallDelta:
    return ToolCallDelta(index=index, **fields)


def test_nothing_makes_an_empty_response() -> None:
    fold = Accumulator()

    assert fold.started is False
    assert fold.response() == ChatResponse()


def test_everything_is_joined() -> None:
    response = folded(
        Chunk(role="assistant", id="c1", model="m"),
        Chunk(reasoning="2+"),
        Chunk(reasoning="2", text="Fo"),
        Chunk(text="ur"),
        Chunk(finish_reason="stop", usage=Usage(input_tokens=1), raw={"last": True}),
    )

    assert response == ChatResponse(
        text="Four",
        reasoning="2+2",
        finish_reason="stop",
        usage=Usage(input_tokens=1),
        model="m",
        id="c1",
        raw={"last": True},
    )


def test_of_several_usages_the_last_counts_and_none_takes_nothing_away() -> None:
    response = folded(Chunk(usage=Usage(output_tokens=1)), Chunk(usage=Usage(output_tokens=2)), Chunk(text="a"))

    assert response.usage == Usage(output_tokens=2)


def test_of_several_finish_reasons_the_one_that_says_most_counts_with_its_own_event() -> None:
    for reasons, expected in {
        ("length", "stop"): 0,
        ("stop", "length"): 1,
        ("stop", "stop"): 0,
        ("stop", "tool_calls"): 1,
        ("tool_calls", "stop"): 0,
        ("tool_calls", "length"): 1,
        ("content_filter", "length"): 0,
        ("error", "stop"): 0,
    }.items():
        chunks = [Chunk(finish_reason=reason, raw=at) for at, reason in enumerate(reasons)]  # type: ignore[arg-type]
        response = folded(*chunks, Chunk(finish_reason=None, raw=3))
        assert (response.finish_reason, response.raw) == (reasons[expected], expected)


def test_a_later_chunk_without_id_or_model_keeps_what_was_said() -> None:
    response = folded(Chunk(id="c1", model="m1"), Chunk(id="", model=""), Chunk(model="m2"), Chunk())

    assert (response.id, response.model) == ("c1", "m2")


def test_empty_reasoning_is_none() -> None:
    assert folded(Chunk(reasoning=""), Chunk(reasoning=None)).reasoning is None


def test_tool_calls_are_joined_by_index_and_come_in_its_order() -> None:
    response = folded(
        Chunk(tool_calls=[delta(1, id="b", name="g", arguments="[")]),
        Chunk(tool_calls=[delta(0, id="a", name="f", arguments="{"), delta(1, arguments="]")]),
        Chunk(tool_calls=[delta(0, id="late", name="late", arguments="}")]),
        Chunk(tool_calls=[delta(2, id="c", name="h")]),
    )

    assert response.tool_calls == [
        ToolCall(id="a", name="f", arguments="{}"),
        ToolCall(id="b", name="g", arguments="[]"),
        ToolCall(id="c", name="h", arguments="{}"),
    ]


def test_a_restart_discards_what_came_before() -> None:
    fold = Accumulator()
    for chunk in (
        Chunk(text="old", reasoning="old", id="old", model="old", usage=Usage(input_tokens=1)),
        Chunk(tool_calls=[delta(id="old", name="old")], finish_reason="error", raw="old"),
        Chunk(restarted=True),
    ):
        fold.add(chunk)

    assert fold.response() == ChatResponse()
    assert fold.started is False
    fold.add(Chunk(text="new"))
    assert fold.response() == ChatResponse(text="new")
    assert fold.started is True


def test_a_response_so_far_does_not_stop_the_fold_nor_change_with_it() -> None:
    fold = Accumulator()
    fold.add(Chunk(text="a", tool_calls=[delta(id="a", name="f", arguments="{")]))
    early = fold.response()
    fold.add(Chunk(text="b", tool_calls=[delta(arguments="}")]))

    assert (early.text, early.tool_calls[0].arguments_text) == ("a", "{")
    assert (fold.response().text, fold.response().tool_calls[0].arguments_text) == ("ab", "{}")
    assert fold.response() == fold.response()


# --- properties -----------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
CALLS = st.builds(
    ToolCallDelta,
    index=st.integers(0, 2),
    id=st.sampled_from(["a", "b"]),
    name=st.sampled_from(["f", "g"]),
    arguments=TEXT,
)
CHUNKS = st.lists(
    st.builds(
        Chunk,
        text=TEXT,
        reasoning=st.none() | TEXT,
        tool_calls=st.lists(CALLS, max_size=2),
        finish_reason=st.sampled_from([None, None, "stop", "length"]),
        usage=st.none() | st.builds(Usage, input_tokens=st.integers(0, 9)),
        model=st.sampled_from([None, "m", "n"]),
        id=st.sampled_from([None, "c1", "c2"]),
        logprobs=st.lists(st.builds(TokenLogprob, token=TEXT, logprob=st.floats(-9, 0)), max_size=2),
        provider_data=st.sampled_from([None, {"a": [1]}, {"b": []}]),
        restarted=st.sampled_from([False] * 9 + [True]),
    ),
    max_size=12,
)


def pieces(chunk: Chunk) -> list[Chunk]:
    """The same, as many chunks as can be: every character and every member on its own."""
    if chunk.restarted:
        return [chunk]
    return [
        *(Chunk(text=character) for character in chunk.text),
        *(Chunk(reasoning=character) for character in chunk.reasoning or ""),
        *(
            Chunk(tool_calls=[ToolCallDelta(index=call.index, id=call.id, name=call.name, arguments=part)])
            for call in chunk.tool_calls
            for part in (call.arguments or [""])
        ),
        *(Chunk(logprobs=[token]) for token in chunk.logprobs),
        Chunk(usage=chunk.usage),
        Chunk(provider_data=chunk.provider_data),
        Chunk(model=chunk.model),
        Chunk(id=chunk.id),
        Chunk(finish_reason=chunk.finish_reason),
        Chunk(),
    ]


@given(CHUNKS)
def test_chunks_fold_to_the_same_however_they_are_cut(chunks: list[Chunk]) -> None:
    assert folded(*(piece for chunk in chunks for piece in pieces(chunk))) == folded(*chunks)


@given(CHUNKS)
def test_a_fold_is_the_plain_sum_of_its_chunks(chunks: list[Chunk]) -> None:
    last = max((place for place, chunk in enumerate(chunks) if chunk.restarted), default=-1)
    live = chunks[last + 1 :]

    response = folded(*chunks)

    assert response.text == "".join(chunk.text for chunk in live)
    assert (response.reasoning or "") == "".join(chunk.reasoning or "" for chunk in live)
    assert response.usage == next((chunk.usage for chunk in reversed(live) if chunk.usage), None)
    reasons = [chunk.finish_reason for chunk in live if chunk.finish_reason]
    reason = reasons[-1] if reasons else None
    assert response.finish_reason == ("tool_calls" if reason == "stop" and response.tool_calls else reason)
    assert (response.logprobs or []) == [token for chunk in live for token in chunk.logprobs]
    assert response.provider_data == next(
        (chunk.provider_data for chunk in reversed(live) if chunk.provider_data is not None), None
    )
    deltas = [call for chunk in live for call in chunk.tool_calls]
    for call, index in zip(response.tool_calls, sorted({call.index for call in deltas}), strict=True):
        own = [delta for delta in deltas if delta.index == index]
        assert (call.id, call.name) == (own[0].id, own[0].name)
        assert call.arguments_text == ("".join(delta.arguments for delta in own) or "{}")


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("piece", ["words ", "🌊"])
def test_many_chunks_take_the_memory_of_their_text(piece: str) -> None:
    count = 200_000
    fold = Accumulator()
    chunk = make_chunk(piece)

    tracemalloc.start()
    try:
        for _ in range(count):
            fold.add(chunk)
        text = fold.response().text
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert text == piece * count
    assert most <= 3 * sys.getsizeof(text), "the text itself included"
