"""Cohere's own SDK: what it reads, our codec reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from helpers import cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.cohere.codec import CohereCodec
from llmclients.errors import APIStatusError
from oracles.answers import Answers

from .later import later

if TYPE_CHECKING:
    import cohere
else:
    cohere = later("cohere")

CODEC = CohereCodec()


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def client(answers: Answers) -> cohere.ClientV2:
    transport = httpx.Client(transport=answers.transport)
    return cohere.ClientV2("co-test", base_url="https://api.cohere.com", httpx_client=transport)


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)

# --- replies --------------------------------------------------------------------------------------------------------

counts = st.integers(0, 999) | st.integers(0, 999).map(float)
usages = st.none() | st.fixed_dictionaries(
    {"tokens": st.fixed_dictionaries({"input_tokens": counts, "output_tokens": counts})},
    optional={
        "billed_units": st.fixed_dictionaries({"input_tokens": counts, "output_tokens": counts}),
        "cached_tokens": counts,
    },
)
REASONS = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
reasons = st.sampled_from(sorted(REASONS))


def reason_of(value: str, calls: Any) -> str:
    """Our word for theirs: calls count for more than the end of the text."""
    return "tool_calls" if calls and REASONS[value] == "stop" else REASONS[value]


blocks = st.lists(st.tuples(st.sampled_from(["text", "thinking"]), words), max_size=3)
asked_calls = st.lists(st.tuples(words, names, st.lists(words, min_size=1, max_size=3)), max_size=2)
Answer = tuple[str, str, list[tuple[str, str, str]], str, Any]


def read_by_us(response: Any) -> Answer:
    """What our response has, as `read` is."""
    calls = [(call.id, call.name, call.arguments_text) for call in response.tool_calls]
    usage = response.usage and (response.usage.input_tokens, response.usage.output_tokens, response.usage.cached_tokens)
    return response.text, response.reasoning or "", calls, response.finish_reason, usage


def parse_usage(usage: Any) -> Any:
    return usage and (usage.tokens.input_tokens, usage.tokens.output_tokens, usage.cached_tokens)


@given(blocks, words | st.none(), asked_calls, usages, reasons)
def test_a_reply_is_read_as_the_sdk_reads_it(
    client: cohere.ClientV2, answers: Answers, content: Any, plan: str | None, calls: Any, usage: Any, reason: str
) -> None:
    message: dict[str, Any] = {"role": "assistant", "tool_plan": plan}
    message["content"] = [{"type": kind, kind: text} for kind, text in content]
    message["tool_calls"] = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": "".join(pieces)}}
        for id, name, pieces in calls
    ]
    body = json.dumps({"id": "c", "finish_reason": reason, "message": message, "usage": usage}).encode()
    answers.give([body])

    theirs = client.chat(model="m", messages=[{"role": "user", "content": "?"}])

    found = theirs.message
    read: Answer = (
        "".join(block.text for block in found.content or () if block.type == "text"),
        (found.tool_plan or "") + "".join(block.thinking for block in found.content or () if block.type == "thinking"),
        [(call.id, call.function.name, call.function.arguments) for call in found.tool_calls or ()],
        reason_of(theirs.finish_reason, found.tool_calls),
        parse_usage(theirs.usage),
    )
    assert read_by_us(whole_reply(CODEC, body)) == read
    assert whole_reply(CODEC, body).id == theirs.id


# --- streams --------------------------------------------------------------------------------------------------------


def event(event_type: str, message: Mapping[str, Any] | None = None, **members: Any) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    return b"event: %s\ndata: %s\n\n" % (
        event_type.encode(),
        json.dumps({"type": event_type, **members, **delta}).encode(),
    )


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    events = [event("message-start", {"role": "assistant", "content": []}, id="c")]
    events += [event("tool-plan-delta", {"tool_plan": piece}) for piece in draw(st.lists(words, max_size=2))]
    index = 0
    for kind, pieces in draw(st.lists(st.tuples(st.sampled_from(["text", "thinking"]), st.lists(words, max_size=3)))):
        events.append(event("content-start", {"content": {"type": kind, kind: ""}}, index=index))
        events += [event("content-delta", {"content": {kind: piece}}, index=index) for piece in pieces]
        events.append(event("citation-start", {"citations": {"start": 0, "end": 1, "text": "?"}}, index=0))
        events.append(event("content-end", index=index))
        index += 1
    for id, name, pieces in draw(asked_calls):
        call = {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(event("tool-call-start", {"tool_calls": call}, index=index))
        events += [
            event("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=index)
            for piece in pieces
        ]
        events.append(event("tool-call-end", index=index))
        index += 1
    end = {"finish_reason": draw(reasons), "usage": draw(usages)}
    return b"".join([*events, event("message-end", delta=end), b"data: [DONE]\n\n"])


def read_by_sdk(events: Iterator[Any]) -> Answer:
    """What the SDK's events come to, put together as its guide does."""
    text, reasoning, calls, reason, usage = "", "", {}, "", None
    for one in events:
        if one.type == "content-delta":
            text += getattr(one.delta.message.content, "text", None) or ""
            reasoning += getattr(one.delta.message.content, "thinking", None) or ""
        elif one.type == "tool-plan-delta":
            reasoning += one.delta.message.tool_plan
        elif one.type == "tool-call-start":
            call = one.delta.message.tool_calls
            calls[one.index] = (call.id, call.function.name, call.function.arguments)
        elif one.type == "tool-call-delta":
            id, name, so_far = calls[one.index]
            calls[one.index] = (id, name, so_far + one.delta.message.tool_calls.function.arguments)
        elif one.type == "message-end":
            reason, usage = reason_of(one.delta.finish_reason, calls), parse_usage(one.delta.usage)
    return text, reasoning, list(calls.values()), reason, usage


@given(streams(), st.data())
def test_a_stream_is_read_as_the_sdk_reads_it(
    client: cohere.ClientV2, answers: Answers, stream: bytes, data: Any
) -> None:
    pieces = cut_at(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    answers.give(pieces, "text/event-stream")

    theirs = read_by_sdk(client.chat_stream(model="m", messages=[{"role": "user", "content": "?"}]))

    found = decode(CODEC.stream_decoder("text/event-stream"), pieces)
    assert found.done
    assert read_by_us(found.response) == theirs


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 498, 499, 500, 501, 503, 504])
def test_an_error_has_the_sdk_s_status_and_body(client: cohere.ClientV2, answers: Answers, status: int) -> None:
    body = b'{"id":"e-1","message":"no such luck"}'
    answers.give([body], status=status)
    with pytest.raises(cohere.core.ApiError) as raised:
        client.chat(model="m", messages=[{"role": "user", "content": "?"}], request_options={"max_retries": 0})

    error = CODEC.decode_error(status, {}, body)

    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.body) == (raised.value.status_code, raised.value.body)
    assert "no such luck" in str(error)
