"""The habits of odd servers, through both clients: each test is named after what a user saw (docs/odd-servers.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tables import table
from test_clients import MODES, SIDES, Outcome, call

from llmclients import (
    APIResponseError,
    APIStatusError,
    LLMClientError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    StreamInterruptedError,
)
from llmclients.transports.mock import Cut, MockTransport, Reply

EVENT_STREAM = {"content-type": "text/event-stream"}
PLAIN_JSON = {"content-type": "application/json"}
DONE = "data: [DONE]\n\n"


def sse(payload: Any, event_type: str = "") -> str:
    name = f"event: {event_type}\n" if event_type else ""
    return f"{name}data: {payload if isinstance(payload, str) else json.dumps(payload)}\n\n"


def chat(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> str:
    return sse({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more})


def openai(*texts: str) -> list[str]:
    return [*(chat({"content": text}) for text in texts), chat({}, "stop"), DONE]


def anthropic(*texts: str) -> list[str]:
    def event(event_type: str, **members: Any) -> str:
        return sse({"type": event_type, **members}, event_type)

    message = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": []}
    return [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}),
        event("message_stop"),
    ]


def gemini(*texts: str) -> list[str]:
    def event(text: str, **more: Any) -> str:
        return sse({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **more}]})

    return [*map(event, texts[:-1]), event(texts[-1], finishReason="STOP")]


def cohere(*texts: str) -> list[str]:
    return [
        sse({"type": "message-start", "id": "c"}),
        *(
            sse({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}})
            for text in texts
        ),
        sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ]


def ollama(*texts: str) -> list[str]:
    lines: list[dict[str, Any]] = [{"message": {"role": "assistant", "content": text}, "done": False} for text in texts]
    lines.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})
    return [json.dumps(line) + "\n" for line in lines]


def responses(*texts: str) -> list[str]:
    def event(event_type: str, **members: Any) -> str:
        return sse({"type": event_type, **members}, event_type)

    pieces = (event("response.output_text.delta", output_index=0, content_index=0, delta=text) for text in texts)
    return [*pieces, event("response.completed", response={"status": "completed", "output": []})]


STREAMS = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "cohere": cohere,
    "ollama": ollama,
    "openai-responses": responses,
}
"""The streams of each wire, of texts that JSON's own escapes may hold: `\\ud83d` goes out as it is."""
WHOLE: dict[str, Any] = {
    "openai": lambda text: {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]},
    "anthropic": lambda text: {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"},
    "gemini": lambda text: {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]},
    "cohere": lambda text: {"message": {"content": [{"type": "text", "text": text}]}, "finish_reason": "COMPLETE"},
    "ollama": lambda text: {"message": {"content": text}, "done": True, "done_reason": "stop"},
    "openai-responses": lambda text: {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
    },
}
RAW_WIRES = ("yqcloud", "yqcloud-legacy", "ai365vip")
EVENT_WIRES = [wire for wire in STREAMS if wire != "ollama"]


def outcomes(
    provider: str,
    reply: Reply | list[Any],
    modes: tuple[str, ...] = ("stream",),
    retry: RetryPolicy | None = RetryPolicy(),  # noqa: B008
    **options: Any,
) -> Iterator[Outcome]:
    """What comes of a reply in both clients."""
    for side in SIDES:
        for mode in modes:
            mock = MockTransport(list(reply) if isinstance(reply, list) else [reply])
            made = {} if provider in RAW_WIRES else {"api_key": "k", "model": "m"}
            outcome = call(side, mode, provider, transport=mock, retry=retry, options=options, **made)
            assert len(mock.requests) == (len(reply) if isinstance(reply, list) else 1), "asked again"
            yield outcome


def stream_reply(pieces: list[str]) -> Reply:
    return Reply(chunks=pieces, headers=EVENT_STREAM)


# --- text -----------------------------------------------------------------------------------------------------------


@table("wire", STREAMS)
def test_an_emoji_cut_in_two_between_events_is_whole(wire: str) -> None:
    for outcome in outcomes(wire, stream_reply(STREAMS[wire]("hi \ud83d", "\ude00!", "."))):
        assert outcome.text == "hi 😀!.", outcome.error
        assert [chunk.text for chunk in outcome.chunks if chunk.text] == ["hi ", "😀!", "."]
        assert json.dumps([chunk.raw for chunk in outcome.chunks], ensure_ascii=False).encode()


