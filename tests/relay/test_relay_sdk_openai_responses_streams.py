"""OpenAI's own SDK as the client of a running relay: the Responses API streamed, and broken off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scripted import Scripted, failing, scripted_relay
from sdks import openai, openai_sdk
from test_relay_sdk_openai import CALL, TOKENS
from test_relay_sdk_openai_responses import ENCRYPTED

from llmclients.transports.mock import Cut
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta, Usage


@pytest.fixture(scope="module")
def _relay() -> Iterator[tuple[openai.OpenAI, Scripted]]:
    with scripted_relay() as (url, script), openai_sdk(url) as client:
        yield client, script


@pytest.fixture
def client(_relay: Any) -> openai.OpenAI:
    return _relay[0]


@pytest.fixture
def script(_relay: Any) -> Scripted:
    script: Scripted = _relay[1]
    script.__init__()  # type: ignore[misc]
    return script


ORDER = """
created in_progress
output_item.added reasoning_summary_part.added reasoning_summary_text.delta
reasoning_summary_text.done reasoning_summary_part.done output_item.done
output_item.added content_part.added output_text.delta output_text.delta
output_text.done content_part.done output_item.done
output_item.added function_call_arguments.delta function_call_arguments.delta
function_call_arguments.done output_item.done
output_item.added function_call_arguments.delta function_call_arguments.done output_item.done
completed
"""


def test_a_stream(client: openai.OpenAI, script: Scripted) -> None:
    script.streams(
        Chunk(role="assistant", model="s-9"),
        Chunk(reasoning="hm"),
        Chunk(text="H", logprobs=TOKENS),
        Chunk(text="é"),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="weather")]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='{"city":')]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments='"Oslo"}')]),
        Chunk(tool_calls=[ToolCallDelta(index=1, id="b", name="clock")]),
        Chunk(finish_reason="tool_calls", usage=Usage(input_tokens=7, output_tokens=3)),
    )
    events: list[Any] = list(client.responses.create(model="m", input="Hi", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == ORDER.split()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    first, last = events[0].response, events[-1].response
    assert (first.id, first.status, first.output) == (last.id, "in_progress", [])
    added = {event.output_index: event.item for event in events if event.type == "response.output_item.added"}
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [added[place].id for place in range(4)] == [item.id for item in done]
    assert [item.to_dict() for item in last.output] == [item.to_dict() for item in done]
    text = next(event for event in events if event.type == "response.output_text.delta")
    assert (text.item_id, text.output_index, text.logprobs[0].token) == (done[1].id, 1, "Hé")
    assert [token.token for token in done[1].content[0].logprobs] == ["Hé"]
    assert [(item.call_id, item.name, item.arguments) for item in done[2:]] == [
        ("a", "weather", '{"city":"Oslo"}'),
        ("b", "clock", "{}"),
    ]
    assert (last.model, last.usage.input_tokens, last.usage.total_tokens) == ("s-9", 7, 10)


def test_an_empty_answer_is_a_response_all_the_same(client: openai.OpenAI, script: Scripted) -> None:
    script.streams()
    events: list[Any] = list(client.responses.create(model="m", input="Hi", stream=True))
    assert [event.type for event in events] == ["response.created", "response.in_progress", "response.completed"]
    assert (events[-1].response.output, events[-1].response.usage) == ([], None)


def test_encrypted_reasoning_streams_through_where_the_provider_has_this_wire(
    client: openai.OpenAI, script: Scripted
) -> None:
    done = {"type": "response.output_item.done", "item": ENCRYPTED[0]}
    piece = {"type": "response.reasoning_summary_text.delta", "item_id": "rs_a"}
    call = ToolCallDelta(index=0, id="call_1", name="weather", arguments=CALL.arguments_text)
    begun = Chunk(tool_calls=[call], raw={"type": "response.output_item.added", "item": {"id": "fc_a"}})
    end = Chunk(finish_reason="tool_calls", provider_data={"openai-responses": ENCRYPTED})
    hidden = ENCRYPTED[0] | {"summary": []}
    for chunks, item in (
        ([Chunk(reasoning="hm", raw=piece), Chunk(raw=done)], ENCRYPTED[0]),
        ([Chunk(reasoning="hm", raw=done)], ENCRYPTED[0]),  # only in its end
        ([Chunk(raw=done | {"item": hidden})], hidden),  # nothing of it to read
    ):
        script.streams(*chunks, begun, end)
        events: list[Any] = list(client.responses.create(model="m", input="Hi", stream=True))
        reasoning, call_item = [event.item for event in events if event.type == "response.output_item.done"]
        assert reasoning.to_dict() == item
        assert call_item.id == "fc_a"
        assert [item.to_dict() for item in events[-1].response.output] == ENCRYPTED


def test_encrypted_reasoning_passes_through_unchanged(client: openai.OpenAI, script: Scripted) -> None:
    provider_data = {"openai-responses": ENCRYPTED}
    script.answer = ChatResponse(
        reasoning="hm", tool_calls=[CALL], finish_reason="tool_calls", provider_data=provider_data
    )
    found = client.responses.create(model="m", input="Hi", include=["reasoning.encrypted_content"])
    assert [item.to_dict() for item in found.output] == ENCRYPTED
    delta = ToolCallDelta(index=0, id="call_1", name="weather", arguments=CALL.arguments_text)
    raw = {"type": "response.output_item.added", "item": {"id": "fc_a"}}
    for source in (raw, None):
        script.streams(
            Chunk(reasoning="hm"),
            Chunk(tool_calls=[delta], raw=source),
            Chunk(finish_reason="tool_calls", provider_data=provider_data),
        )
        with client.responses.stream(model="m", input="Hi") as stream:
            ids = [event.item.id for event in stream if event.type == "response.output_item.done"]
            reasoning, call = stream.get_final_response().output
        assert reasoning.to_dict() == ENCRYPTED[0]
        assert (call.id, call.call_id) == (ids[1], "call_1")  # type: ignore[union-attr]
        assert (ids[1] == "fc_a") is (source is not None)


# --- breaks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [Chunk(text="Hel"), Cut()],
        [Chunk(text="Hel"), Chunk(finish_reason="stop")],
        [Chunk(text="Hel"), failing(529, "busy")],
        [Chunk(tool_calls=[ToolCallDelta(index=0, id="a", name="f", arguments="{}")]), Cut()],
    ],
)
def test_an_answer_that_breaks_off_is_an_error(client: openai.OpenAI, script: Scripted, pieces: list[Any]) -> None:
    script.answer = pieces
    types: list[str] = []
    with pytest.raises(openai.APIError, match="scripted"):
        types.extend(event.type for event in client.responses.create(model="m", input="Hi", stream=True))
    assert types[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert not {"response.completed", "response.incomplete", "response.output_item.done"} & set(types)
    with client.responses.stream(model="m", input="Hi") as stream, pytest.raises(openai.APIError):
        stream.get_final_response()


def test_half_a_call_arrives_as_it_is(client: openai.OpenAI, script: Scripted) -> None:
    script.answer = ChatResponse(tool_calls=[ToolCall("c", "f", '{"ci')], finish_reason="length")
    found = client.responses.create(model="m", input="Hi")
    assert (found.status, found.output[0].arguments) == ("incomplete", '{"ci')  # type: ignore[union-attr]
