"""What programs always send, before a provider that cannot do it: changed, or left out with a warning, or rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from relaytools import HI, post, relay_over
from scripted import scripted_relay
from sdks import anthropic, anthropic_sdk, openai, openai_sdk

from llmclients.codecs.anthropic.names import EFFORT_BUDGETS
from llmclients.codecs.base import CodecOptions
from llmclients.relay.codecs.custom_calls import CustomInput
from llmclients.relay.codecs.openai_tools import custom_input, function_name
from llmclients.relay.codecs.request import effort_of_budget
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

PLAIN = frozenset({"max_tokens", "tools", "tool_choice"})
WARNING = "x-llmclients-warning"


ASK: dict[str, Any] = {"model": "m", "max_tokens": 9000, "messages": HI}


# --- options ----------------------------------------------------------------------------------------------------------


def test_a_budget_becomes_an_effort_where_the_provider_has_one() -> None:
    assert [effort_of_budget(tokens) for tokens in (-1, 1, *EFFORT_BUDGETS.values(), 31999)] == [
        *("low", "low", "low", "medium", "high", "high", "high", "high"),
    ]
    with scripted_relay(PLAIN | {"reasoning_effort"}, CodecOptions) as (url, script), anthropic_sdk(url) as client:
        raw = client.messages.with_raw_response
        thinking: Any = {"type": "enabled", "budget_tokens": 2048}
        answer = raw.create(**ASK, thinking=thinking)
        assert (script.asked["reasoning_effort"], script.codec_options) == ("medium", {})
        assert answer.headers[WARNING] == "thinking: sent as reasoning_effort='medium'"
        # What was said in so many words counts more.
        raw.create(**ASK, thinking=thinking, output_config={"effort": "low"})
        assert script.asked["reasoning_effort"] == "low"
    with scripted_relay() as (url, script), anthropic_sdk(url) as client:
        answer = client.messages.with_raw_response.create(**ASK, thinking=thinking)
        assert (script.codec_options, WARNING in answer.headers) == ({"thinking": 2048}, False)


def test_what_is_always_sent_is_left_out_with_a_warning_and_what_was_chosen_is_rejected_by_name() -> None:
    with scripted_relay(PLAIN, CodecOptions) as (url, script), anthropic_sdk(url) as client:
        answer = client.messages.with_raw_response.create(
            **ASK,
            thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
            output_config={"effort": "high"},
            extra_body={"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        )
        assert script.asked == {
            "model": "m",
            "stream": False,
            "max_tokens": 9000,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        for name in ("thinking", "thinking_display", "reasoning_effort"):
            assert f"{name} is left out: scripted cannot carry the option '{name}'" in answer.headers[WARNING]
        script.asked = {}
        with pytest.raises(anthropic.BadRequestError, match="scripted cannot carry the option 'top_k'"):
            client.messages.create(**ASK, extra_body={"top_k": 5})
        for chosen in ({"verbosity": "low"}, {"top_k": 5}, {"reasoning_effort": "low"}):
            answer = post(url, "openai", {"messages": HI, **chosen})
            assert (answer.status, answer.json["error"]["param"]) == (400, *chosen)
        assert script.asked == {}
    with scripted_relay() as (url, script):
        assert post(url, "openai", {"messages": HI, "top_k": 5, "verbosity": "low"}).status == 200
        sent = script.asked | script.codec_options
        assert (sent["top_k"], sent["verbosity"]) == (5, "low")


def test_the_older_place_of_a_schema_is_read() -> None:
    schema = {"type": "object", "properties": {}}
    with scripted_relay() as (url, script), anthropic_sdk(url) as client:
        client.messages.create(**ASK, extra_body={"output_format": {"type": "json_schema", "schema": schema}})
        assert script.asked["response_format"]["json_schema"] == schema


def test_marks_of_a_cache_and_an_empty_stop_say_nothing() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}, **mark}
    message = {"role": "user", "content": [{"type": "text", "text": "Hi", **mark}], **mark}
    with scripted_relay() as (url, script):
        for stop, sent in (("", None), ([], None), ([""], None), (["", "END"], ["END"]), ("END", "END")):
            answer = post(url, "openai", {"messages": [message], "tools": [tool], "stop": stop})
            assert (answer.status, script.asked.get("stop"), WARNING in answer.headers) == (200, sent, False)
        assert script.asked["messages"][0]["content"] == [{"type": "text", "text": "Hi"}]
        assert script.asked["tools"][0]["name"] == "f"
        post(url, "anthropic", {**ASK, "stop_sequences": [""]})
        assert "stop" not in script.asked


def test_a_byte_order_mark_is_skipped() -> None:
    with scripted_relay() as (url, script):
        assert post(url, "openai", b"\xef\xbb\xbf" + json.dumps({"messages": HI}).encode()).status == 200
        assert script.asked["messages"] == HI


# --- threads ----------------------------------------------------------------------------------------------------------


def test_the_sdks_tool_runner_goes_on_without_a_thread() -> None:
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """How warm it is."""
        return f"4 degrees in {city}"

    with scripted_relay() as (url, script), anthropic_sdk(url) as client:
        call = ToolCall("toolu_1", "weather", '{"city": "Oslo"}')
        script.queue = [ChatResponse(tool_calls=[call], finish_reason="tool_calls")]
        script.answer = ChatResponse(text="It is cold.", finish_reason="stop")
        runner = client.beta.messages.tool_runner(**ASK, tools=[weather])
        assert runner.until_done().content[0].text == "It is cold."  # type: ignore[union-attr]
        assert script.asked["messages"][-1]["content"] == "4 degrees in Oslo"
        answer = post(url, "anthropic", {**ASK, "thread": {"type": "create"}})
        assert (answer.status, answer.json["error"]["details"]) == (400, {"error_code": "thread_unsupported_request"})


# --- tools of the Responses API ---------------------------------------------------------------------------------------

PATCH: Any = {"type": "custom", "name": "patch", "description": "Edits files", "format": {"type": "text"}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: word"}
GROUP: Any = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers",
    "tools": [
        {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "custom", "name": "note", "format": GRAMMAR},
    ],
}
TEXT = 'a "quoted"\nline é'
CALLS = [
    ToolCall("c1", "patch", json.dumps({"input": TEXT})),
    ToolCall("c2", "crm__find", '{"id":7}'),
    ToolCall("c3", "crm__note", json.dumps({"input": "word"})),
]
ITEMS = [
    {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": TEXT},
    {"type": "function_call", "call_id": "c2", "name": "find", "namespace": "crm", "arguments": '{"id":7}'},
    {"type": "custom_tool_call", "call_id": "c3", "name": "note", "namespace": "crm", "input": "word"},
]


def without_ids(items: Any) -> list[dict[str, Any]]:
    keep = ("type", "call_id", "name", "namespace", "input", "arguments")
    return [{name: item[name] for name in keep if item.get(name) is not None} for item in items]


def whole(client: openai.OpenAI, script: Any, **ask: Any) -> tuple[Any, list[Any]]:
    script.answer = ChatResponse(tool_calls=CALLS, finish_reason="tool_calls")
    return client.responses.create(**ask), []


def streamed(client: openai.OpenAI, script: Any, **ask: Any) -> tuple[Any, list[Any]]:
    pieces = [
        Chunk(tool_calls=[ToolCallDelta(index=index, id=call.id, name=call.name, arguments=half)])
        for index, call in enumerate(CALLS)
        for half in (call.arguments_text[:12], call.arguments_text[12:])
    ]
    script.streams(*pieces, Chunk(finish_reason="tool_calls"))
    events = list(client.responses.create(**ask, stream=True))
    return events[-1].response, events


@pytest.mark.parametrize("asked", [whole, streamed])
def test_custom_tools_and_groups_are_functions_to_the_provider_and_come_back_as_they_are(
    asked: Callable[..., Any],
) -> None:
    with scripted_relay() as (url, script), openai_sdk(url) as client:
        ask: dict[str, Any] = {
            "model": "m",
            "input": "Hi",
            "tools": [PATCH, GROUP],
            "tool_choice": {"type": "custom", "name": "patch"},
        }
        response, events = asked(client, script, **ask)
        assert without_ids(item.to_dict() for item in response.output) == ITEMS
        done = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
        assert without_ids(done) == (ITEMS if events else [])
        texts = [event.input for event in events if event.type == "response.custom_tool_call_input.done"]
        deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
        assert texts == ([TEXT, "word"] if events else [])
        assert deltas == ([TEXT[:1], TEXT[1:], "w", "ord"] if events else [])  # as the text comes
        tools = {tool["name"]: tool for tool in script.asked["tools"]}
        assert (list(tools), script.asked["tool_choice"]) == (["patch", "crm__find", "crm__note"], "patch")
        assert tools["patch"]["description"] == "Edits files"
        assert tools["crm__note"]["parameters"]["required"] == ["input"]
        assert "lark grammar:\nstart: word" in tools["crm__note"]["parameters"]["properties"]["input"]["description"]

        # With the next turn, calls and results are a function's again.
        results: list[Any] = [
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "patched"},
            {"type": "function_call_output", "call_id": "c2", "output": "nobody"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": [{"type": "input_text", "text": "noted"}]},
        ]
        script.answer = ChatResponse(text="Done.", finish_reason="stop")
        history = [{"role": "user", "content": "Hi"}, *(item.to_dict() for item in response.output), *results]
        assert client.responses.create(model="m", input=history, tools=[PATCH, GROUP]).output_text == "Done."
        _, answer, *told = script.asked["messages"]
        assert [(call["name"], json.loads(call["arguments"])) for call in answer["tool_calls"]] == [
            (call.name, call.arguments) for call in CALLS
        ]
        assert [message["tool_call_id"] for message in told] == ["c1", "c2", "c3"]


def test_a_custom_call_that_is_no_json_comes_whole_at_its_end() -> None:
    with scripted_relay() as (url, script), openai_sdk(url) as client:
        pieces = [ToolCallDelta(index=0, id="c1", name="patch"), ToolCallDelta(index=0, arguments="*** Begin")]
        script.streams(*[Chunk(tool_calls=[piece]) for piece in pieces], Chunk(finish_reason="tool_calls"))
        events = list(client.responses.create(model="m", input="Hi", tools=[PATCH], stream=True))
        assert [event.delta for event in events if event.type.endswith("input.delta")] == ["*** Begin"]  # type: ignore[union-attr]


def test_tools_may_come_among_the_items_of_the_input_and_the_servers_own_are_left_out() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [GROUP], "id": "at_1"}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    servers: list[Any] = [{"type": "web_search"}, {"type": "tool_search", "execution": "client", "parameters": {}}]
    with scripted_relay() as (url, script), openai_sdk(url) as client:
        create: Any = client.responses.with_raw_response.create
        answer = create(model="m", input=[added, message], tools=servers)
        assert [tool["name"] for tool in script.asked["tools"]] == ["crm__find", "crm__note"]
        assert answer.headers[WARNING] == (
            "tools[0]: web_search is left out: only the wire's own server has it; "
            "tools[1]: tool_search is left out: only the wire's own server has it"
        )
        create(model="m", input="Hi", tools=servers, tool_choice="auto", parallel_tool_calls=False)
        assert script.asked.keys() == {"model", "messages", "stream"}
        for wrong in (
            {"type": "mcp"},
            {"type": "custom"},
            {**PATCH, "format": {"type": "other"}},
            {"type": "namespace"},
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                create(model="m", input="Hi", tools=[wrong])
            assert caught.value.param == "tools"


def test_a_custom_call_that_is_no_json_or_was_cut_is_what_can_be_read_of_it() -> None:
    assert custom_input('{"input": "*** Begin') == "*** Begin"
    assert custom_input('{"input": "a\\n') == "a\n"
    assert custom_input("*** Begin Patch") == "*** Begin Patch"
    assert custom_input('{"input": 5}') == '{"input": 5}'
    assert custom_input("") == ""


def test_the_text_of_a_custom_call_comes_as_its_arguments_do_wherever_they_are_cut() -> None:
    for arguments, early in (
        (json.dumps({"input": TEXT + "😀"}), True),
        (json.dumps({"input": TEXT, "more": [1]}, ensure_ascii=False), True),
        (' { "first" : 1, "input" : "' + "\\u00e9\\\\" * 50 + '" } ', True),
        ('{"input": "cut \\', True),
        ("*** Begin Patch", False),
        ('{"input": 5}', False),
        ('["input"]', False),
        ("", False),
    ):
        for size in range(1, 14):
            call = CustomInput()
            sent = [call.feed(arguments[at : at + size]) for at in range(0, len(arguments), size)]
            whole, rest = call.rest(arguments)
            assert ("".join(sent) + rest, bool(any(sent))) == (whole, early), arguments
            assert whole == custom_input(arguments)
    for arguments in ('{"input": "a", "input": "bcd"}', '{"input": "a" and more', '{"input": "a", "input": 5}'):
        call = CustomInput()  # what it is is known at the end; nothing that has gone out is said again
        assert "".join(map(call.feed, arguments)) == "a"
        assert call.rest(arguments) == (custom_input(arguments), "")


def test_long_names_of_functions_stay_apart() -> None:
    names = {function_name(f"{'f' * 60}{number}", "group") for number in range(9)}
    assert (len(names), max(map(len, names))) == (9, 64)
    assert function_name("f" * 90) == "f" * 90


def test_a_warning_has_one_line_whatever_the_request_has() -> None:
    with relay_over() as (relay, _):
        tools = [{"type": "namespace", "name": "é\r\nx: y", "tools": [{"type": "web_search"}]}]
        answer = post(relay.url, "openai-responses", {"input": "Hi", "tools": tools})
        assert answer.status == 200
        assert "web_search is left out" in answer.headers[WARNING]