@table("wire", STREAMS)
def test_half_an_emoji_alone_is_a_replacement_character(wire: str) -> None:
    for texts, expected in (
        (("a\ud83d", "b"), "a\ufffdb"),
        (("a", "b\ud83d"), "ab\ufffd"),
        (("\ude00a",), "\ufffda"),
        (("a\ud83d", "\ud83d\ude00"), "a\ufffd😀"),
    ):
        for outcome in outcomes(wire, stream_reply(STREAMS[wire](*texts))):
            assert outcome.text == "".join(chunk.text for chunk in outcome.chunks) == expected, outcome.error
    for outcome in outcomes(wire, Reply(body=json.dumps(WHOLE[wire]("a\ud83d")).encode()), ("chat",)):
        assert outcome.text == "a\ufffd"
        assert json.dumps(outcome.response.raw, ensure_ascii=False).encode()  # type: ignore[union-attr]


def test_halves_in_reasoning_calls_ids_and_errors() -> None:
    def call_piece(arguments: str, **more: Any) -> str:
        return chat({"tool_calls": [{"index": 0, **more, "function": {"name": "f", "arguments": arguments}}]})

    pieces = [
        chat({"reasoning_content": "r\ud83d"}, id="i\ud83d"),
        chat({"reasoning_content": "\ude00"}),
        call_piece('{"a": "\ud83d', id="c\udc00"),
        call_piece('\ude00"}'),
        chat({}, "tool_calls"),
        DONE,
    ]
    for outcome in outcomes("openai", stream_reply(pieces)):
        response = outcome.response
        assert response is not None, outcome.error
        assert (response.reasoning, response.id) == ("r😀", "i\ufffd")
        assert [(one.id, one.arguments) for one in response.tool_calls] == [("c\ufffd", {"a": "😀"})]
    body = json.dumps({"error": {"message": "no \ud83d"}}).encode()
    for reply in (Reply(404, body=body), Reply(body=body), stream_reply([sse(body.decode())])):
        for outcome in outcomes("openai", reply):
            assert isinstance(outcome.error, APIStatusError)
            assert "no \ufffd" in str(outcome.error)


def test_halves_in_what_goes_back_to_the_provider() -> None:
    def details(text: str, **more: Any) -> str:
        return chat({"reasoning_details": [{"type": "reasoning.text", "text": text, "index": 0, **more}]})

    pieces = [details("a\ud83d"), details("\ude00", signature="s"), chat({"content": "b"}, "stop"), DONE]
    for outcome in outcomes("openrouter", stream_reply(pieces)):
        kept = {"type": "reasoning.text", "text": "a😀", "index": 0, "signature": "s"}
        assert outcome.response is not None, outcome.error
        assert outcome.response.provider_data == {"openai": {"reasoning_details": [kept]}}

    def event(event_type: str, **members: Any) -> str:
        return sse({"type": event_type, **members}, event_type)

    def delta(kind: str, member: str, text: str) -> str:
        return event("content_block_delta", index=0, delta={"type": kind, member: text})

    thoughts = [
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        *(delta("thinking_delta", "thinking", text) for text in ("a\ud83d", "\ude00")),
        delta("signature_delta", "signature", "s"),
        event("message_delta", delta={"stop_reason": "end_turn"}),
        event("message_stop"),
    ]
    for outcome in outcomes("anthropic", stream_reply(thoughts)):
        block = {"type": "thinking", "thinking": "a😀", "signature": "s"}
        assert outcome.response is not None, outcome.error
        assert outcome.response.provider_data == {"anthropic": [block]}


def test_what_had_come_before_half_an_emoji_is_kept_when_the_line_breaks() -> None:
    for outcome in outcomes("openai", stream_reply([chat({"content": "hi \ud83d"}), Cut()]), retry=None):  # type: ignore[list-item]
        assert outcome.error is not None
        assert outcome.error.partial.text == "hi \ufffd"


@table("wire", RAW_WIRES)
def test_raw_text_may_have_its_halves_encoded_one_by_one(wire: str) -> None:
    for outcome in outcomes(wire, Reply(chunks=[b"hi \xed\xa0", b"\xbd", b"\xed\xb8\x80!\xed\xa0\xbd"])):
        assert outcome.text == "hi 😀!\ufffd", outcome.error


