"""Ollama's own SDK: what it reads, our codec reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from helpers import cut_at, decode, whole_reply
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.ollama.codec import OllamaCodec
from llmclients.errors import APIStatusError, one_line
from oracles.answers import Answers

from .later import later

if TYPE_CHECKING:
    import ollama
else:
    ollama = later("ollama")

CODEC = OllamaCodec()


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def client(answers: Answers) -> ollama.Client:
    headers = {"Authorization": "Bearer ol-test"}
    return ollama.Client("http://localhost:11434", transport=answers.transport, headers=headers)


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-9, 9) | words | st.lists(st.integers(0, 3), max_size=2)
arguments = st.dictionaries(words, values, max_size=3)

# --- replies and streams --------------------------------------------------------------------------------------------

counts = st.fixed_dictionaries({}, optional={"prompt_eval_count": st.integers(1, 99), "eval_count": st.integers(1, 99)})
reasons = st.sampled_from(["stop", "length", "load", "unload", None])
calls = st.lists(st.tuples(names, arguments), max_size=2)
logprobs = st.lists(
    st.fixed_dictionaries(
        {"token": words, "logprob": st.floats(-50, 0)},
        optional={"top_logprobs": st.lists(st.fixed_dictionaries({"token": words, "logprob": st.floats(-50, 0)}))},
    ),
    max_size=2,
)
messages = st.tuples(words | st.just(""), words | st.none(), calls, logprobs | st.none())


def line(message: Any, **members: Any) -> bytes:
    text, thinking, asked, tokens = message
    found: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking is not None:
        found["thinking"] = thinking
    if asked:
        found["tool_calls"] = [{"function": {"name": name, "arguments": values}} for name, values in asked]
    if tokens is not None:
        members["logprobs"] = tokens
    return json.dumps(
        {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": found, "done": False} | members
    ).encode()


def last(message: Any, reason: str | None, found: dict[str, int]) -> bytes:
    return line(message, done=True, **({} if reason is None else {"done_reason": reason}), **found)


def tokens_of(found: Any) -> list[Any]:
    return [
        (one.token, one.logprob, [(other.token, other.logprob) for other in one.top_logprobs or ()])
        for one in found.logprobs or ()
    ]


def of_the_sdk(responses: Sequence[ollama.ChatResponse]) -> tuple[Any, ...]:
    """What the SDK read, with our words for the reasons."""
    *before, last = ([call.function for call in one.message.tool_calls or ()] for one in responses)
    asked = [function for functions in before for function in functions]
    if last != asked:  # some servers end with all of the calls again: those are no new ones
        asked += last
    last_word = responses[-1].done_reason
    reason = "error" if last_word in ("load", "unload") else "tool_calls" if asked else "stop"
    if last_word == "length":
        reason = "length"
    assert responses[-1].done is True
    return (
        "".join(one.message.content or "" for one in responses),
        "".join(one.message.thinking or "" for one in responses),
        [(function.name, function.arguments) for function in asked],
        (responses[-1].prompt_eval_count, responses[-1].eval_count),
        reason,
        responses[-1].model,
    )


def of_ours(response: Any) -> tuple[Any, ...]:
    usage = response.usage
    return (
        response.text,
        response.reasoning or "",
        [(call.name, call.arguments) for call in response.tool_calls],
        (usage.input_tokens, usage.output_tokens) if usage else (None, None),
        response.finish_reason,
        response.model,
    )


@given(messages, reasons, counts)
def test_a_reply_is_read_as_the_sdk_reads_it(
    client: ollama.Client, answers: Answers, message: Any, reason: str | None, found: dict[str, int]
) -> None:
    body = last(message, reason, found)
    answers.give([body])

    theirs = client.chat("m", [{"role": "user", "content": "?"}])

    ours = whole_reply(CODEC, body)
    assert of_ours(ours) == of_the_sdk([theirs])
    tokens = [(one.token, one.logprob, [(o.token, o.logprob) for o in one.top]) for one in ours.logprobs or ()]
    assert tokens == tokens_of(theirs)


@given(st.lists(messages, max_size=4), messages, reasons, counts, st.sampled_from([b"\n", b""]), st.data())
def test_a_stream_is_read_as_the_sdk_reads_it(
    client: ollama.Client,
    answers: Answers,
    lines: list[Any],
    end: Any,
    reason: str | None,
    found: dict[str, int],
    line_end: bytes,
    data: Any,
) -> None:
    stream = b"\n".join([*map(line, lines), last(end, reason, found)]) + line_end
    pieces = cut_at(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    answers.give(pieces, "application/x-ndjson")

    theirs = list(client.chat("m", [{"role": "user", "content": "?"}], stream=True))

    ours = decode(CODEC.stream_decoder("application/x-ndjson"), pieces)
    assert ours.done
    assert of_ours(ours.response) == of_the_sdk(theirs)


# --- errors ---------------------------------------------------------------------------------------------------------


@given(st.lists(messages, max_size=2), words.map("no luck: {}".format))
def test_an_error_on_a_line_is_an_error_to_both(
    client: ollama.Client, answers: Answers, lines: list[Any], text: str
) -> None:
    stream = b"\n".join([*map(line, lines), json.dumps({"error": text}).encode()])
    answers.give([stream], "application/x-ndjson")

    received = []
    with pytest.raises(ollama.ResponseError) as raised:
        received.extend(client.chat("m", [{"role": "user", "content": "?"}], stream=True))

    ours = decode(CODEC.stream_decoder("application/x-ndjson"), [stream])
    assert ours.status == 500
    assert one_line(raised.value.error, 400) in ours.message
    assert ours.response.text == "".join(one.message.content or "" for one in received)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
def test_an_error_has_the_sdk_s_status(client: ollama.Client, answers: Answers, status: int) -> None:
    body = b'{"error":"no such luck"}'
    answers.give([body], status=status)
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat("m", [{"role": "user", "content": "?"}])

    error = CODEC.decode_error(status, {}, body)

    assert isinstance(error, APIStatusError)
    assert error.status_code == raised.value.status_code
    assert raised.value.error in str(error)
