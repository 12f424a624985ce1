"""Several answers in one reply: each is kept, none gets into another, whole and streamed, in both clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from llmclients import (
    APIResponseError,
    AsyncClient,
    ChatResponse,
    Choice,
    Chunk,
    Client,
    ConfigurationError,
    InvalidRequestError,
    Message,
    StructuredOutputError,
    ToolLoopError,
)
from llmclients.calls.accumulator import Accumulator
from llmclients.calls.think_tags import ThinkTags
from llmclients.testing import MockTransport, Reply
from llmclients.types.limits import MAX_CHOICES

PROVIDERS = {"openai": "openai/m", "gemini": "gemini/gemini-2.5-flash"}


def whole(wire: str, *texts: str, **more: Any) -> Reply:
    if wire == "gemini":
        listed = [
            {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": index}
            for index, text in enumerate(texts)
        ]
        return Reply(json={"candidates": listed})
    listed = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"} for index, text in enumerate(texts)
    ]
    return Reply(json={"choices": listed, **more})


def streamed(wire: str, pieces: Sequence[tuple[int, str, str | None]]) -> Reply:
    """A stream of pieces: index, text, finish reason."""
    events = []
    for index, text, reason in pieces:
        if wire == "gemini":
            candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": index}
            events.append({"candidates": [candidate | ({"finishReason": reason.upper()} if reason else {})]})
        else:
            events.append({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + (
        "" if wire == "gemini" else "data: [DONE]\n\n"
    )
    return Reply(body=body.encode(), headers={"content-type": "text/event-stream"})


def chat(provider: str, reply: Reply, **options: Any) -> ChatResponse:
    """The answer to `chat`, the same from both clients; and what was asked for went out."""
    transport = MockTransport([reply])
    with Client(provider, api_key="k", transport=transport) as client:
        response = client.chat("Hi", **options)

    async def ask() -> ChatResponse:
        async with AsyncClient(provider, api_key="k", transport=MockTransport([reply])) as client:
            return await client.chat("Hi", **options)

    assert asyncio.run(ask()) == response
    return response


def test_with_n_the_response_has_all_answers_and_its_text_is_the_first_s() -> None:
    for wire, provider in PROVIDERS.items():
        response = chat(provider, whole(wire, "Red", "Blue", "Green"), n=3)

        assert response == "Red"
        assert [(one.index, one.text, one.finish_reason) for one in response.choices] == [
            (0, "Red", "stop"),
            (1, "Blue", "stop"),
            (2, "Green", "stop"),
        ]
        assert response.choices[1].message == Message("assistant", "Blue")
        loaded = ChatResponse.model_validate_json(response.model_dump_json())
        assert loaded.model_dump() == response.model_dump()  # not the headers, which no dump has
        assert len(repr(response).splitlines()) == 1


def test_an_answer_alone_is_a_list_of_one() -> None:
    response = chat("openai/m", whole("openai", "Red"))

    assert response.choices == [Choice(0, "Red", finish_reason="stop")]
    assert response.other_choices == []


def test_what_is_asked_for_by_extra_or_comes_unasked_is_kept_as_well() -> None:
    for wire, provider in PROVIDERS.items():
        for extra in (None, {"n": 2} if wire == "openai" else {"generationConfig": {"candidateCount": 2}}):
            assert [str(one) for one in chat(provider, whole(wire, "Red", "Blue"), extra=extra).choices] == [
                "Red",
                "Blue",
            ]


PIECES = [(0, "Re", None), (1, "Bl", None), (1, "ue", "stop"), (0, "d", None), (0, "", "stop")]


def test_a_stream_never_mixes_them_and_loses_none() -> None:
    for wire, provider in PROVIDERS.items():
        for order in (PIECES, [PIECES[1], *PIECES[:1], *PIECES[2:]]):  # whichever begins
            with Client(provider, api_key="k", transport=MockTransport([streamed(wire, order)])) as client:
                stream = client.stream("Hi")
                chunks = list(stream)

            assert "".join(map(str, chunks)) == stream.response.text == "Red"
            others = [piece for chunk in chunks for piece in chunk.other_choices]
            assert {piece.index for piece in others} == {1}
            assert "".join(map(str, others)) == "Blue"
            assert stream.response.other_choices == [Choice(1, "Blue", finish_reason="stop")]


def test_a_stream_refuses_n_before_anything_is_sent() -> None:
    transport = MockTransport([])
    clients: list[Any] = [kind("openai/m", api_key="k", transport=transport) for kind in (Client, AsyncClient)]
    for client in clients:
        for ask in (client.stream, client.conversation().stream):
            with pytest.raises(InvalidRequestError, match=r"a stream is of one answer, not of n=2: use chat") as caught:
                ask("Hi", n=2)
            assert caught.value.argument == "n"
    assert transport.requests == []


def test_n_that_is_no_count_and_other_wrong_values_are_refused() -> None:
    client = Client("openai/m", api_key="k", transport=MockTransport([]))
    for name, value in (
        ("n", 0),
        ("n", "2"),
        ("n", True),
        ("logit_bias", [1]),
        ("logit_bias", {7: "x"}),
        ("metadata", "x"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            client.chat("Hi", **{name: value})
        assert caught.value.argument == name


# --- formats and tools ------------------------------------------------------------------------------------------------


def test_each_answer_is_parsed() -> None:
    response = chat("openai/m", whole("openai", '{"a": 1}', '{"a": 2}'), n=2, response_format=dict[str, int])

    assert [one.parsed for one in response.choices] == [{"a": 1}, {"a": 2}]


def test_one_that_does_not_fit_is_an_error_that_has_those_that_do() -> None:
    for texts, words in (
        (("1", "two", "3"), "choice 1 is not what"),
        (("one", "2", "three"), "the answer is not what"),
    ):
        with pytest.raises(StructuredOutputError, match=words) as caught:
            chat("openai/m", whole("openai", *texts), n=3, response_format=int)

        assert caught.value.partial is not None
        assert caught.value.text == next(text for text in texts if not text.isdigit())
        assert [one.parsed for one in caught.value.partial.choices] == [
            int(text) if text.isdigit() else None for text in texts
        ]


def weather(city: str) -> str:
    return f"rain in {city}"


def test_run_tools_goes_on_from_one_answer_only() -> None:
    with pytest.raises(InvalidRequestError, match="run_tools goes on from one answer: ask without n"):
        chat("openai/m", whole("openai", "Hi"), n=2, tools=[weather], run_tools=True)
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    listed = [{"index": index, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"} for index in (0, 1)]
    with pytest.raises(ToolLoopError, match="of 2 answers, run_tools cannot go on from one"):
        chat("openai/m", Reply(json={"choices": listed}), tools=[weather], run_tools=True)


# --- what is held back, and limits ------------------------------------------------------------------------------------


def piece(index: int, text: str, **more: Any) -> Chunk:
    return Chunk(other_choices=[Chunk(text=text, index=index, **more)])


def test_each_has_its_own_tags_and_halves_of_characters() -> None:
    accumulator = Accumulator(ThinkTags)
    for chunk in (
        piece(1, "<think>hm"),
        piece(2, "\ud83d"),
        piece(1, "</thi"),
        piece(2, "\ude00!"),
        piece(1, "nk>Blue"),
    ):
        accumulator.add(chunk)
    accumulator.add(piece(3, "<thi"))
    last = accumulator.finish()

    assert last is not None
    assert [(one.index, one.text) for one in last.other_choices] == [(3, "<thi")]
    assert accumulator.response() == ChatResponse(
        other_choices=[Choice(1, "Blue", reasoning="hm"), Choice(2, "😀!"), Choice(3, "<thi")]
    )
    accumulator.add(Chunk(restarted=True))
    assert accumulator.response() == ChatResponse()


def test_a_chunk_of_text_may_have_pieces_of_others() -> None:
    accumulator = Accumulator()
    accumulator.add(Chunk(text="Red", other_choices=[Chunk(text="Blue", index=1)]))

    assert [str(one) for one in accumulator.response().choices] == ["Red", "Blue"]


def test_there_is_a_limit_to_them() -> None:
    texts = [str(index) for index in range(MAX_CHOICES + 1)]
    for wire, provider in PROVIDERS.items():
        with pytest.raises(APIResponseError, match="more than 1,000 choices"):
            Client(provider, api_key="k", retry=None, transport=MockTransport([whole(wire, *texts)])).chat("Hi")
        pieces = [(index, text, "stop") for index, text in enumerate(texts)]
        with pytest.raises(APIResponseError, match="more than 1,000 choices"):
            list(
                Client(provider, api_key="k", retry=None, transport=MockTransport([streamed(wire, pieces)])).stream(
                    "Hi"
                )
            )