THOUGHTS = [
    ("<think>\nhm, one\n</think>\n\n{}", "hm, one", "{}"),
    (" \n<think>a</think>b", "a", "b"),
    ("<think>\n\n</think>\n\nb", None, "b"),
    ("<think>a < b</ thin\n", "a < b</ thin\n", ""),  # cut off
    ("<thin ice>", None, "<thin ice>"),
    ("\n  <b>", None, "\n  <b>"),
    ("see <think>a</think>", None, "see <think>a</think>"),
    ("a</think>b", None, "a</think>b"),
    ("", None, ""),
]


@table("text, reasoning, answer", THOUGHTS)
def test_thoughts_in_tags_are_no_part_of_the_answer(text: str, reasoning: str | None, answer: str) -> None:
    replies = [stream_reply(openai(text)), stream_reply(openai(*text)), Reply(json=WHOLE["openai"](text))]
    for reply in replies:
        for outcome in outcomes("vllm", reply, ("chat",) if reply is replies[-1] else ("stream",)):
            assert outcome.response is not None, outcome.error
            assert (outcome.response.reasoning, outcome.text) == (reasoning, answer)
            if outcome.chunks:
                assert "".join(chunk.text for chunk in outcome.chunks) == answer


def test_the_template_has_the_opening_tag() -> None:
    for text, reasoning, answer in (
        ("\nhm </thin \n</think>\n\nb", "hm </thin", "b"),
        ("no tags <", None, "no tags <"),
    ):
        for reply in (stream_reply(openai(text)), stream_reply(openai(*text))):
            for outcome in outcomes("openai", reply, think_tags=True):
                assert outcome.response is not None, outcome.error
                assert (outcome.response.reasoning, outcome.text) == (reasoning, answer)


def test_think_tags_are_read_by_provider_and_by_option() -> None:
    reply = Reply(json=WHOLE["openai"]("<think>a</think>b"))
    for provider, options, text in (
        ("vllm", {}, "b"),
        ("openai", {}, "<think>a</think>b"),
        ("openai", {"think_tags": True}, "b"),
        ("vllm", {"think_tags": False}, "<think>a</think>b"),
    ):
        for outcome in outcomes(provider, reply, ("chat",), **options):
            assert outcome.text == text
    for wire, whole in WHOLE.items():
        for outcome in outcomes(wire, Reply(json=whole("<think>a</think>b")), ("chat",), think_tags=True):
            assert (outcome.text, outcome.response.reasoning) == ("b", "a")  # type: ignore[union-attr]


def test_a_text_without_tags_is_not_delayed() -> None:
    for outcome in outcomes("vllm", stream_reply(openai("T", "he", " Nile"))):
        assert [chunk.text for chunk in outcome.chunks if chunk.text] == ["T", "he", " Nile"]


# --- labels and places ----------------------------------------------------------------------------------------------


@table("wire", EVENT_WIRES)
def test_an_error_under_a_stream_s_label_says_what_the_server_said(wire: str) -> None:
    body = {"error": {"message": "model 'q' is not loaded", "code": 404, "type": "x"}}
    for outcome in outcomes(wire, Reply(body=json.dumps(body, indent=1).encode(), headers=EVENT_STREAM)):
        assert isinstance(outcome.error, LLMClientError)
        assert not isinstance(outcome.error, StreamInterruptedError)
        assert "is not loaded" in str(outcome.error)
        if wire == "openai":
            assert isinstance(outcome.error, NotFoundError)


@table("wire", STREAMS)
def test_the_label_does_not_decide_what_a_body_is(wire: str) -> None:
    stream = "".join(STREAMS[wire]("a", "b"))
    whole = json.dumps(WHOLE[wire]("ab"))
    for label in ({}, PLAIN_JSON, EVENT_STREAM, {"content-type": "TEXT/Event-Stream; charset=UTF-8"}):
        for body in (stream, whole, "\ufeff" + stream if wire != "ollama" else stream, "\r\n\n" + whole):
            for outcome in outcomes(wire, Reply(chunks=[*body], headers=label)):
                assert outcome.text == "ab", (label, body, outcome.error)
        for body in (stream, whole, "\ufeff" + whole):
            for outcome in outcomes(wire, Reply(body=body.encode(), headers=label), ("chat",)):
                assert (outcome.text, outcome.response.finish_reason) == ("ab", "stop")  # type: ignore[union-attr]
                assert outcome.response.raw  # type: ignore[union-attr]


