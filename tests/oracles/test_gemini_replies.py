"""The official SDK, google-genai, as oracle: it must read what our codec reads."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from helpers import Recording, cut_at, decode, recordings, whole_reply
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.gemini.codec import GeminiCodec
from llmclients.codecs.gemini.fields import FINISH_REASONS
from llmclients.types.response import ChatResponse
from oracles.gemini_sdk import sdk
from oracles.test_gemini import IDS, NAMES, OBJECTS, SIGNATURES, TEXTS

from .later import later

if TYPE_CHECKING:
    from google.genai import errors as genai_errors
    from google.genai import types
else:
    types = later("google.genai.types")
    genai_errors = later("google.genai.errors")

CODEC = GeminiCodec()

COUNTS = st.none() | st.integers(0, 9999)
REASONS = st.deferred(lambda: st.sampled_from([reason.value for reason in types.FinishReason]))
PARTS = st.one_of(
    st.fixed_dictionaries(
        {"text": st.text(st.characters(codec="utf-8"), max_size=9)}, optional={"thought": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"text": TEXTS, "thoughtSignature": SIGNATURES.map(lambda data: base64.b64encode(data).decode())}
    ),
    st.fixed_dictionaries(
        {"functionCall": st.fixed_dictionaries({"name": NAMES}, optional={"args": OBJECTS, "id": IDS})},
        optional={"thoughtSignature": SIGNATURES.map(lambda data: base64.b64encode(data).decode())},
    ),
)
USAGES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
            *("totalTokenCount", "cachedContentTokenCount"),
        ),
        COUNTS,
    ),
)


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The objects of a stream; the last has a finish reason."""
    found = []
    for parts in draw(st.lists(st.lists(PARTS, max_size=2), min_size=1, max_size=4)):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        found.append({"candidates": [candidate], "usageMetadata": draw(USAGES), "modelVersion": "m", "responseId": "r"})
    found[-1]["candidates"][0]["finishReason"] = draw(REASONS)
    return found


def _without_repeated_calls(parts: list[types.Part]) -> list[types.Part]:
    """A call with an id or a signature that comes again is told again: it is one call."""
    kept, seen = [], []
    for part in parts:
        call = part.function_call
        if call is not None and (mark := call.id or part.thought_signature):
            if (told := (mark, call.name, call.args or {})) in seen:
                continue
            seen.append(told)
        kept.append(part)
    return kept


def check(ours: ChatResponse, chunks: list[types.GenerateContentResponse]) -> None:
    """What the SDK found in the chunks, against what we made of them all."""
    parts = _without_repeated_calls([part for chunk in chunks for part in chunk.parts or ()])
    assert ours.text == "".join(part.text for part in parts if part.text and not part.thought)
    assert (ours.reasoning or "") == "".join(part.text for part in parts if part.text and part.thought)
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.arguments) for call in ours.tool_calls] == [(call.name, call.args or {}) for call in calls]
    assert [call.id for call in ours.tool_calls] == [
        call.id or f"llmclients_r_{place}" for place, call in enumerate(calls)
    ]
    reason = chunks[-1].candidates[0].finish_reason.value
    expected = FINISH_REASONS.get(reason, "error")
    assert ours.finish_reason == ("tool_calls" if expected == "stop" and calls else expected)
    usage = chunks[-1].usage_metadata
    assert ours.usage is not None
    assert usage is not None
    sums = [
        [count for count in counts if count is not None]
        for counts in (
            (usage.prompt_token_count, usage.tool_use_prompt_token_count),
            (usage.candidates_token_count, usage.thoughts_token_count),
        )
    ]
    assert [ours.usage.input_tokens, ours.usage.output_tokens] == [sum(counts) if counts else None for counts in sums]
    assert ours.usage.total_tokens == usage.total_token_count
    assert ours.usage.reasoning_tokens == usage.thoughts_token_count
    assert ours.usage.cached_tokens == usage.cached_content_token_count
    assert (ours.model, ours.id) == (chunks[-1].model_version, chunks[-1].response_id)
    signatures = [part.thought_signature for part in parts if part.thought_signature]
    sent_back = (ours.provider_data or {"gemini": []})["gemini"]
    assert [
        base64.b64decode(part["thoughtSignature"]) for part in sent_back if "thoughtSignature" in part
    ] == signatures
    assert bool(ours.provider_data) == bool(signatures)


@given(objects=events())
def test_the_sdk_reads_the_same_reply(objects: list[dict[str, Any]]) -> None:
    body = json.dumps(objects[-1]).encode()
    client = sdk(lambda request: httpx.Response(200, content=body))
    theirs = client.models.generate_content(model="m", contents="Hi")

    check(whole_reply(CODEC, body), [theirs])


@given(objects=events(), ascii_only=st.booleans(), data=st.data())
def test_the_sdk_reads_the_same_stream(objects: list[dict[str, Any]], ascii_only: bool, data: st.DataObject) -> None:
    body = b"".join(b"data: " + json.dumps(one, ensure_ascii=ascii_only).encode() + b"\r\n\r\n" for one in objects)
    pieces = cut_at(body, data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    client = sdk(lambda request: httpx.Response(200, content=iter(pieces)))
    theirs = list(client.models.generate_content_stream(model="m", contents="Hi"))

    found = decode(CODEC.stream_decoder("text/event-stream"), pieces)

    assert found.error is None, found.message
    check(found.response, theirs)


def told_by_both(case: Recording) -> bool:
    """The SDK takes half an error for a broken reply, and one in an array for no error."""
    return (
        "bare-error" in case.name
        and case.expected["error"]["class"] != "StreamInterruptedError"
        and not any(line.startswith(b"[") for line in case.data.splitlines())
    )


@table("case", [case for case in recordings("streams") if told_by_both(case)], ids=str)
def test_the_sdk_finds_the_same_errors(case: Recording) -> None:
    client = sdk(lambda request: httpx.Response(200, content=case.data))

    with pytest.raises(genai_errors.APIError) as raised:
        list(client.models.generate_content_stream(model="m", contents="Hi"))

    assert raised.value.code == case.expected["error"]["status"]


@table("case", [case for case in recordings("errors") if case.provider == "gemini"], ids=str)
def test_the_sdk_finds_the_same_words_in_an_error(case: Recording) -> None:
    status = case.expected["status"]
    client = sdk(lambda request: httpx.Response(status, content=case.data))

    with pytest.raises(genai_errors.APIError) as raised:
        client.models.generate_content(model="m", contents="Hi")

    ours = CODEC.decode_error(status, {}, case.data)
    assert raised.value.code == ours.status_code
    if b"<html" not in case.data:
        assert (raised.value.message or "") in str(ours)
