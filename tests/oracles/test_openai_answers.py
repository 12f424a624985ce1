"""Against OpenAI's own SDK: the same bytes are read as the same answer, and the same refusal as the same error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from helpers import argument_pieces, cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.types.response import ChatResponse, TokenLogprob
from oracles.openai_sdk import CODEC, NAMES, REPLY, THE_SDK, WORDS, create, maybe

from .later import later

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion, ParsedChatCompletion
else:
    openai = later("openai")

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\u2028\x85\r\n🌊👩‍🚀"), max_size=12)
COUNTS = st.integers(0, 10**9)
USAGE = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS},
    optional={
        "prompt_tokens_details": st.none() | maybe(cached_tokens=COUNTS, audio_tokens=COUNTS),
        "completion_tokens_details": st.none() | maybe(reasoning_tokens=COUNTS),
    },
)
LOGPROB = st.floats(-1e4, 0)
TOP = st.fixed_dictionaries({"token": TEXT, "logprob": LOGPROB, "bytes": st.none()})
TOKEN = st.builds(lambda token, top: {**token, "top_logprobs": top}, TOP, st.lists(TOP, max_size=2))
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call"])
LONE_CALLS = st.lists(
    st.tuples(WORDS.filter(lambda word: word.strip() not in ("", "null")), NAMES, argument_pieces()),
    max_size=3,
    unique_by=lambda call: call[0],
)


def agree(ours: ChatResponse, theirs: ChatCompletion | ParsedChatCompletion[Any]) -> None:
    """Check that both made the same of an answer, but for what ours does on purpose."""
    choice = theirs.choices[0]
    message, usage = choice.message, theirs.usage
    assert ours.text == (message.content or "") + (message.refusal or "")
    calls = [(call.id, call.function.name, call.function.arguments or "{}") for call in message.tool_calls or ()]
    assert [(call.id, call.name, call.arguments_text) for call in ours.tool_calls] == calls
    # A refusal and a call have reasons of their own, and an empty list of tokens is none.
    renamed = {"function_call": "tool_calls"}
    if choice.finish_reason == "stop":
        renamed["stop"] = "content_filter" if message.refusal else "tool_calls" if calls else "stop"
    assert ours.finish_reason == renamed.get(choice.finish_reason, choice.finish_reason)
    tokens = choice.logprobs.content if choice.logprobs else None
    assert (ours.logprobs or []) == [
        TokenLogprob(
            token=token.token,
            logprob=token.logprob,
            top=[TokenLogprob(token=other.token, logprob=other.logprob) for other in token.top_logprobs],
        )
        for token in tokens or ()
    ]
    assert (ours.id, ours.model) == (theirs.id, theirs.model)
    if usage is None:
        assert ours.usage is None
        return
    found, prompt, completion = ours.usage, usage.prompt_tokens_details, usage.completion_tokens_details
    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    )
    assert found.cached_tokens == (prompt.cached_tokens if prompt else None)
    assert found.reasoning_tokens == (completion.reasoning_tokens if completion else None)


@given(TEXT | st.none(), TEXT | st.none(), LONE_CALLS, REASONS, USAGE, st.none() | st.lists(TOKEN, max_size=3))
def test_the_same_reply_is_read_as_the_same_answer(
    text: str | None, refusal: str | None, calls: Any, reason: str, usage: Any, tokens: Any
) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": "".join(pieces)}}
            for call_id, name, pieces in calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": {"content": tokens, "refusal": None}}
    body = json.dumps(REPLY | {"choices": [choice], "usage": usage}).encode()
    THE_SDK.answer = lambda: httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    theirs = create(model="m", messages=[{"role": "user", "content": "Hi"}])

    agree(whole_reply(CODEC, body), theirs)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A whole stream as OpenAI sends it."""
    deltas: list[tuple[dict[str, Any], Any]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
    for text in draw(st.lists(TEXT, max_size=5)):
        tokens = draw(st.none() | st.lists(TOKEN, max_size=2))
        deltas.append(({"content": text}, None if tokens is None else {"content": tokens, "refusal": None}))
    deltas += [({"refusal": text}, None) for text in draw(st.lists(TEXT, max_size=2))]
    calls = []
    for index, (call_id, name, pieces) in enumerate(draw(LONE_CALLS)):
        first = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
        calls.append([({"tool_calls": [piece]}, None) for piece in (first, *rest)])
    deltas += [piece for call in calls for piece in call]
    choices: list[Any] = [
        [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None}] for delta, logprobs in deltas
    ]
    choices.append([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": draw(REASONS)}])
    head = REPLY | {"object": "chat.completion.chunk"}
    events = [head | {"choices": choice, "usage": None} for choice in choices]
    if (usage := draw(USAGE)) is not None:
        events.append(head | {"choices": [], "usage": usage})
    ascii_only = draw(st.booleans())
    lines = [f"data: {json.dumps(event, ensure_ascii=ascii_only)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


@given(streams(), st.lists(st.integers(0, 3000), max_size=10), st.lists(st.integers(0, 3000), max_size=10))
def test_the_same_stream_is_read_as_the_same_answer(data: bytes, ours_at: list[int], theirs_at: list[int]) -> None:
    found = decode(CODEC.stream_decoder("text/event-stream"), cut_at(data, ours_at))

    assert found.error is None, found.message
    agree(found.response, THE_SDK.stream(cut_at(data, theirs_at)))


@table("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503])
def test_a_status_is_an_error_of_the_same_name(status: int) -> None:
    body = b'{"error":{"message":"No.","type":"t","param":null,"code":null}}'
    THE_SDK.answer = lambda: httpx2.Response(status, content=body)
    with pytest.raises(openai.APIStatusError) as caught:
        create(model="m", messages=[{"role": "user", "content": "Hi"}])

    ours = CODEC.decode_error(status, {}, body)
    assert type(ours).__name__ == type(caught.value).__name__
    assert ours.body == {"error": caught.value.body}