@table("wire", [*STREAMS, *RAW_WIRES])
def test_a_page_is_no_answer_and_its_title_is_said(wire: str) -> None:
    page = "<!DOCTYPE html>\n<html><head>\n<TITLE>Just a\n moment...</TITLE></head></html>"
    for label in ({"content-type": "text/html; charset=utf-8"}, {}, PLAIN_JSON, EVENT_STREAM):
        if label is EVENT_STREAM and wire not in STREAMS:
            continue
        for outcome in outcomes(wire, Reply(chunks=[page[:20], page[20:]], headers=label), MODES):
            assert type(outcome.error) is APIResponseError, label
            assert "an HTML page titled 'Just a moment...'" in str(outcome.error)
            assert outcome.chunks == []


def test_a_model_may_answer_with_a_page() -> None:
    page = "<!DOCTYPE html>\n<title>Mine</title>"
    for label in ("text/plain", "application/octet-stream", "text/event-stream"):
        for outcome in outcomes("yqcloud", Reply(chunks=[page], headers={"content-type": label})):
            assert outcome.text == page
    for outcome in outcomes("yqcloud", Reply(chunks=["a <html>"], headers={"content-type": "text/html"})):
        assert outcome.text == "a <html>"


@table("wire", EVENT_WIRES)
def test_a_proxy_s_words_are_not_lost(wire: str) -> None:
    for outcome in outcomes(wire, Reply(chunks=["upstream ", "died\n"], headers=EVENT_STREAM)):
        assert type(outcome.error) is APIResponseError
        assert "upstream died" in str(outcome.error)


@table("wire", EVENT_WIRES)
def test_a_whole_reply_may_have_the_end_mark_of_a_stream(wire: str) -> None:
    body = f"{json.dumps(WHOLE[wire]('42'))}\n\n{DONE}"
    for headers in (EVENT_STREAM, PLAIN_JSON, {}):
        for outcome in outcomes(wire, Reply(body=body.encode(), headers=headers), ("stream", "chat")):
            assert outcome.text == "42", (headers, outcome.error)


@table("wire", EVENT_WIRES)
def test_an_error_in_a_list_is_that_error(wire: str) -> None:
    body = json.dumps([{"error": {"code": 429, "message": "the quota is used up", "status": "RESOURCE_EXHAUSTED"}}])
    for headers in (EVENT_STREAM, PLAIN_JSON):
        for outcome in outcomes(wire, Reply(body=body.encode(), headers=headers), ("stream", "chat"), retry=None):
            assert isinstance(outcome.error, RateLimitError), outcome.error
    for outcome in outcomes(wire, stream_reply([f"data: {body}\n\n"]), retry=None):
        assert isinstance(outcome.error, RateLimitError), outcome.error
        assert "the quota is used up" in str(outcome.error)


def test_what_a_stream_says_in_place_of_choices_is_not_lost() -> None:
    for payload in (
        {"code": 401, "msg": "the token has expired"},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "the token has expired"}},
        {"success": False, "message": "the token has expired"},
    ):
        for end in ([], [DONE]):
            for outcome in outcomes("openai", stream_reply([sse(payload), *end]), ("stream", "chat")):
                assert isinstance(outcome.error, APIResponseError | APIStatusError), outcome.error
                assert "the token has expired" in str(outcome.error)
                assert not outcome.error.retryable
    good = sse({"choices": None, "base_resp": {"status_code": 0, "status_msg": ""}})
    for outcome in outcomes("openai", stream_reply([good, *openai("42")])):
        assert outcome.text == "42", outcome.error


def test_an_error_between_events_is_said() -> None:
    for error in ('{"error": {"message": "out of memory"}}', '{\n "error": {"message": "out of memory"}\n}\n'):
        for outcome in outcomes("openai", stream_reply([chat({"content": "a"}), error]), retry=None):
            assert isinstance(outcome.error, APIStatusError)
            assert "out of memory" in str(outcome.error)
            assert outcome.error.partial is not None
            assert outcome.error.partial.text == "a"


