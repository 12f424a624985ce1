"""How answers end, on every wire: what is no end is no `stop`, calls are never lost, and an image says that it is one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tables import table

from llmclients import APIError, APIResponseError, AsyncClient, Client, ToolLoopError
from llmclients.testing import MockTransport, Reply
from llmclients.types.response import ChatResponse

EVENTS = "text/event-stream"
Outcome = ChatResponse | Exception


def sse(*payloads: Any, done: bool = False) -> list[str]:
    events = []
    for payload in payloads:
        name = payload.get("type")
        events.append((f"event: {name}\n" if name else "") + f"data: {json.dumps(payload)}\n\n")
    return [*events, "data: [DONE]\n\n"] if done else events


# --- an answer on each wire -----------------------------------------------------------------------------------------
# Each function makes a reply of the wire's own parts and ending: the whole one, and the pieces of the same as a stream.


class Made(NamedTuple):
    body: Any
    chunks: list[str]
    content_type: str = EVENTS


def openai(message: dict[str, Any], end: str | None) -> Made:
    delta = {**message, "tool_calls": [{**call, "index": at} for at, call in enumerate(message.get("tool_calls", ()))]}
    choices = [{"index": 0, "delta": delta}], [{"index": 0, "delta": {}, "finish_reason": end}]
    body = {"choices": [{"index": 0, "message": {"content": None, **message}, "finish_reason": end}]}
    return Made(body, sse(*({"choices": choice} for choice in choices), done=True))


def anthropic(blocks: list[dict[str, Any]], end: str | None) -> Made:
    events: list[Any] = [{"type": "message_start", "message": {"id": "m", "content": []}}]
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": end}}, {"type": "message_stop"}]
    return Made({"content": blocks, "stop_reason": end}, sse(*events))


def gemini(parts: list[dict[str, Any]], end: str | None) -> Made:
    def candidate(parts: list[Any], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": parts}, **more}]}

    return Made(
        candidate(parts, finishReason=end),
        sse(*(candidate([part]) for part in parts), candidate([], finishReason=end)),
    )


def cohere(message: dict[str, Any], end: str | None) -> Made:
    events: list[Any] = [{"type": "message-start", "id": "c"}]
    for index, block in enumerate(message.get("content", ())):
        events.append({"type": "content-start", "index": index, "delta": {"message": {"content": block}}})
    for index, call in enumerate(message.get("tool_calls", ())):
        events.append({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}})
    events.append({"type": "message-end", "delta": {"finish_reason": end}})
    return Made({"message": message, "finish_reason": end}, sse(*events))


def ollama(message: dict[str, Any], end: str | None) -> Made:
    lines = [{"message": message, "done": False}, {"message": {"role": "assistant"}, "done": True, "done_reason": end}]
    body = {"message": message, "done": True, "done_reason": end}
    return Made(body, [json.dumps(line) + "\n" for line in lines], "application/x-ndjson")


def responses(items: list[dict[str, Any]], end: str | None) -> Made:
    body = {"id": "r", "status": end, "output": items}
    events: list[Any] = []
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}})
        for place, part in enumerate(item.get("content") or ()):
            if "text" in part:
                delta = {
                    "output_index": index,
                    "content_index": place,
                    "item_id": item.get("id"),
                    "delta": part["text"],
                }
                events.append({"type": "response.output_text.delta", **delta})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.incomplete" if end == "incomplete" else "response.completed", "response": body})
    return Made(body, sse(*events))


MAKE: dict[str, Callable[[Any, str | None], Made]] = {
    "openai": openai,
    "openrouter": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "cohere": cohere,
    "ollama": ollama,
    "openai-responses": responses,
}


def outcomes(provider: str, made: Made, **options: Any) -> list[Outcome]:
    """What either client makes of it, whole and streamed."""
    arguments: dict[str, Any] = {"model": "m", "api_key": "k", "retry": None}

    def replies(whole: bool) -> MockTransport:
        streamed = Reply(chunks=made.chunks, headers={"content-type": made.content_type})
        return MockTransport([Reply(json=made.body) if whole else streamed])

    def with_client(whole: bool) -> Outcome:
        client = Client(provider, transport=replies(whole), **arguments)
        if whole:
            return client.chat("x", **options)
        stream = client.stream("x", **options)
        list(stream)
        return stream.response

    async def with_async_client(whole: bool) -> Outcome:
        client = AsyncClient(provider, transport=replies(whole), **arguments)
        if whole:
            return await client.chat("x", **options)
        stream = client.stream("x", **options)
        async for _ in stream:
            pass
        return stream.response

    found: list[Outcome] = []
    for run in (with_client, lambda whole: asyncio.run(with_async_client(whole))):
        for whole in (True, False):
            try:
                found.append(run(whole))
            except APIError as error:
                found.append(error)
    return found


TEXT: dict[str, Any] = {
    "openai": {"content": "Hi"},
    "anthropic": [{"type": "text", "text": "Hi"}],
    "gemini": [{"text": "Hi"}],
    "cohere": {"content": [{"type": "text", "text": "Hi"}]},
    "ollama": {"role": "assistant", "content": "Hi"},
    "openai-responses": [{"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "Hi"}]}],
}
FUNCTION = {"name": "weather", "arguments": '{"city": "Oslo"}'}
CALL: dict[str, Any] = {
    "openai": {"tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]},
    "anthropic": [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Oslo"}}],
    "gemini": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}],
    "cohere": {"tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]},
    "ollama": {"role": "assistant", "tool_calls": [{"function": {**FUNCTION, "arguments": {"city": "Oslo"}}}]},
    "openai-responses": [{"type": "function_call", "id": "f", "call_id": "c", **FUNCTION}],
}

# --- what is no end -------------------------------------------------------------------------------------------------

ENDINGS = {
    "openai": {"stop": "stop", "length": "length", "content_filter": "content_filter", "end_turn": "stop"},
    "anthropic": {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "refusal": "content_filter",
        "pause_turn": "pause",
        "compaction": "pause",
        "model_context_window_exceeded": "length",
    },
    "gemini": {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "FUNCTION_CALL": "error"},
    "cohere": {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length"},
    "ollama": {"stop": "stop", "length": "length", "load": "error", "unload": "error"},
    "openai-responses": {"completed": "stop", "incomplete": "error", "cancelled": "error"},
}
UNKNOWN = ("abort", "LANGUAGE", "MALFORMED_RESPONSE", "steered", "Stop!", "0")


def test_what_is_no_end_is_not_stop_on_any_wire() -> None:
    for provider, known in ENDINGS.items():
        for word, expected in [*known.items(), *((word, "error") for word in UNKNOWN)]:
            if provider == "openai-responses" and word in UNKNOWN:  # a stream's last event says how it ended, too
                continue
            for found in outcomes(provider, MAKE[provider](TEXT[provider], word)):
                assert isinstance(found, ChatResponse), (provider, word, found)
                assert (found.text, found.finish_reason) == ("Hi", expected), (provider, word)


def test_a_second_finish_reason_does_not_hide_that_the_answer_was_cut() -> None:
    for provider, (cut, stop) in {
        "openai": ("length", "stop"),
        "anthropic": ("max_tokens", "end_turn"),
        "gemini": ("MAX_TOKENS", "STOP"),
        "cohere": ("MAX_TOKENS", "COMPLETE"),
        "ollama": ("length", "stop"),
    }.items():
        for first, second in ((cut, stop), (stop, cut)):
            one, other = (MAKE[provider](TEXT[provider], word) for word in (first, second))
            at = next(i for i, (a, b) in enumerate(zip(one.chunks, other.chunks, strict=True)) if a != b)
            twice = one._replace(chunks=[*one.chunks[: at + 1], other.chunks[at], *one.chunks[at + 1 :]])
            ends_with_first = provider in ("cohere", "ollama")  # it is the end mark
            expected = "stop" if ends_with_first and first == stop else "length"
            for found in outcomes(provider, twice)[1::2]:
                assert isinstance(found, ChatResponse), (provider, found)
                assert (found.text, found.finish_reason) == ("Hi", expected), (provider, first, second)


def test_a_responses_status_that_nobody_knows_is_not_stop() -> None:
    for status in UNKNOWN:
        found = outcomes("openai-responses", responses(TEXT["openai-responses"], status))[0]
        assert isinstance(found, ChatResponse)
        assert (found.text, found.finish_reason) == ("Hi", "error")


# --- calls with a strange finish reason -----------------------------------------------------------------------------

RUN = {
    "openai": ("stop", "tool_calls", "function_call", "tool_use", "eos"),
    "anthropic": ("end_turn", "tool_use", "stop_sequence", None),
    "gemini": ("STOP", "FUNCTION_CALL", "TOOL_CALL"),
    "cohere": ("COMPLETE", "TOOL_CALL", None),
    "ollama": ("stop", "", None, "tool_calls"),
    "openai-responses": ("completed", None),
}
FAILED = {
    "openai": ("abort", "error"),
    "anthropic": ("abort", "content_filter"),
    "gemini": ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "OTHER", "abort"),
    "cohere": ("abort",),
    "ollama": ("load", "abort"),
    "openai-responses": ("incomplete", "cancelled", "abort"),
}


def run_tools(provider: str, first: Made, ran: list[str]) -> list[Outcome]:
    """What the tool loop of either client makes of it: the second answer is a text."""

    def weather(city: str) -> str:
        """The weather."""
        ran.append(city)
        return "4"

    end = {"anthropic": "end_turn", "gemini": "STOP", "cohere": "COMPLETE", "openai-responses": "completed"}
    second = MAKE[provider](TEXT[provider], end.get(provider, "stop"))

    def mock() -> MockTransport:
        return MockTransport([Reply(json=first.body), Reply(json=second.body)])

    async def main() -> ChatResponse:
        client = AsyncClient(provider, model="m", api_key="k", retry=None, transport=mock())
        return await client.chat("x", tools=[weather], run_tools=True)

    found: list[Outcome] = []
    client = Client(provider, model="m", api_key="k", retry=None, transport=mock())
    for run in (lambda: client.chat("x", tools=[weather], run_tools=True), lambda: asyncio.run(main())):
        try:
            found.append(run())
        except (APIError, ToolLoopError) as error:
            found.append(error)
    return found


def test_whole_calls_are_made_whatever_the_server_calls_their_ending() -> None:
    for provider, words in RUN.items():
        for word in words:
            made = MAKE[provider](CALL[provider], word)
            if word is not None:
                for found in outcomes(provider, made):
                    assert isinstance(found, ChatResponse), (provider, word, found)
                    assert found.finish_reason == "tool_calls", (provider, word)
            ran: list[str] = []
            for found in run_tools(provider, made, ran):
                assert isinstance(found, ChatResponse), (provider, word, found)
                assert found.text == "Hi"
            assert ran == ["Oslo", "Oslo"], (provider, word)


def test_calls_of_an_answer_that_ended_badly_are_not_dropped_in_silence() -> None:
    for provider, words in FAILED.items():
        for word in words:
            ran: list[str] = []
            for found in run_tools(provider, MAKE[provider](CALL[provider], word), ran):
                assert isinstance(found, ToolLoopError), (provider, word, found)
                assert "weather" in str(found)
                assert found.response is not None
                assert [call.name for call in found.response.tool_calls] == ["weather"]
            assert ran == []


EMPTY: list[tuple[str, Any, str | None]] = [
    ("gemini", [], "MALFORMED_FUNCTION_CALL"),
    ("gemini", [], "UNEXPECTED_TOOL_CALL"),
    ("openai", {"content": ""}, "tool_calls"),
    ("openai", {"content": None}, "error"),
    ("anthropic", [], "tool_use"),
    ("ollama", {"role": "assistant", "content": ""}, "load"),
    ("openai-responses", [{"type": "custom_tool_call", "call_id": "c", "name": "x", "input": "y"}], "completed"),
]


def test_an_empty_answer_that_ended_badly_is_no_answer_of_the_tool_loop() -> None:
    for provider, content, word in EMPTY:
        for found in run_tools(provider, MAKE[provider](content, word), []):
            assert isinstance(found, ToolLoopError), (provider, word, found)
            assert "empty" in str(found)


def test_a_paused_turn_goes_on_in_the_tool_loop() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    first = anthropic([{"type": "text", "text": "First, "}, search], "pause_turn")

    for found in run_tools("anthropic", first, []):
        assert isinstance(found, ChatResponse)
        assert (found.text, found.finish_reason) == ("Hi", "stop")
        assert [message.text for message in found.intermediate_messages] == ["First, "]
        assert found.intermediate_messages[0].provider_data == {"anthropic": first.body["content"]}


# --- what is not text -----------------------------------------------------------------------------------------------

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
OTHER: list[tuple[str, str, Any, str]] = [
    ("openrouter", "image", {"images": [PNG]}, "stop"),
    ("openai", "audio", {"audio": {"id": "a", "data": "AAAA", "expires_at": 1}}, "stop"),
    ("openai", "image_url", {"content": [PNG]}, "stop"),
    ("anthropic", "container_upload", [{"type": "container_upload", "file_id": "f"}], "end_turn"),
    ("gemini", "image/png", [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}], "STOP"),
    ("gemini", "audio/wav", [{"fileData": {"mimeType": "audio/wav", "fileUri": "https://x"}}], "STOP"),
    ("cohere", "image_url", {"content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}, "COMPLETE"),
    ("ollama", "image", {"role": "assistant", "content": "", "images": ["iVBORw0KGgo="]}, "stop"),
    ("openai-responses", "image", [{"type": "image_generation_call", "id": "i", "result": "iVBORw0"}], "completed"),
    ("openai-responses", "a failed image", [{"type": "image_generation_call", "status": "failed"}], "completed"),
    (
        "openai-responses",
        "audio",
        [{"type": "message", "id": "m", "content": [{"type": "output_audio", "data": "AAAA"}]}],
        "completed",
    ),
]


def test_an_answer_that_is_no_text_says_what_it_is_instead_of_being_empty() -> None:
    for provider, kind, content, end in OTHER:
        for found in outcomes(provider, MAKE[provider](content, end)):
            assert isinstance(found, APIResponseError), (provider, kind, found)
            assert kind in str(found)
            assert not found.retryable
            assert found.partial is not None
            assert [part.kind for part in found.partial.other_parts] == [kind]
            assert found.partial.other_parts[0].raw, "as the provider sent it"
            assert found.partial.finish_reason == "stop"


def test_beside_text_an_image_is_noted() -> None:
    for provider, kind, content, end in OTHER:
        text = TEXT.get(provider, TEXT["openai"])
        both = [*text, *content] if isinstance(content, list) else {**text, **content}
        if isinstance(both, dict) and isinstance(content.get("content"), list):
            both["content"] = [{"type": "text", "text": "Hi"}, *content["content"]]
        elif isinstance(both, dict):
            both["content"] = text["content"]
        for found in outcomes(provider, MAKE[provider](both, end)):
            assert isinstance(found, ChatResponse), (provider, kind, found)
            assert (found.text, found.finish_reason) == ("Hi", "stop")
            assert [part.kind for part in found.other_parts] == [kind]


def test_what_is_only_on_the_way_to_an_answer_is_no_part_of_it() -> None:
    for provider, content, end in (
        ("anthropic", [{"type": "server_tool_use", "id": "s", "name": "x", "input": {}}], "end_turn"),
        ("anthropic", [{"type": "web_search_tool_result", "tool_use_id": "s", "content": []}], "end_turn"),
        ("gemini", [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}], "STOP"),
        ("gemini", [{"inlineData": {"mimeType": "image/png"}, "thought": True}], "STOP"),
        ("openai-responses", [{"type": "web_search_call", "id": "w"}, {"type": "reasoning", "id": "r"}], "completed"),
    ):
        for found in outcomes(provider, MAKE[provider]([*content, *TEXT[provider]], end)):
            assert isinstance(found, ChatResponse), (provider, found)
            assert (found.text, found.other_parts) == ("Hi", [])


def test_what_was_spoken_is_the_text_of_an_answer_of_sound() -> None:
    spoken = {"id": "a", "data": "AAAA", "transcript": "Hi"}
    item = {"type": "message", "id": "m", "content": [{"type": "output_audio", "data": "AAAA", "transcript": "Hi"}]}
    for provider, made in (
        ("openai", openai({"content": None, "audio": spoken}, "stop")),
        ("openai-responses", responses([item], "completed")),
    ):
        for found in outcomes(provider, made):
            assert isinstance(found, ChatResponse), (provider, found)
            assert (found.text, [part.kind for part in found.other_parts]) == ("Hi", ["audio"])


def test_sound_that_is_streamed_by_events_of_its_own_is_noted_once() -> None:
    item = {"type": "message", "id": "m", "content": [{"type": "output_audio", "data": "AAAA", "transcript": "Hi"}]}
    body = {"id": "r", "status": "completed", "output": [item]}
    events = sse(
        {"type": "response.audio.delta", "delta": "AA"},
        {"type": "response.audio.transcript.delta", "delta": "Hi"},
        {"type": "response.audio.delta", "delta": "AA"},
        {"type": "response.completed", "response": body},
    )

    found = outcomes("openai-responses", Made(body, events))[1]

    assert isinstance(found, ChatResponse)
    assert (found.text, [part.kind for part in found.other_parts]) == ("Hi", ["audio", "audio"])


# --- the Responses API ----------------------------------------------------------------------------------------------


def test_a_reasoning_item_is_never_text_whatever_its_parts_are_called() -> None:
    for part_type in ("output_text", "text", "reasoning_text", "thinking"):
        thoughts = {"type": "reasoning", "id": "rs_1", "content": [{"type": part_type, "text": "Think."}]}
        for found in outcomes("openai-responses", responses([thoughts, *TEXT["openai-responses"]], "completed")):
            assert isinstance(found, ChatResponse), (part_type, found)
            assert (found.text, found.reasoning) == ("Hi", "Think."), part_type


def test_reasoning_that_came_as_a_summary_is_not_told_again_under_another_name() -> None:
    thoughts = {"type": "reasoning", "id": "rs_1", "content": [{"type": "output_text", "text": "Think."}]}
    done = responses([thoughts, *TEXT["openai-responses"]], "completed")
    summary = sse({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "Think."})
    for chunks in ([*summary, *done.chunks[2:]], [*summary, done.chunks[-1]]):
        found = outcomes("openai-responses", Made(done.body, chunks))[1]
        assert isinstance(found, ChatResponse)
        assert (found.text, found.reasoning) == ("Hi", "Think.")


def test_the_text_of_a_message_at_the_place_of_the_reasoning_is_text() -> None:
    body = {"status": "completed", "output": []}
    events = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "a"}},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "a", "delta": "Think."},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "a", "delta": " Hard."},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "b"}},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "b", "delta": "Hi"},
        {"type": "response.completed", "response": body},
    )

    found = outcomes("openai-responses", Made(body, events))[1]

    assert isinstance(found, ChatResponse)
    assert (found.text, found.reasoning) == ("Hi", "Think. Hard.")


@table("details", [None, {"reason": "server_shutdown"}])
def test_a_response_that_failed_without_words_says_so_in_a_sentence(details: Any) -> None:
    body = {"id": "r", "object": "response", "status": "failed", "output": [], "incomplete_details": details}
    made = Made(body, sse({"type": "response.failed", "response": body}))
    for found in outcomes("openai-responses", made):
        assert isinstance(found, APIError)
        assert "the answer failed" in str(found)
        assert (details["reason"] if details else "does not say why") in str(found)
        assert "{" not in str(found)


# --- what comes beside the ending, or after it ----------------------------------------------------------------------


def of_deltas(*deltas: tuple[dict[str, Any], str | None]) -> Made:
    choices = [{"index": 0, "delta": delta, "finish_reason": end} for delta, end in deltas]
    body = {"choices": [{"message": deltas[0][0], "finish_reason": deltas[-1][1]}]}
    return Made(body, sse(*({"choices": [choice]} for choice in choices), done=True))


def test_a_tool_call_with_nothing_in_it_is_none_and_the_answer_ended_with_stop() -> None:
    empty = {"name": "", "arguments": ""}
    for nothing in ({"function_call": empty}, {"tool_calls": [{"index": 0, "id": "", "function": empty}]}):
        for found in outcomes("openai", of_deltas(({"content": "Hi", **nothing}, None), ({}, "stop"))):
            assert isinstance(found, ChatResponse), found
            assert (found.text, found.tool_calls, found.finish_reason) == ("Hi", [], "stop")


def test_a_call_after_the_ending_is_a_call_all_the_same() -> None:
    call = {"index": 0, "id": "a", "function": FUNCTION}
    gemini_end = gemini(TEXT["gemini"], "STOP").chunks
    gemini_call = sse({"candidates": [{"content": {"role": "model", "parts": CALL["gemini"]}}]})
    anthropic_text = anthropic(TEXT["anthropic"], "end_turn").chunks
    anthropic_call = anthropic(CALL["anthropic"], "end_turn").chunks[1:3]
    for provider, made in (
        ("openai", of_deltas(({"content": "Hi"}, None), ({}, "stop"), ({"tool_calls": [call]}, None))),
        ("gemini", Made(None, [*gemini_end, *gemini_call])),
        ("anthropic", Made(None, [*anthropic_text[:-1], *anthropic_call, anthropic_text[-1]])),
    ):
        for found in outcomes(provider, made)[1::2]:
            assert isinstance(found, ChatResponse), (provider, found)
            assert [call.name for call in found.tool_calls] == ["weather"]
            assert found.finish_reason == "tool_calls", provider


def test_the_words_of_another_wire_are_understood() -> None:
    for provider, word, reason in (
        ("anthropic", "stop", "stop"),
        ("anthropic", "length", "length"),
        ("gemini", "stop", "stop"),
        ("gemini", "max_tokens", "length"),
        ("cohere", "complete", "stop"),
        ("openai", "MAX_TOKENS", "length"),
        ("openai", "SAFETY", "content_filter"),
        ("openai", "refusal", "content_filter"),
    ):
        for found in outcomes(provider, MAKE[provider](TEXT[provider], word)):
            assert isinstance(found, ChatResponse), (provider, word, found)
            assert (found.text, found.finish_reason) == ("Hi", reason), (provider, word)


def test_no_arguments_may_be_written_as_an_empty_list_or_as_null() -> None:
    """PHP writes an empty object as a list; some models write `null`."""
    for arguments in ([], "null", " "):
        made = {
            "openai": openai({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": arguments}}]}, "stop"),
        }
        if arguments == []:
            made["gemini"] = gemini([{"functionCall": {"name": "f", "args": arguments}}], "STOP")
            made["ollama"] = ollama({"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}, "stop")
        for provider, reply in made.items():
            for found in outcomes(provider, reply):
                assert isinstance(found, ChatResponse), (provider, arguments, found)
                assert [call.arguments for call in found.tool_calls] == [{}], (provider, arguments)


def test_the_last_line_needs_no_message() -> None:
    for end in ({}, {"message": None}):
        lines = [{"message": {"content": "Hi"}, "done": False}, {**end, "done": True, "done_reason": "stop"}]
        made = Made(None, [json.dumps(line) + "\n" for line in lines], "application/x-ndjson")
        for found in outcomes("ollama", made)[1::2]:
            assert isinstance(found, ChatResponse), found
            assert (found.text, found.finish_reason) == ("Hi", "stop")


def test_an_end_mark_that_gemini_does_not_have_is_no_garbage() -> None:
    for found in outcomes("gemini", Made(None, [*gemini(TEXT["gemini"], "STOP").chunks, "data: [DONE]\n\n"]))[1::2]:
        assert isinstance(found, ChatResponse), found
        assert (found.text, found.finish_reason) == ("Hi", "stop")


def test_text_that_a_response_has_in_one_place_only_is_not_lost() -> None:
    completed = {"status": "completed", "output": [], "output_text": "Hi"}
    part = {"type": "response.content_part.done", "output_index": 0, "content_index": 0}
    parts = [{**part, "part": {"type": "output_text", "text": "Hi"}}]
    pieces = [{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}]
    for events in ([], parts, pieces, [*pieces, *parts]):
        made = Made(completed, sse(*events, {"type": "response.completed", "response": completed}))
        for found in outcomes("openai-responses", made):
            assert isinstance(found, ChatResponse), (events, found)
            assert (found.text, found.finish_reason) == ("Hi", "stop")
