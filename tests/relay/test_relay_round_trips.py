"""Every recorded stream of every provider through each wire of the relay: its client reads what the provider sent."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from helpers import Outcome, Recording, decode, plain, recordings

from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.base import Codec
from llmclients.errors import APIError
from llmclients.providers.registry import find_provider
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.openai_responses_reply import is_opaque
from llmclients.relay.errors import Failure
from llmclients.types.response import ChatResponse, Chunk

WIRES = ("openai", "anthropic", "openai-responses")
CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}
STREAMS = recordings("streams")


@cache
def codec_of(provider: str) -> Codec:
    return find_provider(provider).load_codec()


def chunks_of(recording: Recording) -> tuple[list[Chunk], bool]:
    """The chunks of a recording, and whether it ends well."""
    decoder = recording.codec.stream_decoder(recording.expected.get("content_type", ""))
    chunks: list[Chunk] = []
    accumulator = Accumulator()  # as the client does: half a character is mended on the way
    try:
        chunks.extend(map(accumulator.add, decoder.feed(recording.data)))
        chunks.extend(map(accumulator.add, decoder.finish()))
    except APIError:
        return chunks, False
    return chunks, True


@pytest.mark.parametrize("provider", sorted({recording.provider for recording in STREAMS}))
def test_a_stream_is_the_same_through_each_wire(provider: str, subtests: pytest.Subtests) -> None:
    for recording in STREAMS:
        if recording.provider == provider:
            chunks, good = chunks_of(recording)
            original = decode(recording.codec.stream_decoder(recording.content_type), [recording.data])
            for wire in WIRES:
                with subtests.test(str(recording), wire=wire):
                    check_round_trip(recording, chunks, original, wire, good=good)


def check_round_trip(recording: Recording, chunks: list[Chunk], original: Outcome, wire: str, *, good: bool) -> None:
    codec = CODEC[wire]
    encoder = codec.stream_encoder(RelayedCall([], include_usage=True), ReplyMeta(f"{codec.id_prefix}0", 0, "asked"))
    data = b""
    try:
        for chunk in chunks:
            data += encoder.feed(chunk)
        data += encoder.finish() if good else encoder.fail(Failure(502, "it broke off")) or b""
    except APIError as error:
        good = False
        data += encoder.fail(Failure.from_error(error)) or b""
    found = decode(codec_of(wire).stream_decoder("text/event-stream"), [data])
    if not good or (original.response.finish_reason == "error" and wire != "openai"):
        assert found.error is not None  # only chat completions have a finish reason for it
        return
    assert found.error is None
    if (str(recording), wire) not in EXCEPTIONS:
        assert _essence(found.response, wire) == _essence(original.response, wire)
    provider_data = (original.response.provider_data or {}).get(wire)
    if wire == "openai-responses" and is_opaque(provider_data):
        last = json.loads(data.rpartition(b"\ndata: ")[2])
        assert [_without_id(item) for item in last["response"]["output"]] == [
            _without_id(item) for item in provider_data
        ]


EXCEPTIONS = {
    (
        "openai/finish-reason-function_call.sse",
        "openai-responses",
    ),  # it has no such finish reason, and there is no call
}


def _essence(response: ChatResponse, wire: str) -> dict[str, Any]:
    """What the wire can say of an answer."""
    fields = plain(response)
    for name in ("id", "model", "usage", "provider_data", *(("logprobs",) if wire == "anthropic" else ())):
        fields.pop(name, None)
    fields.pop("other_choices", None)  # the relay's clients ask for one answer, and get the first
    fields.setdefault("finish_reason", "tool_calls" if response.tool_calls else "stop")
    if fields["finish_reason"] == "pause" and wire != "anthropic":
        fields["finish_reason"] = "length"  # the only word of these wires for what is not whole
    if wire == "anthropic" and (provider_data := (response.provider_data or {}).get(wire)) is not None:
        fields["provider_data"] = provider_data
    return fields


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}