def test_message_or_text_in_place_of_delta() -> None:
    def piece(**choice: Any) -> str:
        return sse({"choices": [{"index": 0, **choice}]})

    end = piece(delta={}, finish_reason="stop")
    whole_again = piece(message={"content": "hello"}, finish_reason="stop")
    for pieces in (
        [piece(message={"role": "assistant", "content": "hello"}, finish_reason="stop")],
        [piece(message={"content": "hel"}), piece(message={"content": "lo"}), piece(message={}, finish_reason="stop")],
        [piece(message={"content": "hel"}), piece(message={"content": "lo"}), whole_again],
        [piece(text="hel"), piece(text="lo", finish_reason="stop")],
        [chat({"content": "hel"}), chat({"content": "lo"}), whole_again],
        [chat({"role": "assistant", "content": ""}), chat({"content": "hello"}), whole_again],
        [piece(delta={"content": "hel"}, message={"content": "hel"}), piece(delta={"content": "lo"}), end],
    ):
        for outcome in outcomes("openai", stream_reply([*pieces, DONE])):
            assert (outcome.text, outcome.response.finish_reason) == ("hello", "stop"), pieces  # type: ignore[union-attr]
    for choice in ({"delta": {"content": "hello"}}, {"text": "hello"}):
        for outcome in outcomes("openai", Reply(json={"choices": [{**choice, "finish_reason": "stop"}]}), ("chat",)):
            assert outcome.text == "hello"


# --- side matters ---------------------------------------------------------------------------------------------------

NO_COUNTS: list[Any] = ["12", 37.25, -1, True, [], {}, float("inf"), float("nan"), 10**400]


def test_a_message_beside_an_empty_delta_is_read_once() -> None:
    """Gateways that only play a stream have the whole message in the last chunk, beside a delta with nothing in it."""
    call_entry = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    role = chat({"role": "assistant", "content": ""})
    for before, calls in (
        ([], []),
        ([role], []),
        ([role, chat({"content": "4"}), chat({"content": "2"})], [call_entry]),
    ):
        message = {"role": "assistant", "content": "42", "tool_calls": calls}
        last = sse({"choices": [{"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}]})
        for outcome in outcomes("openai", stream_reply([*before, last, DONE])):
            assert outcome.text == "42", outcome.error
            assert outcome.response is not None
            assert [call.name for call in outcome.response.tool_calls] == ["f" for _ in calls]
    for delta in ({"reasoning_content": "hm"}, {"tool_calls": [call_entry]}):
        last = sse(
            {"choices": [{"index": 0, "delta": {}, "message": {"content": "42", **delta}, "finish_reason": "stop"}]}
        )
        for outcome in outcomes("openai", stream_reply([chat(delta), last, DONE])):
            assert outcome.text == "42", outcome.error
            assert outcome.response is not None
            assert outcome.response.reasoning == delta.get("reasoning_content")
            assert len(outcome.response.tool_calls) == len(delta.get("tool_calls", ()))
    for choice in (
        {"message": {"role": "assistant"}, "delta": {"content": "42"}},
        {"message": {"content": ""}, "text": "42"},
        {"index": 1, "message": {"content": "42"}},
        {"index": "0", "message": {"content": "42"}},
    ):
        for outcome in outcomes("openai", Reply(json={"choices": [{**choice, "finish_reason": "stop"}]}), ("chat",)):
            assert outcome.text == "42", outcome.error
    texts = [sse({"choices": [{"index": "0", "delta": {"content": text}}]}) for text in "42"]
    for outcome in outcomes("openai", stream_reply([*texts, chat({}, "stop"), DONE])):
        assert outcome.text == "42", outcome.error


@table("count", NO_COUNTS, ids=lambda count: str(count)[:9])
def test_a_strange_count_does_not_cost_the_answer(count: Any) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}
    reply = WHOLE["openai"]("hi") | {"usage": usage}
    stream = [chat({"content": "hi"}), chat({}, "stop", usage=usage), DONE]
    for outcome in (*outcomes("openai", Reply(json=reply), ("chat",)), *outcomes("openai", stream_reply(stream))):
        assert outcome.text == "hi", outcome.error
        found = outcome.response.usage  # type: ignore[union-attr]
        assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (12, None, None)  # type: ignore[union-attr]


def test_what_only_describes_an_answer_does_not_cost_it() -> None:
    for members, choice, message in (
        ({"usage": [1], "id": 7, "model": {"x": 1}, "created": "now"}, {}, {}),
        ({}, {"logprobs": {"content": [{"token": 1}]}}, {"reasoning": {"text": "r"}}),
        ({}, {"logprobs": "none"}, {"reasoning_content": 5, "role": 3}),
    ):
        whole = {**members, "choices": [{**choice, "message": {"content": "hi", **message}, "finish_reason": "stop"}]}
        piece = {**members, "choices": [{**choice, "delta": {"content": "hi", **message}, "finish_reason": "stop"}]}
        for outcome in (
            *outcomes("openai", Reply(json=whole), ("chat",)),
            *outcomes("openai", stream_reply([sse(piece), DONE])),
        ):
            response = outcome.response
            assert response is not None, outcome.error
            assert (response.text, response.usage, response.reasoning, response.logprobs) == ("hi", None, None, None)
            assert response.raw in (whole, piece)


def test_counts_are_read_where_a_server_has_them() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    for members, choice, cached, written in (
        ({"usage": {**counts, "prompt_cache_hit_tokens": 3}}, {}, 3, None),
        ({"usage": {**counts, "cached_tokens": 3}}, {}, 3, None),
        ({"usage": {**counts, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4}}}, {}, 1, 4),
        ({"usage": {**counts, "cache_creation_input_tokens": 4}}, {}, None, 4),
        ({"x_groq": {"id": "r", "usage": counts}}, {}, None, None),
        ({"usage": None, "x_groq": {"usage": counts}}, {}, None, None),
        ({}, {"usage": counts}, None, None),
    ):
        end = {**members, "choices": [{**choice, "index": 0, "delta": {}, "finish_reason": "stop"}]}
        for outcome in outcomes("openai", stream_reply([chat({"content": "a"}), sse(end), DONE])):
            usage = outcome.response.usage  # type: ignore[union-attr]
            assert usage is not None, members
            assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 2, 7)
            assert (usage.cached_tokens, usage.cache_write_tokens) == (cached, written)


# --- ends -----------------------------------------------------------------------------------------------------------


@table("wire", EVENT_WIRES)
def test_the_last_event_has_no_blank_line(wire: str) -> None:
    body = "".join(STREAMS[wire]("hello"))
    for missing in ("\n", "\n\n"):
        for end in ("", "\r"):
            whole = body.removesuffix(missing) + end
            for pieces in ([whole], [*whole]):
                for outcome in outcomes(wire, stream_reply(pieces)):
                    assert outcome.text == "hello", (whole, outcome.error)


@table("wire", EVENT_WIRES)
def test_half_of_the_last_event_is_a_cut(wire: str) -> None:
    body = "".join(STREAMS[wire]("hello")).rstrip("\n")
    for outcome in outcomes(wire, stream_reply([body[:-1]]), retry=None):
        assert isinstance(outcome.error, StreamInterruptedError)


def test_an_event_that_is_no_json_is_a_break_like_any_other_with_restart() -> None:
    broken = stream_reply([chat({"content": "On"}), "data: {oops\n\n"])
    good = stream_reply(openai("Two"))
    for outcome in outcomes("openai", [broken, good], restart=True):
        assert outcome.text == "Two", outcome.error
        assert [chunk.restarted for chunk in outcome.chunks if chunk.text or chunk.restarted] == [False, True, False]
    for outcome in outcomes("openai", [broken]):
        assert type(outcome.error) is APIResponseError
    for outcome in outcomes("openai", [stream_reply(["data: {oops\n\n"])], restart=True):  # nothing had begun
        assert type(outcome.error) is APIResponseError


def test_groq_says_why_it_stopped_a_stream() -> None:
    for outcome in outcomes(
        "groq", stream_reply([chat({"content": "a"}), chat({}, x_groq={"error": "over capacity"})])
    ):
        assert isinstance(outcome.error, APIStatusError)
        assert "over capacity" in str(outcome.error)
